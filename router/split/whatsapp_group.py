"""Changes of WhatsApp groups. META.md section 8. Each participant gets an item of their own."""

from __future__ import annotations

from typing import Any, Final

from router.split.compose import compose
from router.split.identity import Identifiers
from router.split.item import Item
from router.split.plan import errors, plan, read
from router.split.reading import Json, as_flag, as_id, as_text
from router.split.times import time_ms
from router.split.whatsapp_person import identity_of
from router.split.whatsapp_value import ValueContext

_PARTICIPANTS: Final = "_participants"
_EVENTS: Final = {
    "group_create": "group.created",
    "group_delete": "group.deleted",
    "group_participants_add": "group.participant_joined",
    "group_participants_remove": "group.participant_left",
    "group_join_request_created": "group.join_requested",
    "group_join_request_revoked": "group.join_withdrawn",
    "group_settings_update": "group.settings_changed",
    "group_suspend": "group.suspended",
    "group_suspend_cleared": "group.reinstated",
}
_GROUP: Final = plan(
    id=(as_id, "group_id"),
    subject=(as_text, "subject", "group_subject.text"),
    description=(as_text, "description", "group_description.text"),
    invite_link=(as_text, "invite_link"),
    join_approval=(as_text, "join_approval_mode"),
    request=(as_id, "request_id"),
    reason=(as_text, "reason"),
    initiated_by=(as_text, "initiated_by"),
    join_request=(as_id, "join_request_id"),
    subject_changed=(as_flag, "group_subject.update_successful"),
    description_changed=(as_flag, "group_description.update_successful"),
    picture_changed=(as_flag, "profile_picture.update_successful"),
    errors=(errors, "errors", "group_subject.errors", "group_description.errors", "profile_picture.errors"),
)
_PERSON: Final = plan(participant_input=(as_id, "input"), errors=(errors, "errors"))


def participants_of(group: Json) -> list[tuple[str, int, Json]]:
    """Everybody whom a group change lists, with list and place."""
    return [
        (key, index, person)
        for key, people in group.items()
        if key.endswith(_PARTICIPANTS) and isinstance(people, list)
        for index, person in enumerate(people)
        if isinstance(person, dict)
    ]


def group_change(context: ValueContext, path: str, raw: Json) -> Item:
    """A change of a group that concerns one person, or nobody."""
    place = context.place(path, raw, "groups")
    ids = identity_of(raw, context.own_phone)
    part = group_part(raw)
    failed = False
    for key, _, person in participants_of(raw):
        _add_participant(ids, person)
        part |= read(_PERSON, person)
        failed = key.startswith("failed")
    return compose(
        place,
        _event(raw, failed=failed),
        part,
        person=context.person(ids, place),
        direction="system",
        occurred_at_ms=time_ms(raw.get("timestamp")),
        conversation=as_id(raw.get("group_id")),
    )


def _event(group: Json, *, failed: bool) -> str:
    if failed:
        return "group.participant_failed"
    return _EVENTS.get(as_text(group.get("type")) or "", "group.changed")


def without_participants(group: Json) -> dict[str, Any]:
    """A group change less the people it lists."""
    return {
        name: [each for each in value if not isinstance(each, dict)]
        if name.endswith(_PARTICIPANTS) and isinstance(value, list)
        else value
        for name, value in group.items()
    }


def group_part(group: Json) -> dict[str, Any]:
    """What the change says of the group."""
    return read(_GROUP, group)


def participant(
    context: ValueContext, path: str, group: Json, shared: dict[str, Any], key: str, person: Json
) -> Item:
    """One of several people in a group change. Each gets an item: erasing one must not leave them in another's event.

    `group`: the change without its participants, and `shared` what it says; `key`: the list that named this one.
    """
    place = context.place(path, person, "groups")
    place.envelope["group"] = group
    place.envelope["list"] = key
    ids = context.ids()
    _add_participant(ids, person)
    return compose(
        place,
        _event(group, failed=key.startswith("failed")),
        shared | read(_PERSON, person),
        person=context.person(ids, place),
        direction="system",
        occurred_at_ms=time_ms(group.get("timestamp")),
        conversation=as_id(group.get("group_id")),
        within=[key, group],
    )


def _add_participant(ids: Identifiers, person: Json) -> None:
    ids.add_all(person, ("user_id", "wa_id", "input"), ("parent_user_id",))
