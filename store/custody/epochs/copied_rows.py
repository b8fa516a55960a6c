"""Reads PostgreSQL's binary COPY, as an export holds it: whole rows, or one row found by its first field.

Source: postgresql.org/docs/current/sql-copy.html, "Binary Format". Pure.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\x00"
_HEADER: Final = len(SIGNATURE) + 8
_FIELDS: Final = Struct(">h")
_LENGTH: Final = Struct(">i")
_INT4: Final = Struct(">i")
_INT2: Final = Struct(">h")

Row = tuple[bytes | None, ...]


def int_of(field: bytes | None) -> int:
    """A smallint's or an integer's value. Raises ValueError for anything else."""
    if field is None or len(field) not in (2, 4):
        raise ValueError("not an integer field")
    value: int = (_INT2 if len(field) == 2 else _INT4).unpack(field)[0]
    return value


def row_at(raw: bytes, start: int) -> tuple[Row, int]:
    """The row whose number of fields stands at `start`, and where the next one begins. Raises ValueError at the end."""
    if start + _FIELDS.size > len(raw) or (count := _FIELDS.unpack_from(raw, start)[0]) < 0:
        raise ValueError("no row here")
    at = start + _FIELDS.size
    fields: list[bytes | None] = []
    for _ in range(count):
        if at + _LENGTH.size > len(raw):
            raise ValueError("a row is cut off")
        length = _LENGTH.unpack_from(raw, at)[0]
        at += _LENGTH.size
        if length < 0:
            fields.append(None)
            continue
        if at + length > len(raw):
            raise ValueError("a row is cut off")
        fields.append(raw[at : at + length])
        at += length
    return tuple(fields), at


def all_rows(raw: bytes) -> list[Row]:
    """Every row of a whole, small table."""
    if not raw.startswith(SIGNATURE):
        raise ValueError("not a binary COPY")
    rows, at = [], _HEADER
    while raw[at : at + 2] != b"\xff\xff":
        row, at = row_at(raw, at)
        rows.append(row)
    return rows


class RowFinder:
    """Looks for the row whose first field is a given UUID in pieces of a table, without reading every row."""

    _KEPT: Final = 4_096

    def __init__(self, first: bytes, fields: int) -> None:
        self._pattern = _FIELDS.pack(fields) + _LENGTH.pack(len(first)) + first
        self._tail = b""
        self.row: Row | None = None

    def feed(self, piece: bytes) -> None:
        """The next piece."""
        if self.row is not None:
            return
        joined = self._tail + piece
        start = joined.find(self._pattern)
        if start >= 0:
            try:
                self.row = row_at(joined, start)[0]
            except ValueError:  # the rest of the row is in the next piece
                self._tail = joined[start:]
            return
        self._tail = joined[-self._KEPT :]
