"""The one rule for Meta's timestamps. META.md section 11."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_MILLISECONDS_FROM: Final = 10**12
_EVENT_ID_LIMIT: Final = 1 << 48
"""Event ids have 48 bits for milliseconds: what does not fit is no time."""
_ISO_8601: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:?[0-9]{2})"
)


def time_ms(value: object) -> int | None:
    """Unix milliseconds, or None for anything that is not a usable time (the event is then undated).

    Seconds or milliseconds, as a number or a string of digits: at or above 1e12 it is milliseconds. ISO 8601 with an
    offset occurs in other people's fixtures. Whether the time is plausible (DESIGN.md section 8) is the router's question.
    """
    if isinstance(value, str):
        if not (value.isascii() and value.isdigit() and len(value) <= 20):
            return _iso_8601_ms(value)
        number = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    else:
        return None
    if number < _MILLISECONDS_FROM:
        number *= 1000
    return number if 0 < number < _EVENT_ID_LIMIT else None


def _iso_8601_ms(value: str) -> int | None:
    if not _ISO_8601.fullmatch(value):
        return None
    try:
        number = int(datetime.fromisoformat(value).timestamp() * 1000)
    except ValueError:
        return None
    return number if 0 < number < _EVENT_ID_LIMIT else None
