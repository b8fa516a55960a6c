"""The commonest delivery by far, one WhatsApp message or status and nothing else, read without the general walk.

Gives exactly what the walk in `router.split.delivery` and `router.split.whatsapp` gives (tests/property/test_split_plain.py), or None: then the
walk must do it. Saves a third of the time of such a delivery (docs/measurements-split.md).
"""

from __future__ import annotations

from typing import Any, Final

from router.split.compose import Entry
from router.split.guard import Parts
from router.split.identity import Contacts
from router.split.item import BadItem, Item
from router.split.reading import Json, as_id
from router.split.whatsapp import number_account, own_number
from router.split.whatsapp_chat import chat_message, chat_status
from router.split.whatsapp_value import ValueContext

_OBJECT: Final = "whatsapp_business_account"
_ENTRY: Final = frozenset({"id", "time", "changes"})
_MESSAGE: Final = frozenset({"messaging_product", "metadata", "contacts", "messages"})
_STATUS: Final = frozenset({"messaging_product", "metadata", "statuses"})
_PATH: Final = "entry[0].changes[0]"
_MESSAGE_PATH: Final = f"{_PATH}.value.messages[0]"
_STATUS_PATH: Final = f"{_PATH}.value.statuses[0]"


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
    if number is None or raw.get("type") == "call":
        return None
    return _read(entry, number, value, raw, contact)


def _read(
    entry: Json, number: str, value: Json, raw: Json, contact: Json | None
) -> list[Item | BadItem] | None:
    head: dict[str, Any] = {"id": entry["id"]} if "id" in entry else {}
    if "time" in entry:
        head["time"] = entry["time"]
    shared = Entry(_OBJECT, as_id(entry.get("id")), entry.get("time"), head, _OBJECT, {})
    account, data = number_account(number, shared.id)
    own_phone = own_number(value["metadata"])
    contacts = Contacts(() if contact is None else (contact,), own_phone, sole_item=True)
    around = {"messaging_product": value["messaging_product"], "metadata": value["metadata"]}
    context = ValueContext(shared, _PATH, "messages", account, data, around, own_phone, contacts)
    parts = Parts(doubts_depth=False)
    if contact is None:
        parts.add(_STATUS_PATH, account, chat_status, context, _STATUS_PATH, raw, "statuses")
    else:
        parts.add(_MESSAGE_PATH, account, chat_message, context, _MESSAGE_PATH, raw, "messages")
    return parts.found if contacts.all_taken else None


def _only(elements: object) -> dict[str, Any] | None:
    """The one element of a list, if it is an object."""
    if isinstance(elements, list) and len(elements) == 1 and isinstance(elements[0], dict):
        return elements[0]
    return None
