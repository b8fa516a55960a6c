"""Splitting one delivery into its items. Pure: no I/O, clock, randomness or logger, so splitting again gives the same.

Total: every leaf of the body is in some item or inside a part that was set aside. Linear in the size of the body.
META.md section 5, DESIGN.md section 4.5.
"""

from __future__ import annotations

from typing import Any, Final

from contracts.control import IdKind
from contracts.errors import ContractViolation, NotJson
from router.split.account import account_change, fields_changed
from router.split.compose import Entry, Place, account_data, unknown
from router.split.guard import DEEPEST, SMALL, Parts
from router.split.instagram import instagram_change
from router.split.item import AccountKey, BadItem, Item
from router.split.json_body import is_written_at_once, parse
from router.split.messaging import field_of, kinds_in, messaging_item, names_account
from router.split.page import page_change
from router.split.plain_chat import plain_chat
from router.split.reading import Json, as_id, as_text, step
from router.split.whatsapp import whatsapp_change

UNKNOWN_OBJECT: Final = "unknown_object"

_WHATSAPP: Final = "whatsapp_business_account"
_ACCOUNT_KINDS: Final = {
    "page": IdKind.PAGE,
    "instagram": IdKind.INSTAGRAM,
    _WHATSAPP: IdKind.WABA,
    "permissions": IdKind.APP_SCOPED_USER,
    "user": IdKind.APP_SCOPED_USER,
}
_LISTS: Final = ("messaging", "standby", "changes")
_CHANNELS: Final = frozenset(_LISTS)
_HEAD: Final = ("id", "uid", "time")
_DELIVERY: Final = ("object", "entry")
_ENTRY: Final = frozenset({*_LISTS, *_HEAD})


def split(body: bytes) -> list[Item | BadItem]:
    """All items of one delivery, in its order. Never raises: what cannot be read comes back as a bad item."""
    try:
        delivery = parse(body)
    except NotJson:
        return [BadItem("", NotJson.code)]
    if not isinstance(delivery, dict):
        return [BadItem("", ContractViolation.code)]
    word = delivery.get("object")
    if not isinstance(word, str):
        return [BadItem("", ContractViolation.code)]
    if word.lower() not in _ACCOUNT_KINDS:
        return [BadItem("", UNKNOWN_OBJECT)]
    entries = delivery.get("entry")
    if not isinstance(entries, list) or not entries:
        return [BadItem("", ContractViolation.code)]
    deep = _may_be_deep(body, delivery)
    if not deep:
        plain = plain_chat(delivery) if word == _WHATSAPP else _sole_item(word, delivery, entries)
        if plain is not None:
            return plain
    return walk(word, delivery, entries, doubts_depth=deep, large=len(body) >= SMALL)


def _sole_item(word: str, delivery: Json, entries: list[Any]) -> list[Item | BadItem] | None:
    """The one item of an entry of a Page or an Instagram account, and nothing beside it; None: the walk must do it."""
    raw, provider_object = entries[0], word.lower()
    if (
        len(delivery) != len(_DELIVERY)
        or len(entries) != 1
        or not isinstance(raw, dict)
        or provider_object == _WHATSAPP
    ):
        return None
    channels = raw.keys() - _HEAD
    if len(channels) != 1 or not channels <= _CHANNELS:  # What else stands there is for the walk to carry.
        return None
    (channel,) = channels
    elements = raw[channel]
    if not isinstance(elements, list) or len(elements) != 1 or not isinstance(elements[0], dict):
        return None
    entry, account = _entry(provider_object, word, raw, {})
    path = f"entry[0].{channel}[0]"
    try:
        return [_item(entry, channel, path, elements[0], account)]
    except Exception:  # The walk fails at it again, and says where.
        return None


def walk(
    word: str, delivery: Json, entries: list[Any], *, doubts_depth: bool, large: bool
) -> list[Item | BadItem]:
    """The general way through a delivery.

    `word`: its `object` as it arrived; `doubts_depth`: look at every item's depth; `large`: count what items repeat.
    """
    provider_object = word.lower()
    parts = Parts(doubts_depth, large)
    around = _around(parts, delivery, single=len(entries) == 1)
    if around and not parts.may_repeat(len(entries), around):
        return [BadItem("", ContractViolation.code)]
    for index, raw in enumerate(entries):
        path = f"entry[{index}]"
        if isinstance(raw, dict):
            parts.walk(path, None, _split_entry, provider_object, word, path, raw, around)
        else:
            parts.bad(path)
    if around and not any(isinstance(part, Item) for part in parts.found):  # Nothing was there to carry it.
        parts.bad("")
    return parts.found


