"""The sealed block: what one raw record holds, 1..n deliveries that waited at the same moment.

Plaintext: for each delivery `app length 2 | app | received at, Unix ms 8 | body length 4 | body`; then zstd. The
sealed `mk_size` header bounds the decompression, `mk_count` says how many deliveries there are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from struct import Struct
from struct import error as struct_error
from typing import Final, NamedTuple

import cramjam

from contracts.errors import TamperedRecord

MAX_BLOCK_BYTES: Final = 8 * 1_048_576
ZSTD_LEVEL: Final = 1
_APP: Final = Struct(">H")
_HEAD: Final = Struct(">QI")


class Delivery(NamedTuple):
    """One verified HTTP attempt of Meta's: the app it came for, when it arrived, its exact body."""

    app: str
    received_at_ms: int
    body: bytes

    def __repr__(self) -> str:
        return f"Delivery(app={self.app!r}, received_at_ms={self.received_at_ms!r})"


def pack(deliveries: Iterable[Delivery]) -> tuple[bytes, int]:
    """The compressed block and its size before compression."""
    parts: list[bytes] = []
    for delivery in deliveries:
        app = delivery.app.encode("ascii")
        parts += (
            _APP.pack(len(app)),
            app,
            _HEAD.pack(delivery.received_at_ms, len(delivery.body)),
            delivery.body,
        )
    plain = b"".join(parts)
    return bytes(cramjam.zstd.compress(plain, level=ZSTD_LEVEL)), len(plain)


def unpack(compressed: bytes, size: int, count: int) -> Sequence[Delivery]:
    """The deliveries of a block. Raises TamperedRecord if size or count of the sealed header do not hold."""
    if not 0 < size <= MAX_BLOCK_BYTES:
        raise TamperedRecord("a block of this size cannot be ours")
    plain = bytearray(size)
    try:
        written = cramjam.zstd.decompress_into(compressed, plain)
    except cramjam.DecompressionError as exc:
        raise TamperedRecord("the block does not decompress") from exc
    if written != size:
        raise TamperedRecord("the block is not as long as it says")
    view = bytes(plain)
    deliveries: list[Delivery] = []
    at = 0
    try:
        head, app = b"", ""
        while at < size:
            if not head or not view.startswith(head, at):  # A block is nearly always all for one app.
                (app_length,) = _APP.unpack_from(view, at)
                head = view[at : at + 2 + app_length]
                app = head[2:].decode("ascii")
            at += len(head)
            received_at_ms, body_length = _HEAD.unpack_from(view, at)
            at += _HEAD.size
            body = view[at : at + body_length]
            if len(body) != body_length:
                raise TamperedRecord("the block ends inside a delivery")
            at += body_length
            deliveries.append(Delivery(app, received_at_ms, body))
    except (struct_error, UnicodeDecodeError) as exc:
        raise TamperedRecord("the block cannot be read") from exc
    if len(deliveries) != count:
        raise TamperedRecord("the block holds another number of deliveries than it says")
    return deliveries


def raw_partition(app: str, routing: bytes, partitions: int) -> int:
    """The explicit partition of a delivery: SHA-256(app, first `entry` id, else the body) mod n. DESIGN.md section 3."""
    digest = hashlib.sha256(app.encode("ascii") + b"\x00" + routing).digest()
    return int.from_bytes(digest[:8]) % partitions
