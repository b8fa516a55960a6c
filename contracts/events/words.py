"""An event's data as lines that a person reads: who, then what happened, field by field in the contract's order.

Pure. What it returns is as personal as what it was given: whoever prints it answers for that. Must never return a
character that a terminal obeys.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel

from contracts.events.declaration import model_of
from contracts.events.event import Event, Person
from contracts.events.registry import EVENT_TYPES, UNKNOWN

COLUMNS: Final = 110
LONGEST_VALUE: Final = 200
"""Characters of one value."""
MOST_LEAVES: Final = 24
"""Of a fragment that no type explains."""
_SEPARATOR: Final = " · "
_MILLISECONDS: Final = "_ms"
_SECONDS: Final = "_s"
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


def in_words(event_type: str, data: object) -> list[str]:
    """Lines of at most COLUMNS characters, `what  field: value · …`; empty if nothing is known beside the type.

    `data`: the event's JSON. A type that this release does not know, and what does not have its type's shape, is shown
    by what Meta sent, without its names being explained.
    """
    if not isinstance(data, Mapping):
        return _lines("data", [shown(data)])
    lines = _lines("person", _fields(Person, data.get("person")))
    if data.get("standby") is True:
        lines += _lines("standby", ["another app owns the conversation"])
    declared = EVENT_TYPES.get(event_type)
    if declared is not None:
        for name, model, value in _named(declared.model, data):
            if name in Event.model_fields:
                continue
            if model is not None and isinstance(value, Mapping):
                lines += _lines(name, _fields(model, value))
            else:
                lines += _lines(name, _value(name, model, value))
    if declared is None or event_type == UNKNOWN:
        lines += _lines("fragment", _leaves(data.get("fragment", data)))
    return lines


def shown(value: object) -> str:
    """One value on one line; what does not print is a space, what is long is cut."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in ({}, []):
        return "empty"
    text = value if isinstance(value, str) else str(value)
    if len(text) > LONGEST_VALUE:
        text = text[: LONGEST_VALUE - 1] + "…"
    return "".join(character if character.isprintable() else " " for character in text)


def _lines(title: str, parts: list[str]) -> list[str]:
    if not parts:
        return []
    head = f"{shown(title):<12} "
    return textwrap.wrap(
        head + _SEPARATOR.join(parts),
        COLUMNS,
        subsequent_indent=" " * len(head),
        break_long_words=True,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def _named(
    model: type[BaseModel], value: Mapping[str, Any]
) -> Iterator[tuple[str, type[BaseModel] | None, Any]]:
    """Name, model and value of each field that is there: the model's in its order, then those of another version."""
    for name, field in model.model_fields.items():
        if name in value:
            yield name, model_of(field.annotation), value[name]
    for name, other in value.items():
        if name not in model.model_fields:
            yield name, None, other


def _fields(model: type[BaseModel], value: object) -> list[str]:
    found: list[str] = []
    for name, inner, content in _named(model, value) if isinstance(value, Mapping) else ():
        label = shown(name.removesuffix(_MILLISECONDS).removesuffix(_SECONDS))
        found += [f"{label}: {text}" for text in _value(name, inner, content)]
    return found


def _value(name: str, model: type[BaseModel] | None, value: object) -> list[str]:
    """The value's text: none if it is empty. What is inside something stands in brackets."""
    if value is None or value in ("", [], {}):
        return []
    if isinstance(value, list):
        texts = [text for one in value for text in _value(name, model, one)]
        return ["; ".join(texts)] if texts else []
    if model is not None and isinstance(value, Mapping):
        fields = _fields(model, value)
        return [f"({_SEPARATOR.join(fields)})"] if fields else []
    if isinstance(value, Mapping):
        return [f"({_SEPARATOR.join(_leaves(value))})"]
    if isinstance(value, int) and not isinstance(value, bool):
        if name.endswith(_MILLISECONDS):
            return [_time(value)]
        if name.endswith(_SECONDS):
            return [f"{shown(value)} s"]
    return [shown(value)]


def _time(unix_ms: int) -> str:
    try:
        return (_START + timedelta(milliseconds=unix_ms)).isoformat(timespec="seconds")
    except OverflowError:
        return shown(unix_ms)


def _leaves(fragment: object) -> list[str]:
    """What was sent, each leaf by its path; the first MOST_LEAVES."""
    found: list[str] = []
    for path, value in _walk(fragment):
        if len(found) == MOST_LEAVES:
            return [*found, "…"]
        found.append(f"{path}: {shown(value)}" if path else shown(value))
    return found


def _walk(fragment: object) -> Iterator[tuple[str, object]]:
    """Leaves with their paths, in their order. Does not recurse: a fragment may nest deep."""
    waiting: list[tuple[str, Any]] = [("", fragment)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, Mapping) and value:
            inner = [(f"{path}.{shown(name)}" if path else shown(name), one) for name, one in value.items()]
        elif isinstance(value, list) and value:
            inner = [(f"{path}[{at}]", one) for at, one in enumerate(value)]
        else:
            yield path, value
            continue
        waiting += reversed(inner)
