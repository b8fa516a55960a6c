"""WhatsApp messages, echoes and statuses. META.md section 8; ids and times: sections 9 to 12."""

from __future__ import annotations

from typing import Any, Final

from router.split.compose import Place, compose, unknown
from router.split.identity import Identifiers, Person
from router.split.item import Direction, Item
from router.split.reading import Json, as_id, as_list, as_object, as_text, as_word
from router.split.times import time_ms
from router.split.whatsapp_value import ValueContext

_MEDIA: Final = frozenset({"image", "video", "audio", "voice", "document", "sticker"})
_STATUS_EVENTS: Final = {
    "sent": "message.dispatched",
    "delivered": "message.delivered",
    "read": "message.read",
    "played": "message.played",
    "failed": "message.failed",
}
_GROUP_SUFFIX: Final = "@g.us"


def chat_message(context: ValueContext, path: str, raw: Json, collection: str) -> Item:
    """One element of `messages` (a person wrote) or `message_echoes` (the business wrote in its own app).

    An echo swaps the parties: the customer is `to`. `revoke` and `edit` name the *original* message.
    """
    place = context.place(path, raw, collection)
    direction: Direction = "outbound" if collection == "message_echoes" else "inbound"
    ids = context.ids()
    if direction == "outbound":
        ids.add_all(raw, ("to_user_id", "to"), ("to_parent_user_id",))
    else:
        ids.add_all(raw, ("from_user_id", "from"), ("from_parent_user_id",))
    kind = as_text(raw.get("type"))
    content = as_object(raw.get(kind)) if kind is not None else {}
    if kind == "system":
        _add_changed_ids(ids, as_object(raw.get("system")))
    person = context.person(ids, place)
    group = as_id(raw.get("group_id"))
    wamid = as_id(raw.get("id"))
    occurred_at_ms = time_ms(raw.get("timestamp"))
    match kind:
        case "system":
            return unknown(
                place,
                person=person,
                direction="system",
                occurred_at_ms=occurred_at_ms,
                native_id=wamid,
                message_id=wamid,
                conversation=group,
            )
        case "revoke" | "edit":
            about = as_id(content.get("original_message_id"))
            part: dict[str, Any] = {"message_id": about}
            if kind == "edit":
                part |= _content(as_object(content.get("message")), with_payload=False)
            event_type = "message.unsent" if kind == "revoke" else "message.edited"
        case "reaction":
            about = as_id(content.get("message_id"))
            emoji = as_text(content.get("emoji")) or None
            part = {"message_id": about, "action": "react" if emoji else "unreact", "emoji": emoji}
            event_type = "reaction.changed"
        case _:
            about = wamid
            part = {"id": wamid, "type": kind, "group": group, **_content(raw, with_payload=True)}
            part["reply_to"] = as_id(as_object(raw.get("context")).get("id"))
            event_type = "message.sent" if direction == "outbound" else "message.received"
    return compose(
        place,
        event_type,
        part,
        person=person,
        direction=direction,
        occurred_at_ms=occurred_at_ms,
        native_id=wamid,
        discriminator=_of_change(kind, about, raw, part),
        message_id=about,
        conversation=group,
    )


def _of_change(kind: str | None, about: str | None, raw: Json, part: Json) -> tuple[str, ...]:
    """What makes a change of a message distinct; nothing without an own id, since then the content does."""
    if as_id(raw.get("id")) is None:
        return ()
    if kind == "reaction":
        return (about or "", part["action"], part["emoji"] or "", as_word(raw.get("timestamp")))
    if kind in ("revoke", "edit"):
        return (about or "", as_word(raw.get("timestamp")))
    return ()


def _add_changed_ids(ids: Identifiers, system: Json) -> None:
    """A number or BSUID that changed: old and new are one person (META.md section 9.2)."""
    ids.add_all(system, ("user_id", "wa_id", "new_wa_id"), ("parent_user_id",))