def _may_be_deep(body: bytes, delivery: Json) -> bool:
    """Whether items must be looked at for their depth. Most bodies have fewer brackets than that."""
    return body.count(b"{") + body.count(b"[") > DEEPEST and not is_written_at_once(delivery)


def _around(parts: Parts, delivery: Json, *, single: bool) -> dict[str, Any]:
    """What stands beside `object` and `entry`: it goes with the first item of each entry.

    A list or object could be about any of several accounts, so no account gets it: it is set aside.
    """
    around: dict[str, Any] = {}
    if len(delivery) == len(_DELIVERY):  # As nearly always: nothing stands beside them.
        return around
    for position, (name, value) in enumerate(delivery.items()):
        if name in _DELIVERY:
            continue
        if single or not isinstance(value, (list, dict)):
            around[name] = value
        else:
            parts.bad(step(name, position))
    return around


def _split_entry(
    parts: Parts, provider_object: str, word: str, path: str, raw: Json, around: dict[str, Any]
) -> None:
    entry, account = _entry(provider_object, word, raw, around)
    if not parts.may_repeat(
        sum(len(raw[name]) for name in _LISTS if isinstance(raw.get(name), list)), entry.head
    ):
        parts.bad(path, account)
        return
    begun_with = len(parts.found)
    extra = [] if raw.keys() <= _ENTRY else _extra(entry, path, raw)
    for name in _LISTS:
        if name not in raw:
            continue
        elements = raw[name]
        if not isinstance(elements, list):
            parts.bad(f"{path}.{name}", account)
            continue
        for index, element in enumerate(elements):
            where = f"{path}.{name}[{index}]"
            if not isinstance(element, dict):
                parts.bad(where, account)
            elif name == "changes" and provider_object == _WHATSAPP:
                parts.walk(where, account, whatsapp_change, entry, where, element)
            else:
                parts.add(where, account, _item, entry, name, where, element, account)
    for where, name, value in extra:  # `changed_fields`, or a list nobody knows yet.
        parts.add(where, account, _unknown_part, entry, where, name, value, account)
    if entry.left_over or len(parts.found) == begun_with:  # Nothing was there to carry it.
        parts.bad(path, account)


def _entry(
    provider_object: str, word: str, raw: Json, around: dict[str, Any]
) -> tuple[Entry, AccountKey | None]:
    """What the items of an entry share, and the account that it names."""
    identifier = as_id(raw.get("id"))
    if provider_object in ("permissions", "user"):
        identifier = as_id(raw.get("uid")) or identifier
    head: dict[str, Any] = {}
    for name in _HEAD:
        if name in raw:
            head[name] = raw[name]
    entry = Entry(
        provider_object, identifier, raw.get("time"), head, word, {"delivery": around} if around else {}
    )
    account = AccountKey(_ACCOUNT_KINDS[provider_object], identifier) if identifier is not None else None
    return entry, account


def _extra(entry: Entry, path: str, raw: Json) -> list[tuple[str, str, object]]:
    """Lists and objects of an entry that nobody knows, with their place; scalars go with the next item."""
    extra: list[tuple[str, str, object]] = []
    for position, (name, value) in enumerate(raw.items()):
        if name in _ENTRY:
            continue
        if isinstance(value, (list, dict)):
            extra.append((f"{path}.{step(name, position)}", name, value))
        else:
            entry.leave_over("entry", name, value)
    return extra


def _item(entry: Entry, channel: str, path: str, raw: Json, account: AccountKey | None) -> Item:
    """One element of `messaging`, `standby` or `changes` that is one item."""
    changed = channel == "changes"
    kinds = () if changed else kinds_in(raw)
    field = as_text(raw.get("field")) or "" if changed else field_of(raw, kinds)
    if account is None and not changed and entry.provider_object in ("page", "instagram"):
        named = names_account(raw)
        account = AccountKey(_ACCOUNT_KINDS[entry.provider_object], named) if named is not None else None
    place = Place(
        path,
        entry.provider_object,
        account,
        account_data(account),
        entry.time,
        field,
        raw,
        entry.envelope(channel, field),
        standby=channel == "standby",
    )
    own = account.value if account is not None else None
    match entry.provider_object:
        case "page":
            return page_change(place, raw, own) if changed else messaging_item(place, raw, own, kinds)
        case "instagram":
            return instagram_change(place, raw, own) if changed else messaging_item(place, raw, own, kinds)
        case "permissions" | "user":
            return account_change(place)
        case _:
            return unknown(place)


def _unknown_part(entry: Entry, path: str, name: str, value: object, account: AccountKey | None) -> Item:
    place = Place(
        path,
        entry.provider_object,
        account,
        account_data(account),
        entry.time,
        name,
        {name: value},
        entry.envelope("entry", name),
    )
    if name == "changed_fields":
        return fields_changed(place, value)
    return unknown(place)
