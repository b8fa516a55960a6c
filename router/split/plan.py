"""Reading the typed part of an event by a table: our field, how it is read, and where Meta may have put it.

Pure and tolerant: what is missing or of the wrong type is left out. Hot kinds are read by hand instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from router.split.reading import NOTHING, Json, as_list, as_text, as_whole

Read = Callable[[object], object]
Places = tuple[tuple[str, ...], ...]
How = tuple[Read, str] | tuple[Read, str, str] | tuple[Read, str, str, str] | tuple[Read, str, str, str, str]


class Plan(NamedTuple):
    """By the name under which Meta may have put something: reading costs what was sent, not what could have been."""

    alone: Mapping[str, tuple[str, Read]]
    """Most names: one field of ours and its reader, and the field has no other place."""
    others: Mapping[str, tuple[tuple[str, Read, Places], ...]]
    """Fields, each with all its places."""


def plan(**fields: How) -> Plan:
    """A table: field to (how it is read, places). The first place that gives a value wins; dots go inside."""
    table: dict[str, tuple[tuple[str, Read, Places], ...]] = {}
    for name, (reader, *places) in fields.items():
        steps = tuple(tuple(place.split(".")) for place in places)
        for first in dict.fromkeys(place[0] for place in steps):
            table[first] = (*table.get(first, ()), (name, reader, steps))
    alone = {
        key: (found[0][0], found[0][1])
        for key, found in table.items()
        if len(found) == 1 and found[0][2] == ((key,),)
    }
    return Plan(alone, {key: found for key, found in table.items() if key not in alone})


def read(table: Plan, value: Json) -> dict[str, Any]:
    """The part; fields without a value are left out."""
    part: dict[str, Any] = {}
    alone, others = table
    for key, found in value.items():
        if key in alone:
            name, reader = alone[key]
            if found is not None and (result := reader(found)) is not None:
                part[name] = result
        elif key in others:
            for name, reader, places in others[key]:
                if name not in part and (result := _first(reader, places, value)) is not None:
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
