"""WhatsApp messages, echoes and statuses. META.md section 8; ids and times: sections 9 to 12."""

from __future__ import annotations

from typing import Any, Final

from router.split.compose import Place, compose, unknown
from router.split.identity import Identifiers, Person
from router.split.item import Direction, Item
from router.split.plan import errors, read
from router.split.reading import Json, as_id, as_object, as_text, as_word
from router.split.times import time_ms
from router.split.whatsapp_content import PAYMENT, PRICING, WINDOW, edit_part, message_part
from router.split.whatsapp_person import add_changed_ids, system_message
from router.split.whatsapp_value import ValueContext

_STATUS_EVENTS: Final = {
    "sent": "message.dispatched",
    "delivered": "message.delivered",
    "read": "message.read",
    "played": "message.played",
    "failed": "message.failed",
}
_GROUP_SUFFIX: Final = "@g.us"
SENDER: Final = (("from_user_id", "from"), ("from_parent_user_id",))
"""Where a message names who wrote it: ids, and ids of the parent."""
_TO: Final = ("to_user_id", "to")
_TO_PARENT: Final = ("to_parent_user_id",)

_RECIPIENT: Final = (
    ("recipient_user_id", "recipient_id"),
    ("recipient_parent_user_id", "parent_recipient_user_id"),
)
_PARTICIPANT: Final = (
    ("recipient_participant_user_id", "recipient_participant_id"),
    ("recipient_participant_parent_user_id",),
)


def chat_message(context: ValueContext, path: str, raw: Json, collection: str) -> Item:
    """One element of `messages` (a person wrote) or `message_echoes` (the business wrote in its own app).

    An echo swaps the parties: the customer is `to`. `revoke` and `edit` name the *original* message.
    """
    place = context.place(path, raw, collection)
    ids = context.ids()
    if collection == "message_echoes":
        ids.add_all(raw, _TO, _TO_PARENT)
        return message_of(place, raw, context.person(ids, place), "outbound")
    ids.add_all(raw, *SENDER)
    if raw.get("type") == "system":
        add_changed_ids(ids, as_object(raw.get("system")))
    return message_of(place, raw, context.person(ids, place), "inbound")


def message_of(place: Place, raw: Json, person: Person, direction: Direction) -> Item:
    """A message, once it is known whose it is."""
    kind = as_text(raw.get("type"))
    group = as_id(raw.get("group_id"))
    wamid = as_id(raw.get("id"))
    if kind == "system":
        return system_message(place, raw, person, wamid, group)
    discriminator: tuple[str, ...] = ()
    if kind in _CHANGES:
        event_type, about, part, discriminator = _change(kind, raw, group)
        if wamid is None:
            discriminator = ()
    else:
        about = wamid
        part = message_part(raw, kind, wamid)
        event_type = "message.sent" if direction == "outbound" else "message.received"
    return compose(
        place,
        event_type,
        part,
        person=person,
        direction=direction,
        occurred_at_ms=time_ms(raw.get("timestamp")),
        native_id=wamid,
        discriminator=discriminator,
        message_id=about,
        conversation=group,
    )


_CHANGES: Final = frozenset({"revoke", "edit", "reaction"})


def _change(
    kind: str | None, raw: Json, group: str | None
) -> tuple[str, str | None, dict[str, Any], tuple[str, ...]]:
    """Event type, the message that is changed, the typed part, and what tells it from other changes."""
    moment = as_word(raw.get("timestamp"))
    if kind == "reaction":
        content = as_object(raw.get("reaction"))
        about = as_id(content.get("message_id"))
        emoji = as_text(content.get("emoji")) or None
        action = "react" if emoji else "unreact"
        part: dict[str, Any] = {"message_id": about, "action": action, "emoji": emoji}
        if group is not None:
            part["group"] = group
        return "reaction.changed", about, part, (about or "", action, emoji or "", moment)
    content = as_object(raw.get(kind or ""))
    about = as_id(content.get("original_message_id"))
    if kind == "edit":
        part = edit_part(as_object(content.get("message")), about)
        return "message.edited", about, part, (about or "", moment)
    return "message.unsent", about, {"message_id": about}, (about or "", moment)


def chat_status(context: ValueContext, path: str, raw: Json, collection: str) -> Item:
    """One element of `statuses`. In a group the recipient is the group and the person is the participant."""
    place = context.place(path, raw, collection)
    is_group = about_group(raw)
    ids = status_ids(context.own_phone, raw, is_group=is_group)
    return status_of(place, raw, context.person(ids, place), is_group=is_group)


def about_group(raw: Json) -> bool:
    """Whether a status is about a message to a group."""
    recipient = as_id(raw.get("recipient_id"))
    return raw.get("recipient_type") == "group" or (
        recipient is not None and recipient.endswith(_GROUP_SUFFIX)
    )


def status_of(place: Place, raw: Json, person: Person, *, is_group: bool) -> Item:
    """A status, once it is known whose it is."""
    group = as_id(raw.get("recipient_id")) if is_group else None
    status = as_text(raw.get("status")) or ""
    wamid = as_id(raw.get("id"))
    direction: Direction = "inbound" if status in ("read", "played") else "system"
    if wamid is None or not status:
        return _unreadable(place, person, raw, wamid, group)
    occurred_at_ms = time_ms(raw.get("timestamp"))
    if raw.get("type") == "payment":
        return compose(
            place,
            "payment.status_changed",
            read(PAYMENT, raw),
            person=person,
            direction="system",
            occurred_at_ms=occurred_at_ms,
            native_id=wamid,
            message_id=wamid,
            conversation=group,
        )
    discriminator: tuple[str, ...] = (status,)
    part: dict[str, Any] = {"message_ids": [wamid], "status": status}
    if is_group:
        part["group"] = group
        discriminator += (
            as_id(raw.get("recipient_participant_user_id"))
            or as_id(raw.get("recipient_participant_id"))
            or as_id(raw.get("recipient_participant_parent_user_id"))
            or "",
        )
    _add_details(part, raw)
    return compose(
        place,
        _STATUS_EVENTS.get(status, "message.status_changed"),
        part,
        person=person,
        direction=direction,
        occurred_at_ms=occurred_at_ms,
        native_id=wamid,
        discriminator=discriminator,
        message_id=wamid,
        conversation=group,
    )


def _add_details(part: dict[str, Any], raw: Json) -> None:
    """Errors, price and what the business attached."""
    pricing, window = raw.get("pricing"), raw.get("conversation")
    if isinstance(pricing, dict):
        part["pricing"] = read(PRICING, pricing)
    if isinstance(window, dict):
        part["window"] = read(WINDOW, window)
    if "errors" in raw:
        part["errors"] = errors(raw["errors"]) or []
    attached = as_text(raw.get("biz_opaque_callback_data"))
    if attached is not None:
        part["callback_data"] = attached


def status_ids(own_phone: str | None, raw: Json, *, is_group: bool) -> Identifiers:
    """The recipient's ids; the parent's field was renamed, both names are read (META.md section 9.1)."""
    return Identifiers(own_phone).add_all(raw, *(_PARTICIPANT if is_group else _RECIPIENT))


def _unreadable(place: Place, person: Person, raw: Json, wamid: str | None, group: str | None) -> Item:
    return unknown(
        place,
        person=person,
        occurred_at_ms=time_ms(raw.get("timestamp")),
        native_id=wamid,
        message_id=wamid,
        conversation=group,
    )
