"""A batch of records in Kafka's own format, joined from parts that are bytes already, and compressed by zstd at our level.

aiokafka's builder writes every header of every record by itself; here whoever
makes many records keeps what they have in common as bytes. Its sender takes the batch as it takes one of its own, so that
sequence numbers, retries and acknowledgements stay its business. Must never hold a record back: it is sent as it is.
Format: https://kafka.apache.org/documentation/#recordbatch (magic 2).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Final

import cramjam
from aiokafka.record.util import calc_crc32c

ZSTD_LEVEL: Final = -3
"""A batch of sealed events is noise with the same headers in every record. zstd finds those at any level; the client's level
3 spends five microseconds an event on the noise, for 2 % fewer bytes (docs/measurements.md)."""

_HEAD: Final = Struct(">qiib")
"""Base offset (the broker's), length from behind itself, leader epoch, magic."""
_CRC: Final = Struct(">I")
_BODY: Final = Struct(">hiqqqhii")
"""What the checksum covers, with the records: attributes, last offset, both times, producer, its epoch, sequence, count."""
_MAGIC: Final = 2
_ZSTD: Final = 4
"""The compression's number in the attributes."""
_START: Final = b"\x00\x00"
"""Of a record: no attributes, no time of its own (the broker's counts)."""
_LONGEST_SIZE: Final = 5
"""Bytes of a record's own size, at most."""


@lru_cache(maxsize=8_192)
def varint(number: int) -> bytes:
    """A length or an offset, 0 or more, as Kafka's records write it (zigzag, seven bits a byte)."""
    rest = number << 1
    written = bytearray()
    while rest > 0x7F:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)


def header(name: str, value: bytes) -> bytes:
    """One header of a record."""
    return header_start(name, len(value)) + value


def headers(pairs: Sequence[tuple[str, bytes]]) -> bytes:
    """Some headers of a record."""
    return b"".join([header(name, value) for name, value in pairs])


def header_start(name: str, length: int) -> bytes:
    """A header whose value of `length` bytes follows."""
    encoded = name.encode()
    return varint(len(encoded)) + encoded + varint(length)


class RecordBatch:
    """What aiokafka's `send_batch` asks of a batch; closed from the start, so nothing of the client's joins it."""

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes`: before compression; a first record always goes in."""
        self._most_bytes = most_bytes
        self._parts: list[bytes] = []
        self._bytes = 0
        self._count = 0
        self._producer = (-1, -1, -1)
        self._built: bytes | None = None

    def add(self, key: bytes, value: bytes, pieces: Sequence[bytes], count: int) -> bool:
        """Take one record; False when it has no room. `pieces`: of its `count` headers, as they are written here."""
        record = (
            _START,
            varint(self._count),
            varint(len(key)),
            key,
            varint(len(value)),
            value,
            varint(count),
            *pieces,
        )
        size = sum(map(len, record))
        if self._count and self._bytes + size + _LONGEST_SIZE > self._most_bytes:
            return False
        self._parts.append(varint(size))
        self._parts += record
        self._bytes += size + _LONGEST_SIZE
        self._count += 1
        return True

    # What the client calls.

    def record_count(self) -> int:
        """How many records went in."""
        return self._count

    def closed(self) -> bool:
        """Nothing is added once the client has it."""
        return True

    def close(self) -> None:
        """It is closed."""

    def append(self, **_: object) -> None:
        """The client's way to add to a batch that waits: None, this one is full."""
        return

    def size(self) -> int:
        """Bytes, roughly, before compression."""
        return self._bytes

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytes:
        """The same bytes for every attempt: that is what the sequence number promises."""
        if self._built is None:
            records = cramjam.zstd.compress(b"".join(self._parts), level=ZSTD_LEVEL)
            self._parts = []
            now_ms = int(time.time() * 1000)
            last = self._count - 1
            head = _BODY.pack(_ZSTD, last, now_ms, now_ms, *self._producer, self._count)
            body = b"".join((head, records))
            self._built = b"".join(
                (_HEAD.pack(0, 9 + len(body), -1, _MAGIC), _CRC.pack(calc_crc32c(body)), body)
            )
        return self._built
