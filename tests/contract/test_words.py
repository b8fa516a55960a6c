"""Every event type reads as words on a terminal, made from its declaration; nothing in them commands the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts.events.event import Event
from contracts.events.registry import EVENT_TYPES
from contracts.events.words import COLUMNS, LONGEST_VALUE, MOST_LEAVES, in_words

EXAMPLES = sorted((Path(__file__).parents[2] / "contracts" / "examples").glob("*/*/*.json"))


def texts(value: Any) -> Iterator[str]:
    """Every string in a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from texts(inner)


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: "-".join(path.parts[-3:]))
def test_an_example_reads_as_lines_that_hold_all_its_type_says_and_no_json(path: Path) -> None:
    name = path.parent.parent.name
    data = json.loads(path.read_bytes())
    lines = in_words(name, data)
    assert all(len(line) <= COLUMNS and line.isprintable() for line in lines)
    said = squeezed("".join(lines))
    assert "{" not in said
    typed = {part: value for part, value in data.items() if part not in Event.model_fields}
    assert typed.keys() <= EVENT_TYPES[name].model.model_fields.keys()
    for text in texts([typed, data["person"]]):
        assert squeezed(text[: LONGEST_VALUE - 1]) in said


def test_fields_stand_in_the_contracts_order_with_times_and_lists_in_words() -> None:
    call = {
        "errors": [{"title": "Busy", "code": 7}, {"code": 8}],
        "ended_at_ms": 1_772_456_400_000,
        "duration_s": 120,
        "status": None,
        "id": "wacid.1",
        "recording": {"voice": True, "type": "audio"},
    }
    assert in_words("call.ended", {"person": {"phone": "5531987650001"}, "call": call, "fragment": {}}) == [
        "person       phone: 5531987650001",
        "call         id: wacid.1 · ended_at: 2026-03-02T13:00:00+00:00 · duration: 120 s · recording: (type: audio ·",
        "             voice: yes) · errors: (code: 7 · title: Busy); (code: 8)",
    ]


def test_what_no_type_explains_is_shown_leaf_by_leaf_and_not_without_end() -> None:
    fragment = {"hologram": {"colours": ["red", 2], "empty": {}}, "of": None}
    for name in ("unknown.received", "hologram.seen"):
        (line,) = in_words(name, {"fragment": fragment})
        assert line.endswith(
            "hologram.colours[0]: red · hologram.colours[1]: 2 · hologram.empty: empty · of: none"
        )
    assert in_words("hologram.seen", {"text": "hi"}) == ["fragment     text: hi"]
    assert in_words("hologram.seen", [1]) == ["data         [1]"]
    many = " ".join(in_words("unknown.received", {"fragment": list(range(MOST_LEAVES + 1))}))
    assert f"[{MOST_LEAVES - 1}]" in many
    assert f"[{MOST_LEAVES}]" not in many
    assert many.endswith("…")


def test_nothing_a_person_writes_reaches_the_terminal_as_a_command() -> None:
    nasty = "\x1b[2J\x9b\u202egnp.exe\x07\r\n\ud800\0"
    for data in (
        {"message": {"text": nasty, "id": nasty}, "person": {"name": nasty}},
        {"fragment": {nasty: [nasty]}},
        {"message": {"text": {nasty: nasty}}},
        {"message": [nasty], "person": nasty},
    ):
        for name in ("message.received", "unknown.received"):
            assert all(line.isprintable() for line in in_words(name, data))
    assert "gnp.exe" in "".join(in_words("message.received", {"message": {"text": nasty}}))


def test_a_value_without_end_is_cut() -> None:
    lines = in_words("message.received", {"message": {"text": "a" * 10_000, "id": "m"}})
    assert sum(map(len, lines)) < LONGEST_VALUE + 200
    assert "a…" in "".join(lines).replace(" ", "")


def test_fields_of_another_version_are_shown_after_those_that_are_known() -> None:
    data = {
        "mood": "cheerful",
        "message": {"scent": {"of": ["rain"]}, "text": "Oi"},
        "fragment": {"text": "Oi"},
    }
    assert in_words("message.received", data) == [
        "message      text: Oi · scent: (of[0]: rain)",
        "mood         cheerful",
    ]
