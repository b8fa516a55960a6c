"""What WhatsApp sends in `changes`: each value is a set of lists, and each element of a list is an item. META.md section 8.

Account-level fields have none of those lists: there the change is the item.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from contracts.control import IdKind
from router.split.compose import Entry, Place, account_data, unknown
from router.split.guard import Parts
from router.split.identity import NUMBERS_KEPT, Contacts, canonical_phone
from router.split.item import AccountKey, Item
from router.split.json_body import to_json
from router.split.reading import Json, as_id, as_list, as_object, as_text, step
from router.split.whatsapp_account import account_field, conversion
from router.split.whatsapp_call import call
from router.split.whatsapp_chat import chat_message, chat_status
from router.split.whatsapp_group import (
    group_change,
    group_part,
    participant,
    participants_of,
    without_participants,
)
from router.split.whatsapp_history import history_chunk, history_message, thread_item
from router.split.whatsapp_person import notice, spare_contact
from router.split.whatsapp_value import ValueContext

_HEAD: Final = ("messaging_product", "metadata")
_CHANGE: Final = ("field", "value")
_ABOUT_ONE: Final = frozenset(
    {
        "messages",
        "message_echoes",
        "statuses",
        "calls",
        "user_id_update",
        "user_preferences",
        "automatic_events",
    }
)
"""Lists whose elements are about one person each."""
_ABOUT_MANY: Final = frozenset({"groups", "state_sync", "history", "errors"})
_CONTACTS: Final = "contacts"
_KNOWN: Final = _ABOUT_ONE | _ABOUT_MANY | {_CONTACTS}


def whatsapp_change(parts: Parts, entry: Entry, path: str, change: Json) -> None:
    """All items of one entry of `changes`."""
    field = as_text(change.get("field")) or ""
    value = change.get("value")
    if not isinstance(value, dict) or _KNOWN.isdisjoint(value):
        account, _ = _account(entry, field, as_object(value))
        parts.add(path, account, _whole, entry, path, field, change, account)
        return
    account, data = _account(entry, field, value)
    head: dict[str, Any] = {}
    lists: dict[str, Any] = {}
    for name, inner in value.items():
        if name in _KNOWN:
            lists[name] = inner
        elif name in _HEAD:
            head[name] = inner
    unread: list[tuple[str, str, object]] = []
    if len(lists) + len(head) < len(value) or len(change) > len(_CHANGE) or field == "":
        _leave_over_all(entry, unread, path, change, value)
    contacts = lists.pop(_CONTACTS, [])
    context = _context(entry, path, field, account, data, head, lists, contacts)
    if not _may_repeat(parts, context, lists, as_list(contacts), len(unread)):
        parts.bad(path, account)
        return
    begun_with = len(parts.found)
    for name, elements in lists.items():
        _collection(parts, context, name, elements)
    if contacts != []:
        _spare_contacts(parts, context, contacts)
    for where, name, inner in unread:
        parts.add(where, account, _unread, context, where, name, inner)
    if len(parts.found) == begun_with:  # The lists are all empty.
        parts.add(path, account, _whole, entry, path, field, change, account)


def _may_repeat(parts: Parts, context: ValueContext, lists: Json, contacts: list[Any], unread: int) -> bool:
    """Whether all items of a value may repeat what surrounds them, and each one contact, of which the largest counts."""
    if not parts.large:
        return True
    times = unread + len(contacts) + sum(len(one) for one in lists.values() if isinstance(one, list))
    largest = max(contacts, key=lambda contact: len(to_json(contact)), default="")
    return parts.may_repeat(times, *context.around, largest)


def _leave_over_all(
    entry: Entry, unread: list[tuple[str, str, object]], path: str, change: Json, value: Json
) -> None:
    """All that the value and the change hold beside what is known."""
    for position, (name, inner) in enumerate(value.items()):
        if name not in _KNOWN and name not in _HEAD:
            _leave_over(entry, unread, "value", f"{path}.value.{step(name, position)}", name, inner)
    for position, (name, inner) in enumerate(change.items()):
        if name != "value" and not (name == "field" and isinstance(inner, str)):
            _leave_over(entry, unread, "change", f"{path}.{step(name, position)}", name, inner)


def _account(entry: Entry, field: str, value: Json) -> tuple[AccountKey | None, Json | None]:
    """The phone number where there is one, bound to the WABA that the entry names; else the WABA. META.md section 5.2.

    Where `account_update` has a `waba_info`, that is the WABA it is about: the entry's id is then the partner's.
    """
    number = as_id(as_object(value.get("metadata")).get("phone_number_id"))
    if number is not None:
        return number_account(number, entry.id)
    waba = entry.id
    if field == "account_update":
        waba = as_id(as_object(value.get("waba_info")).get("waba_id")) or waba
    account = AccountKey(IdKind.WABA, waba) if waba is not None else None
    return account, account_data(account)


@lru_cache(maxsize=NUMBERS_KEPT)
def number_account(number: str, waba: str | None) -> tuple[AccountKey, Json | None]:
    """A number of a business, met again with every message of its."""
    account = AccountKey(IdKind.PHONE_NUMBER, number, waba)
    return account, account_data(account)


def _context(
    entry: Entry,
    path: str,
    field: str,
    account: AccountKey | None,
    data: Json | None,
    head: Json,
    lists: Json,
    contacts: object,
) -> ValueContext:
    own_phone = own_number(as_object(head.get("metadata")))
    known: Sequence[Json] = ()
    if contacts:
        known = [contact for contact in as_list(contacts) if isinstance(contact, dict)]
    alone = len(known) == 1 and _is_one(lists)
    return ValueContext(
        entry,
        path,
        field,
        account,
        data,
        head,
        own_phone,
        Contacts(known, own_phone, sole_item=alone),
    )


def own_number(metadata: Json) -> str | None:
    """The business's own number in its canonical form."""
    shown = as_id(metadata.get("display_phone_number"))
    return canonical_phone(shown) if shown is not None else None


