"""The canaries reach every event type, and in each every personal field that can hold a text."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest

from contracts.events.registry import EVENT_TYPES
from tests.support import remade
from tests.support.canaries import Canaries, personal_values
from tests.support.remade import items_of

TOO_SHORT = {
    "quantity",
    "price",
    "score",
    "stars",
    "duration_s",
    "started_at_ms",
    "created_at_ms",
    "amount",
    "reaction",
}
"""Numbers of few digits, times that the window is held against, and a word that decides which event it is."""

NUMBERS_ONLY = ("history.progressed", "fragment")
"""A share in per cent, which no other word may stand beside."""


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    return Canaries.drawn()


def test_every_personal_field_that_an_example_has_holds_a_canary_and_the_event_stays_the_same(
    canaries: Canaries,
) -> None:
    held: dict[str, set[str]] = defaultdict(set)
    there: dict[str, set[str]] = defaultdict(set)
    for one in remade.bodies():
        planted = canaries.planted(one)
        items = items_of(planted.body)
        assert items is not None
        assert [item.event_type for item in items] == [one.event_type]
        for path, value in personal_values(items[0]):
            if value not in ("", [], {}):
                there[one.event_type].add(path)
            if canaries.in_value(value):
                held[one.event_type].add(path)
    assert set(held) == set(EVENT_TYPES)
    missing = {name: there[name] - held[name] for name in there}
    assert {
        (name, path)
        for name, paths in missing.items()
        for path in paths
        if path.rpartition(".")[2] not in TOO_SHORT
    } == {NUMBERS_ONLY}
    assert sum(map(len, held.values())) > 450


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_every_personal_field_that_a_type_declares_can_be_filled(canaries: Canaries, name: str) -> None:
    kind = EVENT_TYPES[name]
    data = json.loads(json.dumps(canaries.filled(kind.model)))
    kind.model.model_validate(data)
    for path in kind.personal_fields:
        assert any(canaries.in_value(value) for value in _at(data, path)), path


def _at(node: Any, path: str) -> list[Any]:
    found = [node]
    for name in path.split("."):
        inner = [one[name] for one in found if isinstance(one, dict) and name in one]
        found = [one for value in inner for one in (value if isinstance(value, list) else [value])]
    return found


def test_no_two_canaries_are_the_same(canaries: Canaries) -> None:
    made = [canaries.text() for _ in range(100)] + [canaries.number() for _ in range(100)]
    assert len(set(made)) == 200
