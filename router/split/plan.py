"""Reading the typed part of an event by a table: our field, how it is read, and where Meta may have put it.

Pure and tolerant: what is missing or of the wrong type is left out. Hot kinds are read by hand instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from router.split.reading import NOTHING, Json, as_list, as_text, as_whole

Read = Callable[[object], object]
Places = tuple[tuple[str, ...], ...]
Field = tuple[str, Read, str | None, Places]
"""Our field, its reader, and the one plain name it has; or, with None, the places to look in."""
Plan = Mapping[str, tuple[Field, ...]]
"""By the name under which Meta may have put something: reading costs what was sent, not what could have been."""
How = tuple[Read, str] | tuple[Read, str, str] | tuple[Read, str, str, str] | tuple[Read, str, str, str, str]


def plan(**fields: How) -> Plan:
    """A table: field to (how it is read, places). The first place that gives a value wins; dots go inside."""
    table: dict[str, tuple[Field, ...]] = {}
    for name, (reader, *places) in fields.items():
        steps = tuple(tuple(place.split(".")) for place in places)
        plain = places[0] if len(places) == 1 and "." not in places[0] else None
        for first in dict.fromkeys(place[0] for place in steps):
            table[first] = (*table.get(first, ()), (name, reader, plain, steps))
    return table


def read(table: Plan, value: Json) -> dict[str, Any]:
    """The part; fields without a value are left out."""
    part: dict[str, Any] = {}
    for key in value:
        for name, reader, plain, places in table.get(key, ()):
            if plain is not None:
                found = value[key]
                result = None if found is None else reader(found)
            elif name in part:
                continue
            else:
                result = _first(reader, places, value)
            if result is not None:
                part[name] = result
    return part


def _first(reader: Read, places: Places, value: Json) -> object:
    for place in places:
        found: object = value
        for step in place:
            if not isinstance(found, dict):
                found = None
                break
            found = found.get(step)
        if found is not None:
            result = reader(found)
            if result is not None:
                return result
    return None


def inside(table: Plan) -> Read:
    """Reads an object by a table of its own; an empty one counts as missing."""

    def reader(value: object) -> object:
        return (read(table, value) if isinstance(value, dict) else NOTHING) or None

    return reader


def each(table: Plan) -> Read:
    """Reads the objects of a list by a table; what is no object is left out."""

    def reader(value: object) -> object:
        return [read(table, element) for element in as_list(value) if isinstance(element, dict)] or None

    return reader


ERROR = plan(
    code=(as_whole, "code"),
    title=(as_text, "title", "message"),
    details=(as_text, "error_data.details", "details"),
    help_url=(as_text, "href"),
)
errors = each(ERROR)