def _content(raw: Json, *, with_payload: bool) -> dict[str, Any]:
    """Text and attachments of a message, by its type; and what a tapped button carried."""
    kind = as_text(raw.get("type"))
    content = as_object(raw.get(kind)) if kind is not None else {}
    text: object = None
    payload: object = None
    attachments: list[dict[str, str | None]] = []
    if kind == "text":
        text = content.get("body")
    elif kind in _MEDIA:
        text = content.get("caption")
        attachments.append(_media(kind, content))
    elif kind == "location":
        text = content.get("address")
        attachments.append(
            {"type": kind, "url": as_text(content.get("url")), "name": as_text(content.get("name"))}
        )
    elif kind == "button":
        text, payload = content.get("text"), content.get("payload")
    elif kind == "interactive":
        reply = as_object(content.get(as_text(content.get("type")) or ""))
        text, payload = reply.get("title", reply.get("body")), reply.get("id", reply.get("response_json"))
    elif kind == "order":
        text = content.get("text")
    found: dict[str, Any] = {"text": as_text(text), "attachments": attachments}
    if with_payload:
        found["payload"] = as_text(payload)
    return found


def _media(kind: str | None, media: Json) -> dict[str, str | None]:
    return {
        "type": kind,
        "id": as_id(media.get("id")),
        "url": as_text(media.get("url", media.get("link"))),
        "mime_type": as_text(media.get("mime_type")),
        "name": as_text(media.get("filename")),
    }


def chat_status(context: ValueContext, path: str, raw: Json) -> Item:
    """One element of `statuses`. In a group the recipient is the group and the person is the participant."""
    place = context.place(path, raw, "statuses")
    recipient = as_id(raw.get("recipient_id"))
    is_group = raw.get("recipient_type") == "group" or (recipient or "").endswith(_GROUP_SUFFIX)
    person = context.person(status_ids(context, raw, is_group=is_group), place)
    group = recipient if is_group else None
    status = as_text(raw.get("status")) or ""
    wamid = as_id(raw.get("id"))
    direction: Direction = "inbound" if status in ("read", "played") else "system"
    if wamid is None or not status:
        return _unreadable(place, person, raw, wamid, group)
    discriminator: tuple[str, ...] = (status,)
    if is_group:
        discriminator += (
            as_id(raw.get("recipient_participant_user_id"))
            or as_id(raw.get("recipient_participant_id"))
            or "",
        )
    return compose(
        place,
        _STATUS_EVENTS.get(status, "message.status_changed"),
        {
            "message_ids": [wamid],
            "status": status,
            "errors": [_error(error) for error in as_list(raw.get("errors")) if isinstance(error, dict)],
            "group": group,
        },
        person=person,
        direction=direction,
        occurred_at_ms=time_ms(raw.get("timestamp")),
        native_id=wamid,
        discriminator=discriminator,
        message_id=wamid,
        conversation=group,
    )


def status_ids(context: ValueContext, raw: Json, *, is_group: bool) -> Identifiers:
    """The recipient's ids; the parent's field was renamed, both names are read (META.md section 9.1)."""
    if is_group:
        return context.ids().add_all(
            raw,
            ("recipient_participant_user_id", "recipient_participant_id"),
            ("recipient_participant_parent_user_id",),
        )
    return context.ids().add_all(
        raw,
        ("recipient_user_id", "recipient_id"),
        ("recipient_parent_user_id", "parent_recipient_user_id"),
    )


def _unreadable(place: Place, person: Person, raw: Json, wamid: str | None, group: str | None) -> Item:
    return unknown(
        place,
        person=person,
        occurred_at_ms=time_ms(raw.get("timestamp")),
        native_id=wamid,
        message_id=wamid,
        conversation=group,
    )


def _error(raw: Json) -> dict[str, Any]:
    code = raw.get("code")
    return {
        "code": code if isinstance(code, int) and not isinstance(code, bool) else None,
        "title": as_text(raw.get("title")),
    }
