"""What WhatsApp tells about a person: changed ids and keys, wishes, the address book, spare contacts. META.md sections 8, 9."""

from __future__ import annotations

from typing import Any, Final

from router.split.compose import Place, compose
from router.split.identity import Identifiers, Person
from router.split.item import Direction, Item
from router.split.plan import ERROR, inside, plan, read
from router.split.reading import Json, as_id, as_object, as_text, as_whole
from router.split.times import time_ms
from router.split.whatsapp_content import IDENTITY
from router.split.whatsapp_value import ValueContext

_IDS: Final = ("user_id", "wa_id", "from_user_id", "from")
_PARENTS: Final = ("parent_user_id", "from_parent_user_id")
HISTORY_DECLINED: Final = 2593109

_NEW_NUMBER: Final = plan(
    previous_phone=(as_id, "from"),
    phone=(as_id, "system.new_wa_id", "system.wa_id"),
    bsuid=(as_id, "system.user_id"),
    parent_bsuid=(as_id, "system.parent_user_id"),
    notice=(as_text, "system.body"),
)
_NEW_KEY: Final = plan(key=(inside(IDENTITY), "identity", "system.identity"), notice=(as_text, "system.body"))
_NOTICE: Final = plan(type=(as_text, "system.type"), notice=(as_text, "system.body"))
_NEW_IDS: Final = plan(
    previous_bsuid=(as_id, "user_id.previous"),
    bsuid=(as_id, "user_id.current"),
    previous_parent_bsuid=(as_id, "parent_user_id.previous"),
    parent_bsuid=(as_id, "parent_user_id.current"),
    phone=(as_id, "wa_id"),
    notice=(as_text, "detail"),
)
_PREFERENCE: Final = plan(
    value=(as_text, "value"),
    category=(as_text, "category"),
    detail=(as_text, "detail"),
    signup=(as_id, "signup_id"),
)
_BOOK_ENTRY: Final = plan(
    action=(as_text, "action"),
    full_name=(as_text, "contact.full_name"),
    first_name=(as_text, "contact.first_name"),
    phone=(as_id, "contact.phone_number"),
    username=(as_text, "contact.username"),
)
_CHANGED_IDS: Final = {
    "user_changed_number": "phone",
    "customer_changed_number": "phone",
    "user_changed_user_id": "user_id",
}


def identity_of(raw: Json, own_phone: str | None) -> Identifiers:
    """The ids at the top of an object; for `user_id_update` the current ones first, then the previous."""
    ids = Identifiers(own_phone)
    for version in ("current", "previous"):
        ids.add(as_object(raw.get("user_id")).get(version))
        ids.add(as_object(raw.get("parent_user_id")).get(version), parent=True)
    return ids.add_all(raw, _IDS, _PARENTS)


def add_changed_ids(ids: Identifiers, system: Json) -> None:
    """A number or BSUID that changed: old and new are one person (META.md section 9.2)."""
    ids.add_all(system, ("user_id", "wa_id", "new_wa_id"), ("parent_user_id",))


def system_message(place: Place, raw: Json, person: Person, wamid: str | None, group: str | None) -> Item:
    """A message of type `system`: WhatsApp says something in the chat."""
    kind = as_text(as_object(raw.get("system")).get("type")) or ""
    if kind in _CHANGED_IDS:
        event_type = "identity.changed"
        part = {"change": _CHANGED_IDS[kind], **read(_NEW_NUMBER, raw)}
    elif kind == "customer_identity_changed":
        event_type, part = "identity.key_changed", read(_NEW_KEY, raw)
    else:
        event_type, part = "system_notice.received", read(_NOTICE, raw)
    return compose(
        place,
        event_type,
        part,
        person=person,
        direction="system",
        occurred_at_ms=time_ms(raw.get("timestamp")),
        native_id=wamid,
        message_id=wamid,
        conversation=group,
    )


def notice(context: ValueContext, path: str, raw: Json, collection: str) -> Item:
    """An element of `errors`, `user_preferences`, `user_id_update` or `state_sync`."""
    place = context.place(path, raw, collection)
    ids = identity_of(raw, context.own_phone)
    occurred_at = raw.get("timestamp")
    direction: Direction = "system"
    part: dict[str, Any]
    if collection == "state_sync":
        ids.add_all(as_object(raw.get("contact")), ("user_id", "phone_number"), ("parent_user_id",))
        occurred_at = as_object(raw.get("metadata")).get("timestamp", occurred_at)
        event_type, part = "contact_book.changed", read(_BOOK_ENTRY, raw)
    elif collection == "user_preferences":
        direction = "inbound"
        event_type, part = "preference.changed", read(_PREFERENCE, raw)
    elif collection == "user_id_update":
        event_type, part = "identity.changed", {"change": "user_id", **read(_NEW_IDS, raw)}
    elif context.field == "history" and as_whole(raw.get("code")) == HISTORY_DECLINED:
        event_type, part = "history.declined", {"errors": [read(ERROR, raw)]}
    else:
        event_type, part = "error.reported", {"error": read(ERROR, raw), "concerns": context.field}
    return compose(
        place,
        event_type,
        part,
        person=context.person(ids, place),
        direction=direction,
        occurred_at_ms=time_ms(occurred_at),
    )


def spare_contact(context: ValueContext, path: str, contact: Json, person: Person) -> Item:
    """A contact that belongs to no item of the value."""
    profile = as_object(contact.get("profile"))
    part = {name: text for name in ("name", "username") if (text := as_text(profile.get(name)))}
    return compose(
        context.place(path, contact, "contacts"),
        "contact.reported",
        part,
        person=person,
        direction="system",
        occurred_at_ms=None,
    )
