"""WhatsApp items without a typed event yet: calls, groups, imports, address book, preferences, changed ids. META.md section 8."""

from __future__ import annotations

from typing import Any, Final

from router.split.compose import unknown
from router.split.identity import Identifiers
from router.split.item import Direction, Item
from router.split.reading import NOTHING, Json, as_id, as_object
from router.split.times import time_ms
from router.split.whatsapp_chat import status_ids
from router.split.whatsapp_value import ValueContext

_IDS: Final = ("user_id", "wa_id", "from_user_id", "from")
_PARENTS: Final = ("parent_user_id", "from_parent_user_id")
_PARTICIPANTS: Final = "_participants"


def identity_of(raw: Json, own_phone: str | None) -> Identifiers:
    """The ids at the top of an object; for `user_id_update` the current ones first, then the previous."""
    ids = Identifiers(own_phone)
    for version in ("current", "previous"):
        ids.add(as_object(raw.get("user_id")).get(version))
        ids.add(as_object(raw.get("parent_user_id")).get(version), parent=True)
    return ids.add_all(raw, _IDS, _PARENTS)


def notice(context: ValueContext, path: str, raw: Json, collection: str) -> Item:
    """`errors`, `user_preferences`, `user_id_update`, `state_sync`, a chunk of `history` without messages."""
    place = context.place(path, raw, collection)
    ids = identity_of(raw, context.own_phone)
    occurred_at = raw.get("timestamp")
    if collection == "state_sync":
        ids.add_all(as_object(raw.get("contact")), ("user_id", "phone_number"), ("parent_user_id",))
        occurred_at = as_object(raw.get("metadata")).get("timestamp", occurred_at)
    direction: Direction = "inbound" if collection == "user_preferences" else "system"
    return unknown(
        place,
        person=context.person(ids, place),
        direction=direction,
        occurred_at_ms=time_ms(occurred_at),
    )


def call(context: ValueContext, path: str, raw: Json, collection: str) -> Item:
    """A call or its status. The customer is `from`, or `to` when the business calls."""
    place = context.place(path, raw, collection)
    by_business = raw.get("direction") == "BUSINESS_INITIATED"
    ids = context.ids()
    if collection == "statuses":
        ids = status_ids(context, raw, is_group=False)
    elif by_business:
        ids.add_all(raw, ("to_user_id", "to"), ("to_parent_user_id",))
    else:
        ids.add_all(raw, ("from_user_id", "from"), ("from_parent_user_id",))
    direction: Direction = "outbound" if by_business else "inbound"
    return unknown(
        place,
        person=context.person(ids, place),
        direction="system" if collection == "statuses" else direction,
        occurred_at_ms=time_ms(raw.get("timestamp", raw.get("start_time"))),
        native_id=as_id(raw.get("id")) or as_id(raw.get("wacid")),
    )


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
    for _, _, person in participants_of(raw):
        _add_participant(ids, person)
    return unknown(
        place,
        person=context.person(ids, place),
        occurred_at_ms=time_ms(raw.get("timestamp")),
        conversation=as_id(raw.get("group_id")),
    )


def without_participants(group: Json) -> dict[str, Any]:
    """A group change less the people it lists."""
    return {
        name: [each for each in value if not isinstance(each, dict)]
        if name.endswith(_PARTICIPANTS) and isinstance(value, list)
        else value
        for name, value in group.items()
    }


def participant(context: ValueContext, path: str, group: Json, key: str, person: Json) -> Item:
    """One of several people in a group change. Each gets an item: erasing one must not leave them in another's event.

    `group`: the change without its participants; `key`: the list that named this one.
    """
    place = context.place(path, person, "groups")
    place.envelope["group"] = group
    place.envelope["list"] = key
    ids = context.ids()
    _add_participant(ids, person)
    return unknown(
        place,
        person=context.person(ids, place),
        occurred_at_ms=time_ms(group.get("timestamp")),
        conversation=as_id(group.get("group_id")),
        within=[key, group],
    )


def _add_participant(ids: Identifiers, person: Json) -> None:
    ids.add_all(person, ("user_id", "wa_id", "input"), ("parent_user_id",))


def history_message(
    context: ValueContext,
    path: str,
    raw: Json,
    collection: str,
    thread: Json = NOTHING,
    chunk: Json = NOTHING,
) -> Item:
    """One imported message. The counterpart is the thread's, since the business wrote some of the messages."""
    place = context.place(path, raw, collection)
    if chunk:
        place.envelope["history"] = chunk
    if thread:
        place.envelope["thread"] = thread
    ids = _counterpart(context, thread)
    sender, recipient = context.ids(), context.ids()
    sender.add_all(raw, ("from_user_id", "from"), ("from_parent_user_id",))
    recipient.add_all(raw, ("to_user_id", "to"), ("to_parent_user_id",))
    outbound = collection == "message_echoes" or (bool(recipient) and not sender)
    if not ids:
        ids = recipient if outbound else sender
    wamid = as_id(raw.get("id"))
    return unknown(
        place,
        person=context.person(ids, place),
        direction="outbound" if outbound else "inbound",
        occurred_at_ms=time_ms(raw.get("timestamp")),
        native_id=wamid,
        message_id=wamid,
    )


def thread_item(context: ValueContext, path: str, raw: Json, thread: Json, chunk: Json) -> Item:
    """A thread of an import without messages, or what a thread holds beside them."""
    place = context.place(path, raw, "threads")
    place.envelope["history"] = chunk
    return unknown(place, person=context.person(_counterpart(context, thread), place))


def _counterpart(context: ValueContext, thread: Json) -> Identifiers:
    ids = context.ids().add_all(as_object(thread.get("context")), ("user_id", "wa_id"), ("parent_user_id",))
    ids.add(thread.get("id"))
    return ids
