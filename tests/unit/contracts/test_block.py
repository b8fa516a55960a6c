"""Blocks: what went in comes out, bounded, and nothing else does."""

from __future__ import annotations

import os

import cramjam
import pytest

from contracts.block import MAX_BLOCK_BYTES, Delivery, pack, raw_partition, unpack
from contracts.errors import TamperedRecord

DELIVERIES = [
    Delivery("demo", 1_760_000_000_123, b"{}"),
    Delivery("other-app", 1, b""),
    Delivery("demo", 2, os.urandom(5000)),
]


def test_deliveries_come_out_as_they_went_in() -> None:
    compressed, size = pack(DELIVERIES)
    assert list(unpack(compressed, size, 3)) == DELIVERIES


def test_four_mib_that_do_not_compress_fit_a_raw_record() -> None:
    compressed, size = pack([Delivery("demo", 1, os.urandom(4 << 20))])
    assert len(compressed) < (5 << 20) - 4096
    assert len(unpack(compressed, size, 1)[0].body) == 4 << 20


@pytest.mark.parametrize("off", [-1, 1])
def test_another_size_than_the_sealed_one_is_refused(off: int) -> None:
    compressed, size = pack(DELIVERIES)
    with pytest.raises(TamperedRecord):
        unpack(compressed, size + off, 3)


@pytest.mark.parametrize("count", [0, 2, 4])
def test_another_count_than_the_sealed_one_is_refused(count: int) -> None:
    compressed, size = pack(DELIVERIES)
    with pytest.raises(TamperedRecord):
        unpack(compressed, size, count)


def test_a_decompression_bomb_is_refused_before_it_grows() -> None:
    bomb = bytes(cramjam.zstd.compress(bytes(MAX_BLOCK_BYTES + 1)))
    with pytest.raises(TamperedRecord):
        unpack(bomb, MAX_BLOCK_BYTES + 1, 1)
    with pytest.raises(TamperedRecord):
        unpack(bomb, 1000, 1)


@pytest.mark.parametrize(
    "plain", [b"\x00", b"\x00\x04demo", b"\xff\xff" + bytes(20), b"\x00\x01\xff" + bytes(12)]
)
def test_a_block_that_cannot_be_read_is_tampering(plain: bytes) -> None:
    with pytest.raises(TamperedRecord):
        unpack(bytes(cramjam.zstd.compress(plain)), len(plain), 1)


def test_bytes_that_are_not_zstd_are_tampering() -> None:
    with pytest.raises(TamperedRecord):
        unpack(b"not zstd at all", 10, 1)


def test_a_body_never_shows_in_a_repr() -> None:
    assert "secret text" not in repr(Delivery("demo", 1, b"secret text"))


def test_the_partition_depends_on_app_and_entry_alone_and_spreads() -> None:
    assert raw_partition("demo", b"10", 4) == raw_partition("demo", b"10", 4)
    assert {raw_partition("demo", str(number).encode(), 4) for number in range(100)} == {0, 1, 2, 3}