def _is_one(lists: Json) -> bool:
    """Whether the lists hold one element altogether, and that is about one person."""
    found = 0
    for name, elements in lists.items():
        if elements:
            found += len(elements) if name in _ABOUT_ONE and isinstance(elements, list) else 2
    return found == 1


def _leave_over(
    entry: Entry, unread: list[tuple[str, str, object]], level: str, path: str, name: str, inner: object
) -> None:
    """Scalars that nothing reads go with the first item; lists and objects become items about nobody."""
    if isinstance(inner, (list, dict)):
        unread.append((path, name, inner))
    else:
        entry.leave_over(level, name, inner)


def _collection(parts: Parts, context: ValueContext, name: str, elements: object) -> None:
    path = f"{context.path}.value.{name}"
    if not isinstance(elements, list):
        parts.bad(path, context.account)
        return
    build = _builder(context.field, name)
    for index, element in enumerate(elements):
        where = f"{path}[{index}]"
        if not isinstance(element, dict):
            parts.bad(where, context.account)
        elif name == "history":
            parts.walk(where, context.account, _history, context, where, element)
        elif name == "groups":
            _group(parts, context, where, element)
        elif name == "statuses" and element.get("type") == "call":
            parts.add(where, context.account, call, context, where, element, name)
        else:
            parts.add(where, context.account, build, context, where, element, name)


def _group(parts: Parts, context: ValueContext, path: str, group: Json) -> None:
    people = participants_of(group)
    if len(people) < 2:
        parts.add(path, context.account, group_change, context, path, group)
        return
    around = without_participants(group)
    if not parts.may_repeat(len(people), *context.around, around):
        parts.bad(path, context.account)
        return
    shared = group_part(around)
    for key, member, person in people:
        inside = f"{path}.{step(key, 0)}[{member}]"
        parts.add(inside, context.account, participant, context, inside, around, shared, key, person)


Builder = Callable[[ValueContext, str, Json, str], Item]


def _builder(field: str, name: str) -> Builder:
    """What makes an item of each element of a list."""
    if name in ("messages", "message_echoes"):
        return (
            history_message if field == "history" else chat_message
        )  # Late media of an import: META.md section 8.
    if name == "statuses":
        return call if field == "calls" else chat_status
    return _OTHER_BUILDERS.get(name, notice)


_OTHER_BUILDERS: Final[dict[str, Builder]] = {"calls": call, "automatic_events": conversion}


def _history(parts: Parts, context: ValueContext, path: str, chunk: Json) -> None:
    """One chunk of an import: every message of every thread is an item of its own."""
    threads = chunk.get("threads")
    if not isinstance(threads, list) or not threads:
        parts.add(path, context.account, history_chunk, context, path, chunk)
        return
    head, extra = _head_of(chunk, "threads", "metadata")
    if not parts.may_repeat(len(threads), *context.around, head):
        parts.bad(path, context.account)
        return
    for index, thread in enumerate(threads):
        where = f"{path}.threads[{index}]"
        if isinstance(thread, dict):
            _thread(parts, context, where, thread, head)
        else:
            parts.bad(where, context.account)
    for position, (name, value) in enumerate(extra.items()):
        inside = f"{path}.{step(name, position)}"
        parts.add(inside, context.account, _unread, context, inside, name, value)


def _thread(parts: Parts, context: ValueContext, path: str, thread: Json, chunk: Json) -> None:
    messages = thread.get("messages")
    if not isinstance(messages, list) or not messages:
        parts.add(path, context.account, thread_item, context, path, thread, thread, chunk)
        return
    head, extra = _head_of(thread, "messages", "context")
    if not parts.may_repeat(len(messages), *context.around, chunk, head):
        parts.bad(path, context.account)
        return
    for index, message in enumerate(messages):
        where = f"{path}.messages[{index}]"
        if isinstance(message, dict):
            parts.add(
                where, context.account, history_message, context, where, message, "threads", head, chunk
            )
        else:
            parts.bad(where, context.account)
    if extra:
        parts.add(path, context.account, thread_item, context, path, extra, thread, chunk)


def _head_of(outer: Json, inner: str, known: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What every item inside repeats (scalars and one known object), and what gets an item of its own."""
    head: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in outer.items():
        if name != inner:
            repeated = name == known or not isinstance(value, (list, dict))
            (head if repeated else extra)[name] = value
    return head, extra


def _spare_contacts(parts: Parts, context: ValueContext, contacts: object) -> None:
    known = context.contacts
    if known.all_taken and isinstance(contacts, list) and len(contacts) == len(known.entries):
        return  # As nearly always.
    path = f"{context.path}.value.{_CONTACTS}"
    if not isinstance(contacts, list):
        parts.bad(path, context.account)
        return
    for index, contact in enumerate(contacts):
        if not isinstance(contact, dict):
            parts.bad(f"{path}[{index}]", context.account)
    for index, contact, person in context.contacts.left_over():
        where = f"{path}[{index}]"
        parts.add(where, context.account, spare_contact, context, where, contact, person)


def _unread(context: ValueContext, path: str, name: str, value: object) -> Item:
    return unknown(context.place(path, {name: value}, name))


def _whole(entry: Entry, path: str, field: str, change: Json, account: AccountKey | None) -> Item:
    """A change that is one item: account-level fields, and those that nobody knows yet."""
    return account_field(
        Place(
            path,
            entry.provider_object,
            account,
            account_data(account),
            entry.time,
            field,
            change,
            entry.envelope("changes", field),
        )
    )
