"""Reading the typed part of an event by a table: our field, how it is read, and where Meta may have put it.

Pure and tolerant: what is missing or of the wrong type is left out. Hot kinds are read by hand instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from router.split.reading import NOTHING, Json, as_list, as_object, as_text, as_whole

Read = Callable[[object], object]
Plan = tuple[tuple[str, Read, tuple[tuple[str, ...], ...]], ...]


def plan(**fields: tuple[Read, str] | tuple[Read, str, str] | tuple[Read, str, str, str]) -> Plan:
    """A table: field to (how it is read, places). The first place that gives a value wins; dots go inside."""
    return tuple(
        (name, how[0], tuple(tuple(place.split(".")) for place in how[1:])) for name, how in fields.items()
    )


def read(table: Plan, value: Json) -> dict[str, Any]:
    """The part; fields without a value are left out."""
    part: dict[str, Any] = {}
    for name, reader, places in table:
        for place in places:
            found: object = value
            for step in place:
                found = as_object(found).get(step)
            if found is None:
                continue
            result = reader(found)
            if result is not None:
                part[name] = result
                break
    return part


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
