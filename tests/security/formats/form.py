"""One of our formats as an attacker holds it: named pieces of bytes, and how its reader opens them.

What a reader does with anything but the pieces as they were made must be a typed refusal: `refused` says whether it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from contracts.errors import ServiceError, TamperedRecord
from contracts.headers import Headers

Pieces = Mapping[str, bytes]
Opening = Callable[[Pieces], object]
HEADER = "header "


@dataclass(frozen=True, slots=True)
class Form:
    """A format. `moved`: openings of the same bytes in another place than they were made for; each must refuse."""

    name: str
    pieces: Pieces = field(repr=False)
    open: Opening = field(repr=False)
    moved: Mapping[str, Opening] = field(default_factory=dict, repr=False)
    refusals: tuple[type[ServiceError], ...] = (TamperedRecord,)
    added: tuple[str, ...] = ()
    """Beginnings of header names of which none may be added."""
    bits: int = 1
    """How many bits of each byte are turned, one after the other: the first tells the position's turn."""


def flipped(pieces: Pieces, bits: int) -> Iterator[tuple[str, Pieces]]:
    """The pieces with one bit turned, for every position of every piece; with more than one bit, for each of them."""
    for name, content in pieces.items():
        for position in range(len(content)):
            for bit in range(bits):
                changed = bytearray(content)
                changed[position] ^= 1 << (position + bit) % 8
                yield f"{name}, byte {position}, bit {(position + bit) % 8}", {**pieces, name: bytes(changed)}


def resized(pieces: Pieces) -> Iterator[tuple[str, Pieces]]:
    """A piece cut short, made longer or emptied."""
    for name, content in pieces.items():
        sizes = {0, 1, len(content) // 2, len(content) - 1} - {len(content)}
        for size in sorted(size for size in sizes if 0 <= size < len(content)):
            yield f"{name} cut to {size}", {**pieces, name: content[:size]}
        yield f"{name} with a byte more", {**pieces, name: content + b"\x00"}
        yield f"{name} with a byte before", {**pieces, name: b"\x00" + content}


def reheadered(pieces: Pieces, added: tuple[str, ...]) -> Iterator[tuple[str, Pieces]]:
    """A header taken out, renamed or added, each kind."""
    headers = [name for name in pieces if name.startswith(HEADER)]
    for name in headers:
        rest = {key: value for key, value in pieces.items() if key != name}
        yield f"without {name}", rest
        yield f"{name} renamed", {**rest, f"{name}x": pieces[name]}
    for prefix in added:
        yield f"a {prefix} header more", {**pieces, f"{HEADER}{prefix}added": b"1"}


def exchanged(pieces: Pieces, others: Pieces) -> dict[str, Pieces]:
    """Each piece that another record has otherwise, taken from it."""
    return {
        f"with the {name} of another record": {**pieces, name: others[name]}
        for name in pieces
        if others.get(name, pieces[name]) != pieces[name]
    }


def headers_of(pieces: Pieces) -> Headers:
    """The pieces that are headers, as Kafka's."""
    return [(name.removeprefix(HEADER), value) for name, value in pieces.items() if name.startswith(HEADER)]


def with_headers(headers: Headers, **others: bytes) -> dict[str, bytes]:
    """Pieces of a Kafka record."""
    return {**others, **{HEADER + name: value for name, value in headers}}


def verdict(form: Form, opening: Opening, pieces: Pieces) -> str:
    """Empty if it was refused as it must be; else what happened instead."""
    try:
        opening(pieces)
    except form.refusals:
        return ""
    except Exception as exc:
        return f"{type(exc).__name__} instead of a refusal"
    return "accepted"
