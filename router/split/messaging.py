"""The items of `messaging[]` and `standby[]`, the same for Pages and Instagram accounts. META.md section 6."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from contracts.pseudonyms import Domain
from router.split.compose import Place, compose, unknown
from router.split.identity import Person, person_by
from router.split.item import Direction, Item
from router.split.messaging_notice import KINDS, REFERRAL, notice_item
from router.split.plan import inside, plan, read
from router.split.reading import (
    Json,
    as_flag,
    as_id,
    as_list,
    as_number,
    as_object,
    as_text,
    as_word,
    content_hash,
)
from router.split.times import time_ms

_TEXT_ONLY: Final = 2
"""A message with so few fields, `mid` and `text` among them, has nothing beside these."""
_ATTACHMENT: Final = plan(
    type=(as_text, "type"),
    id=(as_id, "payload.sticker_id", "payload.reel_video_id", "payload.id"),
    url=(as_text, "payload.url", "url", "URL"),
    name=(as_text, "payload.title", "title"),
)


def _names(value: object) -> list[str] | None:
    names = (as_text(each.get("name")) for each in as_list(value) if isinstance(each, dict))
    return [name for name in names if name is not None] or None


_MORE: Final = plan(
    reply_to=(as_id, "reply_to.mid"),
    story=(inside(plan(id=(as_id, "id"), url=(as_text, "url"))), "reply_to.story"),
    referral=(inside(REFERRAL), "referral"),
    app=(as_id, "app_id"),
    metadata=(as_text, "metadata"),
    to_self=(as_flag, "is_self"),
    product=(inside(plan(product=(as_id, "id"))), "referral.product"),
    commands=(_names, "commands"),
)
_POSTBACK: Final = plan(
    message_id=(as_id, "mid"),
    title=(as_text, "title"),
    payload=(as_text, "payload"),
    ref=(as_text, "referral.ref"),
    referral=(inside(REFERRAL), "referral"),
)
_PLACE: Final = plan(
    latitude=(as_number, "payload.coordinates.lat"),
    longitude=(as_number, "payload.coordinates.long"),
    name=(as_text, "title"),
    url=(as_text, "url", "URL"),
)
_PARTIES: Final = frozenset({"sender", "recipient", "timestamp"})
_DOMAINS: Final = {"page": Domain.PSID, "instagram": Domain.IGSID}


def names_account(raw: Json) -> str | None:
    """The account's id where the entry has none: the recipient, or the sender of an echo. META.md section 5.2."""
    party = "sender" if as_object(raw.get("message")).get("is_echo") is True else "recipient"
    return as_id(as_object(raw.get(party)).get("id"))


def messaging_item(place: Place, raw: Json, own: str | None, kinds: tuple[str, ...]) -> Item:
    """One item. `raw`: the object with `sender` and `recipient`; `own`: the account's id; `kinds`: `kinds_in(raw)`."""
    person, direction = parties = _parties(place, raw, own)
    for kind in kinds:
        part = raw[kind]
        if isinstance(part, dict):
            build = _KINDS.get(kind)
            if build is None:
                return notice_item(place, raw, kind, part, person, direction)
            item = build(place, raw, part, parties)
            if item is not None:
                return item
    return unknown(place, person=person, direction=direction, occurred_at_ms=time_ms(raw.get("timestamp")))


def kinds_in(raw: Json) -> tuple[str, ...]:
    """The keys that say what kind of item it is, the most telling first."""
    if len(raw) == len(_PARTIES) + 1 and raw.keys() > _PARTIES:  # As nearly always: one kind beside them.
        for name in raw:
            if name in _ORDER:
                return (name,)
    return tuple(name for name in _ORDER if name in raw)


def field_of(raw: Json, kinds: tuple[str, ...]) -> str:
    """What an item is called where nothing else names it: its kind, else the first key that is no party; or empty."""
    return kinds[0] if kinds else next((name for name in raw if name not in _PARTIES), "")


def _parties(place: Place, raw: Json, own: str | None) -> tuple[Person, Direction]:
    """The customer, and who acted. An echo swaps the parties; so does a read or reaction of the account's own."""
    sender = as_id(as_object(raw.get("sender")).get("id"))
    recipient = as_id(as_object(raw.get("recipient")).get("id"))
    outbound = as_object(raw.get("message")).get("is_echo") is True or (
        sender is not None and sender == own and recipient not in (None, own)
    )
    customer = sender
    if outbound and recipient not in (None, own):
        customer = recipient
    person = person_by(_DOMAINS[place.provider_object], customer, own=own)
    if outbound:
        return person, "outbound"
    return person, "system" if sender is None else "inbound"


def _acted(direction: Direction) -> Direction:
    """Of what only a person does: a guest without id, known by `user_ref` at most, acts too (META.md section 5.1)."""
    return "inbound" if direction == "system" else direction


Parties = tuple[Person, Direction]


def _message(place: Place, raw: Json, message: Json, parties: Parties) -> Item | None:
    person, direction = parties
    mid = as_id(message.get("mid"))
    occurred_at_ms = time_ms(raw.get("timestamp"))
    if message.get("is_deleted") is True:
        return compose(
            place,
            "message.unsent",
            {"message_id": mid},
            person=person,
            direction=direction,
            occurred_at_ms=occurred_at_ms,
            native_id=mid,
            discriminator=(),
            message_id=mid,
        )
    outbound = direction == "outbound"
    part = _content(message, mid)
    return compose(
        place,
        "message.sent" if outbound else "message.received",
        part,
        person=person,
        direction="outbound" if outbound else "inbound",
        occurred_at_ms=occurred_at_ms,
        native_id=mid,
        discriminator=(),
        message_id=mid,
    )


