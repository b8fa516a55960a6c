"""One byte-exact JSON for whatever is signed or hashed: keys sorted, no white space, integers only.

RFC 8785 (JCS) without its numbers that are not integers. Two values that are equal have the same bytes, in every
language. Must never be used for what people read.
"""

from __future__ import annotations

import json
from typing import Final

JsonValue = str | int | bool | None | list["JsonValue"] | dict[str, "JsonValue"]
_LARGEST: Final = 2**53 - 1
"""Beyond it a JSON reader may round (RFC 8785 section 3.2.2.3)."""
_WRITER: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def canonical(value: JsonValue) -> bytes:
    """The bytes of `value`. Raises ValueError for a number that is not a whole one within ±(2^53 - 1) and for text that
    is not Unicode.
    """
    _require_plain(value)
    return _WRITER.encode(value).encode()


def is_canonical(raw: bytes) -> bool:
    """Whether these bytes are what `canonical` gives for the value they say."""
    try:
        return canonical(json.loads(raw)) == raw
    except (ValueError, RecursionError):
        return False


def _require_plain(value: object) -> None:
    # JCS sorts keys by UTF-16, Python by code point: for ASCII, which all our keys are, that is the same.
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise ValueError("a key is not ASCII")
            _require_plain(inner)
    elif isinstance(value, list):
        for inner in value:
            _require_plain(inner)
    elif isinstance(value, int):
        if abs(value) > _LARGEST:
            raise ValueError("a number is too large for every reader")
    elif not (value is None or isinstance(value, str)):
        raise ValueError("only text, whole numbers, booleans, null, lists and objects have one spelling")
