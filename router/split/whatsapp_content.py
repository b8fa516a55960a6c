"""What a WhatsApp message says, by its type. META.md section 8. Texts are read by hand: they are most of all messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from router.split.plan import Plan, errors, inside, plan, read
from router.split.reading import (
    Json,
    as_flag,
    as_id,
    as_list,
    as_number,
    as_object,
    as_plain,
    as_text,
    as_whole,
)
from router.split.times import time_ms

_MEDIA: Final = plan(
    id=(as_id, "id"),
    url=(as_text, "url", "link"),
    mime_type=(as_text, "mime_type"),
    name=(as_text, "filename"),
    sha256=(as_text, "sha256"),
    voice=(as_flag, "voice"),
    animated=(as_flag, "animated"),
)
_LOCATION: Final = plan(
    latitude=(as_number, "latitude"),
    longitude=(as_number, "longitude"),
    name=(as_text, "name"),
    address=(as_text, "address"),
    url=(as_text, "url"),
)
_CARD: Final = plan(
    name=(as_text, "name.formatted_name", "name.first_name"),
    organisation=(as_text, "org.company"),
    birthday=(as_text, "birthday"),
    vcard=(as_text, "vcard"),
)
_CHOICE: Final = plan(
    id=(as_id, "id"),
    title=(as_text, "title", "body"),
    description=(as_text, "description"),
    form=(as_text, "response_json"),
    form_name=(as_text, "name"),
    permission=(as_text, "response"),
    permission_until_ms=(time_ms, "expiration_timestamp"),
    permission_is_permanent=(as_flag, "is_permanent"),
    permission_by=(as_text, "response_source"),
    payment_method=(as_text, "payment_method"),
    payment_status=(as_text, "payment_status"),
    reference=(as_text, "reference_id"),
)
_ORDER_LINE: Final = plan(
    product=(as_id, "product_retailer_id"),
    quantity=(as_number, "quantity"),
    price=(as_number, "item_price"),
    currency=(as_text, "currency"),
)
_PRODUCT: Final = plan(catalogue=(as_id, "catalog_id"), product=(as_id, "product_retailer_id"))
_CONTEXT: Final = plan(
    reply_to=(as_id, "id"),
    reply_to_author=(as_id, "from"),
    forwarded=(as_flag, "forwarded"),
    frequently_forwarded=(as_flag, "frequently_forwarded"),
    product=(inside(_PRODUCT), "referred_product"),
)
_REFERRAL: Final = plan(
    ref=(as_text, "ref"),
    source=(as_text, "source_type"),
    source_id=(as_id, "source_id"),
    source_url=(as_text, "source_url"),
    headline=(as_text, "headline"),
    body=(as_text, "body"),
    media_type=(as_text, "media_type"),
    media_url=(as_text, "video_url", "image_url", "thumbnail_url"),
    click_id=(as_text, "ctwa_clid"),
)
IDENTITY: Final = plan(
    hash=(as_plain, "hash"),
    acknowledged=(as_flag, "acknowledged"),
    created_at_ms=(time_ms, "created_timestamp"),
)
_AROUND: Final[dict[str, tuple[str | None, Callable[[object], Any]]]] = {
    "context": (None, lambda value: read(_CONTEXT, as_object(value))),
    "referral": ("referral", inside(_REFERRAL)),
    "identity": ("identity", inside(IDENTITY)),
    "errors": ("errors", errors),
    "unsupported": ("unsupported", lambda value: as_text(as_object(value).get("type"))),
}
"""What may stand beside the content, whatever its type."""


def message_part(raw: Json, kind: str | None, wamid: str | None) -> dict[str, Any]:
    """The typed part of a message."""
    part: dict[str, Any] = {"id": wamid, "type": kind}
    content = raw.get(kind) if kind is not None else None
    if kind == "text":
        if isinstance(content, dict) and isinstance(text := content.get("body"), str):
            part["text"] = text
    elif kind is not None:
        _add_content(part, kind, content)
    else:
        _add_unnamed(part, raw)
    for name, (ours, reader) in _AROUND.items():
        if name in raw:
            found = reader(raw[name])
            if ours is None:
                part |= found
            elif found is not None:
                part[ours] = found
    group = as_id(raw.get("group_id"))
    if group is not None:
        part["group"] = group
    return part


def edit_part(message: Json, about: str | None) -> dict[str, Any]:
    """The typed part of an edit: text and files of the new content."""
    kind = as_text(message.get("type"))
    whole = message_part(message, kind, None)
    part: dict[str, Any] = {"message_id": about, "type": kind}
    for name in ("text", "attachments"):
        if name in whole:
            part[name] = whole[name]
    return part


def _add_content(part: dict[str, Any], kind: str, content: object) -> None:
    reader = _CONTENTS.get(kind)
    if reader is not None:
        part |= {name: value for name, value in reader(kind, content).items() if value is not None}


def _add_unnamed(part: dict[str, Any], raw: Json) -> None:
    """The content of a message without a `type` (META.md section 5.1), by the name under which it stands."""
    text = as_object(raw.get("text")).get("body")
    if isinstance(text, str):
        part["text"] = text
    for name in raw:
        # `contacts` inside a message are cards; beside one they are people, and stand elsewhere.
        if name in _CONTENTS:
            _add_content(part, name, raw[name])
            return


def _file(kind: str, content: object) -> dict[str, Any]:
    media = as_object(content)
    caption = as_text(media.get("caption"))
    return {"text": caption, "attachments": [{"type": kind, **read(_MEDIA, media)}]}


def _location(_: str, content: object) -> dict[str, Any]:
    return {"location": read(_LOCATION, as_object(content))}


def _contacts(_: str, content: object) -> dict[str, Any]:
    return {"contacts": [_card(card) for card in as_list(content) if isinstance(card, dict)] or None}


def _card(card: Json) -> dict[str, Any]:
    made = read(_CARD, card)
    for ours, theirs, name in (
        ("phones", "phones", "phone"),
        ("whatsapp_ids", "phones", "wa_id"),
        ("emails", "emails", "email"),
    ):
        found = [as_plain(as_object(each).get(name)) for each in as_list(card.get(theirs))]
        if any(found):
            made[ours] = [value for value in found if value]
    return made


def _button(_: str, content: object) -> dict[str, Any]:
    button = as_object(content)
    return {"text": as_text(button.get("text")), "payload": as_text(button.get("payload"))}


def _interactive(_: str, content: object) -> dict[str, Any]:
    interactive = as_object(content)
    kind = as_text(interactive.get("type"))
    if kind is None:
        return {}
    reply = {"type": kind, **read(_CHOICE, as_object(interactive.get(kind)))}
    return {
        "interactive": reply,
        "text": reply.get("title"),
        "payload": reply.get("id") or reply.get("form"),
    }


def _order(_: str, content: object) -> dict[str, Any]:
    order = as_object(content)
    lines = [
        read(_ORDER_LINE, line) for line in as_list(order.get("product_items")) if isinstance(line, dict)
    ]
    text = as_text(order.get("text"))
    made = {"catalogue": as_id(order.get("catalog_id")), "text": text, "lines": lines}
    return {"text": text, "order": {name: value for name, value in made.items() if value is not None}}


_CONTENTS: Final[dict[str, Callable[[str, object], dict[str, Any]]]] = {
    **dict.fromkeys(("image", "video", "audio", "voice", "document", "sticker"), _file),
    "location": _location,
    "contacts": _contacts,
    "button": _button,
    "interactive": _interactive,
    "order": _order,
}
"""Types that bring something beside text; all others (unsupported, unknown, request_welcome, …) are in the fragment."""

PRICING: Final[Plan] = plan(
    billable=(as_flag, "billable"),
    model=(as_text, "pricing_model"),
    type=(as_text, "type"),
    category=(as_text, "category"),
)
WINDOW: Final[Plan] = plan(
    id=(as_id, "id"),
    origin=(as_text, "origin.type"),
    expires_at_ms=(time_ms, "expiration_timestamp"),
)
PAYMENT: Final[Plan] = plan(
    reference=(as_text, "payment.reference_id"),
    status=(as_text, "status"),
    transaction=(as_id, "payment.transaction.id"),
    provider=(as_text, "payment.transaction.type"),
    total=(
        inside(plan(amount=(as_plain, "value"), currency=(as_text, "currency"), offset=(as_whole, "offset"))),
        "payment.amount",
    ),
    message_id=(as_id, "id"),
    errors=(errors, "errors"),
)
