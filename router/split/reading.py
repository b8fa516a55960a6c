"""Tolerant reading of Meta's values: a field of the wrong type reads as missing, and nothing here raises. META.md section 5.1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from contracts.ids import canonical_hash
from router.split.json_body import canonical

Json = Mapping[str, Any]
"""A JSON object as parsed; never changed, since several items may refer to it."""

_WORD: Final = re.compile(r"[A-Za-z_]{1,64}")
_MOST_DIGITS: Final = 15
_LARGEST: Final = 10**_MOST_DIGITS
_DECIMAL: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")

NOTHING: Final[Json] = {}


def as_object(value: object) -> Json:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else NOTHING


def as_list(value: object) -> list[Any]:
    """The list, or an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """The string, or None. An empty string stays one."""
    return value if isinstance(value, str) else None


def as_id(value: object) -> str | None:
    """An identifier as a string: ids also arrive as JSON numbers (META.md section 5.1). None if missing or empty."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def as_plain(value: object) -> str | None:
    """A string or number as text; None for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def as_flag(value: object) -> bool | None:
    """True or False, or None."""
    return value if isinstance(value, bool) else None


def as_whole(value: object) -> int | None:
    """A whole number, also as a string of digits; None if missing, broken or beyond 15 digits."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS else None
    if isinstance(value, float) and value.is_integer():
        value = int(value) if abs(value) < _LARGEST else None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return value
    return None


def as_number(value: object) -> float | None:
    """A number, also as a string; None if missing, broken or beyond reason."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LARGEST:
        return float(value)
    return None


def as_ids(value: object) -> list[str] | None:
    """The identifiers in a list; None if there are none."""
    return [found for found in map(as_id, as_list(value)) if found is not None] or None


def as_word(value: object) -> str:
    """A scalar as it goes into a discriminator; empty if missing."""
    if isinstance(value, str):
        return value
    return "" if value is None else canonical(value).decode("utf-8")


def step(name: str, position: int) -> str:
    """One step of an item's path. Paths stand outside the seal: a name that is no plain word is told by its position."""
    return name if _WORD.fullmatch(name) else f"~{position}"


def content_hash(value: object) -> str:
    """A hash of the canonical value, for items that have no id of their own. META.md section 12."""
    return canonical_hash(canonical(value))
