"""Bodies with one notice in them, and the one item that it becomes."""

from __future__ import annotations

from typing import Any

from contracts.events.registry import EVENT_TYPES
from router.split import Item, split
from tests.fixtures.meta import bodies as meta

GROUP = "1203@g.us"


def only(body: bytes) -> Item:
    (found,) = split(body)
    assert isinstance(found, Item)
    return found


def part(item: Item) -> dict[str, Any]:
    name = EVENT_TYPES[item.event_type].part
    assert name is not None
    made: dict[str, Any] = item.data[name]
    EVENT_TYPES[item.event_type].model.model_validate(item.data)
    return made


def account(field: str, **value: object) -> bytes:
    return meta.whatsapp(value, field, time=meta.NOW_S)


def of_number(field: str, name: str, *elements: object) -> bytes:
    return meta.whatsapp(meta.value(**{name: list(elements)}), field)


def in_group(field: str, kind: str, **more: object) -> bytes:
    change = {"group_id": GROUP, "type": kind, "timestamp": str(meta.NOW_S), **more}
    return of_number(field, "groups", change)
