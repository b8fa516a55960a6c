"""Reading a body as JSON without losing anything and without failing on what JSON allows.

Pure. orjson reads what Meta sends; three oddities go to the standard library: integers beyond 64 bits (orjson would
round them), numbers beyond a double, and escaped halves of surrogate pairs (not characters: RFC 8259 section 8.2).
"""

from __future__ import annotations

import json
import math
from typing import Final, Never

import orjson

from contracts.errors import NotJson

_SEPARATORS: Final = b":,[ \t\r\n-"
_SHAPES: Final = bytes(
    ord("0") if byte in b"0123456789" else ord(":") if byte in _SEPARATORS else ord("x")
    for byte in range(256)
)
_LONG_NUMBER: Final = b":" + b"0" * 19
"""A number outside a string with so many digits that it may not fit 64 bits. A string starts with a quote instead."""


def parse(body: bytes) -> object:
    """The JSON value of `body`. Raises NotJson for anything else: broken UTF-8, NaN, nesting beyond the parser."""
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _parse_oddities(body)
    if _LONG_NUMBER in body.translate(_SHAPES):
        return _parse_oddities(body)
    return parsed


def _parse_oddities(body: bytes) -> object:
    try:
        text = body.decode("utf-8")
        return _characters_only(
            json.loads(text, parse_constant=_refuse, parse_float=_number, parse_int=_integer)
        )
    except (ValueError, RecursionError) as exc:
        raise NotJson("the body is not JSON") from exc


def _refuse(_: str) -> Never:
    raise ValueError("NaN and Infinity are not JSON")


def _number(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= 4000 else digits


def _characters_only(value: object) -> object:
    """The same value with every lone half of a surrogate pair replaced by U+FFFD, so that any reader can read it."""
    if isinstance(value, str):
        return (
            value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    if isinstance(value, list):
        return [_characters_only(element) for element in value]
    if isinstance(value, dict):
        return {_characters_only(name): _characters_only(element) for name, element in value.items()}
    return value


def to_json(value: object) -> bytes:
    """`value` as JSON in UTF-8; integers of any size."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def canonical(value: object) -> bytes:
    """`value` as JSON with sorted names: the same for the same value in whatever order it arrived."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def is_written_at_once(value: object) -> bool:
    """Whether orjson can write it: not if it nests too deep or has an integer beyond 64 bits."""
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


def nests_deeper_than(value: object, levels: int) -> bool:
    """Whether lists and objects stand inside each other more than `levels` deep. Does not recurse."""
    layer = [value]
    for _ in range(levels):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, (list, dict))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not layer:
            return False
    return any(isinstance(inner, (list, dict)) for inner in layer)
