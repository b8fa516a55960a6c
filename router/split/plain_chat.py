"""The commonest delivery by far, one WhatsApp message or status and nothing else, read without the general walk.

Gives exactly what the walk in `router.split.delivery` and `router.split.whatsapp` gives (tests/property/test_split_plain.py), or None: then the
walk must do it. Saves a third of the time of such a delivery (docs/measurements-split.md).
"""

from __future__ import annotations

from typing import Any, Final

from router.split.compose import Place
from router.split.identity import Contacts, Identifiers
from router.split.item import BadItem, Item
from router.split.reading import Json, as_id, as_object
from router.split.whatsapp import number_account, own_number
from router.split.whatsapp_chat import SENDER, about_group, message_of, status_ids, status_of

_OBJECT: Final = "whatsapp_business_account"
_ENTRY: Final = frozenset({"id", "time", "changes"})
_MESSAGE: Final = frozenset({"messaging_product", "metadata", "contacts", "messages"})
_STATUS: Final = frozenset({"messaging_product", "metadata", "statuses"})
_MESSAGE_PATH: Final = "entry[0].changes[0].value.messages[0]"
_STATUS_PATH: Final = "entry[0].changes[0].value.statuses[0]"
_OTHER_PEOPLE: Final = ("call", "system")
"""Kinds that name people elsewhere too."""


def plain_chat(delivery: Json) -> list[Item | BadItem] | None:
    """The one item of a delivery of the plain shape; None for any other. `delivery` is not too deep to serialise."""
    if len(delivery) != 2 or delivery.get("object") != _OBJECT:
        return None
    entry = _only(delivery.get("entry"))
    if entry is None or not entry.keys() <= _ENTRY:
        return None
    change = _only(entry.get("changes"))
    if change is None or len(change) != 2 or change.get("field") != "messages":
        return None
    value = change.get("value")
    if not isinstance(value, dict):
        return None
    contact: Json | None = None
    if value.keys() == _MESSAGE:
        raw, contact = _only(value["messages"]), _only(value["contacts"])
        if contact is None:
            return None
    elif value.keys() == _STATUS:
        raw = _only(value["statuses"])
    else:
        return None
    metadata = value["metadata"]
    if raw is None or not isinstance(metadata, dict):
        return None
    number = as_id(metadata.get("phone_number_id"))
    if number is None or raw.get("type") in _OTHER_PEOPLE:
        return None
    return _read(entry, number, value, raw, contact)


def _read(
    entry: Json, number: str, value: Json, raw: Json, contact: Json | None
) -> list[Item | BadItem] | None:
    head: dict[str, Any] = {"id": entry["id"]} if "id" in entry else {}
    if "time" in entry:
        head["time"] = entry["time"]
    account, account_data = number_account(number, as_id(entry.get("id")))
    own_phone = own_number(value["metadata"])
    envelope: dict[str, Any] = {
        "object": _OBJECT,
        "entry": head,
        "channel": "changes",
        "field": "messages",
        "value": {"messaging_product": value["messaging_product"], "metadata": value["metadata"]},
    }
    path, collection = (_STATUS_PATH, "statuses") if contact is None else (_MESSAGE_PATH, "messages")
    place = Place(
        path, _OBJECT, account, account_data, entry.get("time"), "messages", raw, envelope, collection
    )
    try:
        if contact is None:
            is_group = about_group(raw)
            person = status_ids(own_phone, raw, is_group=is_group).person()
            return [status_of(place, raw, person, is_group=is_group)]
        ids = Identifiers(own_phone).add_all(raw, *SENDER)
        if _same_ids(contact, raw):
            person = ids.person(as_object(contact.get("profile")))
        else:
            person, theirs = Contacts((contact,), own_phone, sole_item=True).complete(ids)
            if not theirs:
                return None
        envelope["contacts"] = [contact]
        return [message_of(place, raw, person, "inbound")]
    except Exception:  # The walk fails at it again, and says where.
        return None


def _same_ids(contact: Json, raw: Json) -> bool:
    """Whether a contact has the very ids of who wrote the message, as nearly always."""
    return (
        contact.get("wa_id") == raw.get("from")
        and contact.get("user_id") == raw.get("from_user_id")
        and contact.get("parent_user_id") == raw.get("from_parent_user_id")
    )


def _only(elements: object) -> dict[str, Any] | None:
    """The one element of a list, if it is an object."""
    if isinstance(elements, list) and len(elements) == 1 and isinstance(elements[0], dict):
        return elements[0]
    return None
