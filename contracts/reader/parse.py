"""The JSON of an event's data: all that the router lets through, and nothing that is not JSON. Pure."""

from __future__ import annotations

import json
from typing import Any, Never

from pydantic_core import from_json


def parse(raw: bytes) -> Any:
    """The value. Raises ValueError unless it is JSON of UTF-8, without NaN, nested less than about 900 levels."""
    try:
        return from_json(raw, allow_inf_nan=False)
    except ValueError:
        pass  # not JSON, or nested beyond that parser's 200 levels, which the router allows
    try:
        return json.loads(raw.decode(), parse_constant=_refuse)
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc


def _refuse(_: str) -> Never:
    raise ValueError("not JSON")
