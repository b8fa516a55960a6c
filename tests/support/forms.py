"""The forms in which a text could stand somewhere, and the search for all of them in bytes."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

SHORTEST: Final = 6
"""Bytes of a form: shorter ones stand everywhere."""


class Wanted:
    """Texts to look for, each in every form. One pass over the bytes for each form: 0.3 s a gigabyte."""

    def __init__(self, texts: Mapping[str, str] | Iterable[str]) -> None:
        """`texts`: by the name that a finding gives; without names their number is it."""
        named = texts if isinstance(texts, Mapping) else {f"canary {n}": text for n, text in enumerate(texts)}
        self.forms: tuple[tuple[str, bytes], ...] = tuple(
            (f"{name} as {form}", needle)
            for name, text in named.items()
            for form, needle in _distinct(forms_of(text))
        )

    def found_in(self, content: bytes) -> list[str]:
        """Which text in which form; never what stands around it."""
        return [name for name, needle in self.forms if needle in content]


def _distinct(forms: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    seen: set[bytes] = set()
    for name, needle in forms:
        if len(needle) >= SHORTEST and needle not in seen:
            seen.add(needle)
            yield name, needle


def forms_of(text: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each form: plain, escaped for JSON or a URL, and each of these as UTF-16, hex and Base64."""
    raw = text.encode()
    escaped = json.dumps(text)[1:-1]
    for name, plain in (("text", raw), ("JSON text", escaped.encode())):
        decoded = plain.decode()
        yield name, plain
        yield f"UTF-16 LE of {name}", decoded.encode("utf-16-le")
        yield f"UTF-16 BE of {name}", decoded.encode("utf-16-be")
        yield f"hex of {name}", plain.hex().encode()
        yield f"upper-case hex of {name}", plain.hex().upper().encode()
        for alignment in range(3):
            for encode in (b64encode, urlsafe_b64encode):
                encoded = encode(b"\0" * alignment + plain)
                # The first and last characters depend on the neighbours.
                yield (
                    f"Base64 {alignment} of {name}",
                    encoded[(0, 2, 3)[alignment] : len(encoded) // 4 * 4 - 4],
                )
    units = text.encode("utf-16-be")
    every = [units[at : at + 2].hex() for at in range(0, len(units), 2)]
    yield "JSON escapes", "".join(f"\\u{unit}" for unit in every).encode()
    yield "upper-case JSON escapes", "".join(f"\\u{unit.upper()}" for unit in every).encode()
    yield "URL text", quote(text, safe="").encode()
    yield "form text", quote_plus(text, safe="").encode()
    yield "URL escapes", "".join(f"%{byte:02X}" for byte in raw).encode()
    yield "lower-case URL escapes", "".join(f"%{byte:02x}" for byte in raw).encode()