def _content(message: Json, mid: str | None) -> dict[str, Any]:
    part: dict[str, Any] = {"id": mid, "type": _message_type(message)}
    text = message.get("text")
    if isinstance(text, str):
        part["text"] = text
    if len(message) > _TEXT_ONLY or "text" not in message or "mid" not in message:
        part |= read(_MORE, message)
        attachments = [each for each in as_list(message.get("attachments")) if isinstance(each, dict)]
        if attachments:
            part["attachments"] = [read(_ATTACHMENT, each) for each in attachments]
            place = next((each for each in attachments if each.get("type") == "location"), None)
            if place is not None:
                part["location"] = read(_PLACE, place)
        payload = as_text(as_object(message.get("quick_reply")).get("payload"))
        if payload is not None:
            part["payload"] = payload
    return part


def _message_type(message: Json) -> str:
    if message.get("is_unsupported") is True:
        return "unsupported"
    if "quick_reply" in message:
        return "quick_reply"
    if "text" in message:
        return "text"
    return "attachment" if as_list(message.get("attachments")) else "unsupported"


def _edit(place: Place, raw: Json, edit: Json, parties: Parties) -> Item | None:
    """An edit. Instagram's `num_edit: 0` without a text announces a new message: nothing was edited, and taking it for an
    edit would overwrite a stored text with nothing (META.md section 6)."""
    person, direction = parties
    mid = as_id(edit.get("mid"))
    number = _number(edit.get("num_edit"))
    text = as_text(edit.get("text"))
    occurred_at_ms = time_ms(raw.get("timestamp"))
    if not number and text is None:
        return compose(
            place,
            "message.announced",
            {"message_id": mid},
            person=person,
            direction=direction,
            occurred_at_ms=occurred_at_ms,
            native_id=mid,
            message_id=mid,
        )
    return compose(
        place,
        "message.edited",
        {"message_id": mid, "number": number, "text": text},
        person=person,
        direction=direction,
        occurred_at_ms=occurred_at_ms,
        native_id=mid,
        discriminator=(_sender(raw), as_word(edit.get("num_edit")), content_hash(edit)),
        message_id=mid,
    )


def _reaction(place: Place, raw: Json, reaction: Json, parties: Parties) -> Item | None:
    person, direction = parties
    mid = as_id(reaction.get("mid"))
    action = as_text(reaction.get("action"))
    emoji = as_text(reaction.get("emoji"))
    return compose(
        place,
        "reaction.changed",
        {"message_id": mid, "action": action, "emoji": emoji, "name": as_text(reaction.get("reaction"))},
        person=person,
        direction=direction,
        occurred_at_ms=time_ms(raw.get("timestamp")),
        native_id=mid,
        discriminator=(_sender(raw), action or "", emoji or "", as_word(raw.get("timestamp"))),
        message_id=mid,
    )


def _receipt(event_type: str) -> Callable[[Place, Json, Json, Parties], Item | None]:
    """Receipts by watermark (Pages) or by `mid` (Instagram). META.md sections 6 and 12."""

    def build(place: Place, raw: Json, receipt: Json, parties: Parties) -> Item | None:
        person, direction = parties
        mids = [
            mid for mid in map(as_id, (*as_list(receipt.get("mids")), receipt.get("mid"))) if mid is not None
        ]
        watermark = receipt.get("watermark")
        only = mids[0] if len(mids) == 1 else None
        if not mids and watermark is None:
            return None
        reported = event_type == "message.delivered"  # By Meta: nobody acted.
        acted: tuple[str, ...] = (_sender(raw),)
        if direction == "outbound" and person.conversation is not None:
            acted += (person.conversation,)  # The account reads with several people at once.
        return compose(
            place,
            event_type,
            {"message_ids": mids, "watermark_ms": time_ms(watermark)},
            person=person,
            direction="system" if reported else direction,
            occurred_at_ms=time_ms(raw.get("timestamp")),
            native_id=only,
            discriminator=(*acted, as_word(watermark), *mids),
            message_id=only,
        )

    return build


def _postback(place: Place, raw: Json, postback: Json, parties: Parties) -> Item | None:
    person, direction = parties
    mid = as_id(postback.get("mid"))
    return compose(
        place,
        "postback.received",
        read(_POSTBACK, postback),
        person=person,
        direction=_acted(direction),
        occurred_at_ms=time_ms(raw.get("timestamp")),
        native_id=mid,
        discriminator=(),
        message_id=mid,
    )


def _sender(raw: Json) -> str:
    return as_id(as_object(raw.get("sender")).get("id")) or ""


def _number(value: object) -> int | None:
    """`num_edit` also arrives as a string (META.md section 6)."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


_KINDS: Final[dict[str, Callable[[Place, Json, Json, Parties], Item | None]]] = {
    "message": _message,
    "message_edit": _edit,
    "reaction": _reaction,
    "read": _receipt("message.read"),
    "delivery": _receipt("message.delivered"),
    "postback": _postback,
}
_ORDER: Final = dict.fromkeys((*_KINDS, *KINDS))
"""All kinds, the most telling first."""
