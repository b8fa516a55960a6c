"""What counts as breaking for those who read the events, kind by kind."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from contracts.generate.breaking import all_changes, breaking_changes, changes

Schema = dict[str, Any]
OLD: Schema = {
    "$id": "urn:mkchannels:event:a.b:1",
    "x-retention": "conversation",
    "x-legal-basis": "lgpd_7_v",
    "x-scope": "messaging",
    "x-purpose": "answer",
    "type": "object",
    "properties": {
        "direction": {"enum": ["inbound", "outbound"], "type": "string"},
        "person": {"anyOf": [{"$ref": "#/$defs/Person"}, {"type": "null"}], "x-personal": True},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}},
        "place": {"anyOf": [{"$ref": "#/$defs/Point"}, {"$ref": "#/$defs/Address"}]},
        "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        "fragment": {"x-personal": True},
    },
    "required": ["direction", "person"],
    "$defs": {
        "Person": {
            "type": "object",
            "properties": {"phone": {"type": ["string", "null"]}, "code": {"type": "string", "maxLength": 9}},
            "required": ["phone"],
        },
        "Part": {
            "type": "object",
            "properties": {
                "kind": {"const": "text"},
                "inner": {"type": "array", "items": {"$ref": "#/$defs/Part"}},
            },
        },
        "Point": {"type": "object", "properties": {"latitude": {"type": "number"}}},
        "Address": {"type": "object", "properties": {"street": {"type": "string"}}},
    },
}


def _changed(edit: Callable[[Schema], object]) -> Schema:
    new = copy.deepcopy(OLD)
    edit(new)
    return new


BREAKING = {
    "a removed field": (lambda s: s["properties"].pop("parts"), "data.parts: is gone"),
    "a removed field behind a reference in a choice": (
        lambda s: s["$defs"]["Person"]["properties"].pop("code"),
        "data.person.code: is gone",
    ),
    "a retyped field": (
        lambda s: s["properties"].update(parts={"type": "string"}),
        "data.parts: was array, is now string",
    ),
    "a field that may be null where it was not": (
        lambda s: s["$defs"]["Person"]["properties"].update(code={"type": ["string", "null"]}),
        "data.person.code: was string, is now null or string",
    ),
    "a choice that is gone": (
        lambda s: s["properties"].update(person={"$ref": "#/$defs/Person", "x-personal": True}),
        "data.person: was null or object, is now object",
    ),
    "a shape of several that is gone": (
        lambda s: (
            s["properties"]["place"]["anyOf"].append({"$ref": "#/$defs/Part"})
            or s["properties"]["place"]["anyOf"].pop(0)
        ),
        "data.place: is never Point any more",
    ),
    "a narrowed enum": (
        lambda s: s["properties"]["direction"]["enum"].remove("outbound"),
        "data.direction: is never outbound any more",
    ),
    "an enum where any word was": (
        lambda s: s["$defs"]["Address"]["properties"]["street"].update(enum=["a", "b"]),
        "data.place.street: may now only be a, b",
    ),
    "another constant": (
        lambda s: s["$defs"]["Part"]["properties"].update(kind={"const": "image"}),
        "data.parts[].kind: is never text any more",
    ),
    "a new required field": (
        lambda s: s["properties"].update(extra={"type": "string"}) or s["required"].append("extra"),
        "data.extra: is new and required",
    ),
    "an old field that becomes required": (
        lambda s: s["required"].append("parts"),
        "data.parts: is now required",
    ),
    "a field that is no longer always there": (
        lambda s: s["required"].remove("direction"),
        "data.direction: is no longer always there",
    ),
    "a tightened limit": (
        lambda s: s["$defs"]["Person"]["properties"]["code"].update(maxLength=5),
        "data.person.code: maxLength was 9, is now 5",
    ),
    "a new pattern": (
        lambda s: s["$defs"]["Person"]["properties"]["code"].update(pattern="^x"),
        "data.person.code: pattern was none, is now ^x",
    ),
    "retyped entries of a list": (
        lambda s: s["properties"]["parts"].update(items={"type": "string"}),
        "data.parts[]: was object, is now string",
    ),
    "retyped values of a map": (
        lambda s: s["properties"]["counts"].update(additionalProperties={"type": "string"}),
        "data.counts.*: was integer, is now string",
    ),
    "names that are not allowed any more": (
        lambda s: s.update(additionalProperties=False),
        "data: allows fewer names than before",
    ),
    "a word more, which readers of the older release refuse": (
        lambda s: s["properties"]["direction"]["enum"].append("system"),
        "data.direction: may now also be system",
    ),
    "any word, where readers keep to a list": (
        lambda s: s["properties"]["direction"].pop("enum"),
        "data.direction: may now be any word",
    ),
    "a loosened limit, which readers of the older release keep": (
        lambda s: s["$defs"]["Person"]["properties"]["code"].update(maxLength=10),
        "data.person.code: maxLength was 9, is now 10",
    ),
    "one more shape, which readers of the older release do not know": (
        lambda s: s["properties"]["place"]["anyOf"].append({"$ref": "#/$defs/Part"}),
        "data.place: may now also be Part",
    ),
    "a lifted mark": (
        lambda s: s["properties"]["person"].pop("x-personal"),
        "data.person.phone: is no longer marked as personal",
    ),
    "a mark of a value that holds nothing more": (
        lambda s: s["properties"]["fragment"].pop("x-personal"),
        "data.fragment: is no longer marked as personal",
    ),
    "another retention class": (
        lambda s: s.update({"x-retention": "account"}),
        "data: retention class was conversation, is now account",
    ),
    "another legal basis": (
        lambda s: s.update({"x-legal-basis": "lgpd_7_ix"}),
        "data: legal basis was lgpd_7_v, is now lgpd_7_ix",
    ),
    "another consent scope": (
        lambda s: s.update({"x-scope": "account"}),
        "data: consent scope was messaging, is now account",
    ),
    "a type for what was anything": (
        lambda s: s["properties"].update(fragment={"type": "object"}),
        "data.fragment: was anything, is now object",
    ),
}

HARMLESS = {
    "a new optional field": (
        lambda s: s["$defs"]["Person"]["properties"].update(name={"type": "string"}),
        "data.person.name: is new and optional",
    ),
    "a purpose in other words": (
        lambda s: s.update({"x-purpose": "answer them"}),
        "data: purpose was answer, is now answer them",
    ),
    "a new mark": (
        lambda s: s["properties"]["direction"].update({"x-personal": True}),
        "data.direction: is now marked as personal",
    ),
}


def _moved_inside(schema: Schema) -> None:
    schema["properties"]["person"].pop("x-personal")
    for inner in schema["$defs"]["Person"]["properties"].values():
        inner["x-personal"] = True


@pytest.mark.parametrize(("edit", "words"), BREAKING.values(), ids=BREAKING)
def test_it_breaks_readers_and_is_said_in_words(edit: Callable[[Schema], object], words: str) -> None:
    assert words in breaking_changes(OLD, _changed(edit))


@pytest.mark.parametrize(("edit", "words"), HARMLESS.values(), ids=HARMLESS)
def test_it_breaks_nobody_and_is_still_said(edit: Callable[[Schema], object], words: str) -> None:
    new = _changed(edit)
    assert breaking_changes(OLD, new) == []
    assert [str(change) for change in changes(OLD, new)] == [words]


def test_a_mark_that_moves_to_everything_inside_protects_as_before() -> None:
    new = _changed(_moved_inside)
    assert breaking_changes(OLD, new) == []
    assert "data.person.phone: is now marked as personal" in [str(one) for one in changes(OLD, new)]


def test_our_own_records_between_processes_may_gain_words() -> None:
    record = {**OLD, "$id": "urn:mkchannels:record:a.b:1"}
    new = copy.deepcopy(record)
    new["properties"]["direction"]["enum"].append("system")
    assert breaking_changes(record, new) == []


def test_a_new_field_breaks_readers_that_refuse_unknown_names() -> None:
    old = {**OLD, "additionalProperties": False}
    new = copy.deepcopy(old)
    new["properties"]["extra"] = {"type": "string"}
    assert breaking_changes(old, new) == [
        "data.extra: is new, and older readers refuse names that they do not know"
    ]


def test_the_same_under_other_names_and_another_spelling_is_no_change() -> None:
    new = _changed(lambda s: s["$defs"].update(Human=s["$defs"].pop("Person")))
    new["properties"]["person"]["anyOf"][0]["$ref"] = "#/$defs/Human"
    new["$defs"]["Human"]["properties"]["phone"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert changes(OLD, new) == []


def test_a_type_that_is_gone_breaks_and_a_new_one_does_not() -> None:
    found = all_changes({("a.b", 1): OLD}, {("c.d", 1): OLD})
    assert [(str(change), change.breaks) for change in found] == [
        ("a.b: the event type is gone", True),
        ("c.d: a new event type", False),
    ]


def test_a_raised_version_may_change_anything_if_the_past_one_stays() -> None:
    new = _changed(lambda s: s["properties"].pop("parts"))
    kept = all_changes({("a.b", 1): OLD}, {("a.b", 1): OLD, ("a.b", 2): new})
    assert [str(change) for change in kept] == ["a.b: version 2 follows version 1", "a.b.parts: is gone"]
    assert not any(change.breaks for change in kept)
    assert any(change.breaks for change in all_changes({("a.b", 1): OLD}, {("a.b", 2): new}))


def test_a_past_version_that_is_altered_breaks() -> None:
    altered = _changed(lambda s: s["properties"].pop("parts"))
    found = all_changes({("a.b", 1): OLD, ("a.b", 2): OLD}, {("a.b", 1): altered, ("a.b", 2): OLD})
    assert [str(change) for change in found if change.breaks] == ["a.b.parts: is gone"]
