"""Splitting is total: no leaf of a delivery is lost, and each item is an event. META.md section 5."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from contracts.events.declaration import model_of
from contracts.events.registry import EVENT_TYPES, Moment, Subject
from router.split import BadItem, data_json, split
from router.split.check import checker
from tests.property.any_delivery import ANYTHING, DELIVERIES, SCALARS
from tests.support.items import corpus, found, needs_corpus


def leaves(value: object) -> Iterator[str]:
    """Every scalar of a JSON value, written out."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    else:
        yield json.dumps(value)


def set_aside(delivery: object, path: str) -> Iterator[str]:
    """The leaves of the part that a bad item names, and what surrounds it beside lists: quarantine has the whole record."""
    part: Any = delivery
    for step in path.replace("[", ".[").split("."):
        if step.startswith("["):
            part = part[int(step[1:-1])]
        elif step:
            head = [
                inner for name, inner in part.items() if name in ("id", "uid") or not isinstance(inner, list)
            ]
            yield from leaves(head)
            part = list(part.values())[int(step[1:])] if step.startswith("~") else part[step]
    yield from leaves(part)


def assert_nothing_is_lost(body: bytes) -> None:
    delivery = json.loads(body)
    carried: set[str] = set()
    for part in split(body):
        if isinstance(part, BadItem):
            assert part.reason in ("contract_violation", "unknown_object"), part
            carried |= set(set_aside(delivery, part.path))
        else:
            carried |= set(leaves(json.loads(data_json(part))))
    missing = set(leaves(delivery)) - carried
    assert not missing


def assert_each_item_is_an_event(body: bytes) -> None:
    for item in found(body):
        kind = EVENT_TYPES[item.event_type]
        kind.model.model_validate(orjson.loads(data_json(item)))
        assert item.direction in kind.directions, (kind.name, item.direction)
        assert kind.subject is not Subject.NOBODY or not item.aliases, kind.name
        assert kind.occurred_at is not Moment.UNDATED or item.occurred_at_ms is None, kind.name
        domains = [alias.domain for alias in item.aliases]
        assert len(set(item.aliases)) == len(item.aliases)
        assert domains == sorted(domains, key=list(type(domains[0])).index) if domains else True
        assert item.occurred_at_ms is None or 0 < item.occurred_at_ms < 1 << 48


@settings(max_examples=300, deadline=None)
@given(DELIVERIES)
@example({"object": "page", "entry": [{"id": "1", "messaging": [{}]}]})
@example({"object": "whatsapp_business_account", "entry": [{"changes": [{"value": {"contacts": ""}}]}]})
@example({"object": "page", "entry": [{"id": "1", "novelty": 7, "messaging": ["?"]}]})
@example({"object": "page", "entry": [{"id": "1", "novelty": None, "messaging": [{}]}], "novelty": False})
def test_every_leaf_of_a_delivery_is_in_an_item_or_in_a_part_that_was_set_aside(delivery: object) -> None:
    body = json.dumps(delivery).encode()
    assert_nothing_is_lost(body)
    assert_each_item_is_an_event(body)


PART_MODELS = sorted(
    {kind.part_model for kind in EVENT_TYPES.values() if kind.part_model is not None},
    key=lambda model: model.__name__,
)


@pytest.mark.parametrize("model", PART_MODELS, ids=lambda model: model.__name__)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_quick_check_of_a_part_and_its_model_agree(model: type[BaseModel], data: st.DataObject) -> None:
    check = checker(model)
    scalars = SCALARS | st.sampled_from(["react", "1", 1.0])
    values = scalars | st.lists(scalars, max_size=2)
    names = st.sampled_from([*model.model_fields, "novelty"])
    part = data.draw(st.dictionaries(names, values, max_size=4))
    for name, field in model.model_fields.items():
        inner = model_of(field.annotation)
        if inner is not None and name in part:
            one = data.draw(
                st.dictionaries(st.sampled_from([*inner.model_fields, "novelty"]), values, max_size=3)
            )
            part[name] = data.draw(st.sampled_from([one, [one], part[name]]))
    assert _refuses(check, part) == _refuses(model.model_validate, part)


def _refuses(check: Callable[[Any], object], part: object) -> bool:
    try:
        check(part)
    except ValidationError:
        return True
    return False


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_no_body_crashes_it(body: bytes) -> None:
    assert split(body)


@needs_corpus
@pytest.mark.corpus
def test_no_leaf_of_the_corpus_is_lost_and_every_item_is_an_event() -> None:
    for _, body in corpus():
        assert_nothing_is_lost(body)
        assert_each_item_is_an_event(body)


@needs_corpus
@pytest.mark.corpus
def test_a_mutated_corpus_never_crashes_it_and_never_loses_a_leaf() -> None:
    chance = random.Random(11)
    junk: list[object] = [None, True, 0, -1, 10**20, "", "x", [], {}, ["x"], {"id": "x"}, "\u0000", 1.5]
    for _, body in corpus():
        for _ in range(3):
            delivery = json.loads(body)
            _mutate(delivery, chance, junk)
            mutated = json.dumps(delivery).encode()
            assert all(part.reason != "defect" for part in split(mutated) if isinstance(part, BadItem))
            if isinstance(delivery.get("entry"), list) and delivery["entry"]:
                assert_nothing_is_lost(mutated)


def _mutate(value: object, chance: random.Random, junk: list[object]) -> None:
    places: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        outer = stack.pop()
        keys = (
            outer.keys() if isinstance(outer, dict) else range(len(outer)) if isinstance(outer, list) else ()
        )
        for key in keys:
            if key != "object":
                places.append((outer, key))
                stack.append(outer[key])  # type: ignore[index]
    for outer, key in chance.sample(places, min(2, len(places))):
        outer[key] = chance.choice(junk)
