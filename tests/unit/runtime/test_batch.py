"""A batch of our own making is what the client's would have been, and the client's sender can send it."""

import os
from collections.abc import Sequence

import cramjam
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from runtime.kafka.batch import RecordBatch, header, header_start
from runtime.kafka.batch import headers as written
from tests.support.batches import records_of

Record = tuple[bytes, bytes, list[tuple[str, bytes]]]
FRAME = 61
"""Bytes of a batch before its records."""
RECORDS = st.lists(
    st.tuples(
        st.binary(max_size=70),
        st.binary(max_size=200) | st.integers(8_100, 8_300).map(bytes),
        st.lists(st.tuples(st.text(max_size=70), st.binary(max_size=70)), max_size=70),
    ),
    min_size=1,
    max_size=70,
)


def filled(records: Sequence[Record], most_bytes: int = 1 << 24) -> RecordBatch:
    """A batch of as many of these as it takes."""
    batch = RecordBatch(most_bytes)
    for key, value, headers in records:
        if not batch.add(key, value, (written(headers),), len(headers)):
            break
    return batch


@given(RECORDS)
def test_its_records_are_those_of_the_clients_own_builder(records: list[Record]) -> None:
    ours = cramjam.zstd.decompress(filled(records)._build()[FRAME:])
    theirs = BatchBuilder(1 << 24, 0)
    for key, value, headers in records:
        theirs.append(timestamp=0, key=key, value=value, headers=headers)
    assert bytes(ours) == bytes(theirs._build())[FRAME:]


def test_the_client_reads_it_with_the_producers_state_and_a_right_checksum() -> None:
    batch = filled([(b"k", b"v%d" % number, [("a", b"b")]) for number in range(300)])
    batch._set_producer_state(4_711, 3, 99)
    read = MemoryRecords(batch._build()).next_batch()
    assert read is not None
    assert (read.producer_id, read.producer_epoch, read.base_sequence) == (4_711, 3, 99)
    assert (read.last_offset_delta, batch.record_count()) == (299, 300)
    found = records_of(batch)
    assert [(one.offset, one.key, one.value, one.headers) for one in found] == [
        (number, b"k", b"v%d" % number, [("a", b"b")]) for number in range(300)
    ]


def test_every_attempt_sends_the_same_bytes() -> None:
    batch = filled([(b"k", b"v", [])])
    first = batch._build()
    assert batch._build() is first


def test_a_full_batch_takes_no_more_but_a_first_record_of_any_size() -> None:
    large: Record = (b"k", bytes(5_000), [])
    assert filled([large, large], 4_000).record_count() == 1
    assert filled([large] * 9, 16_000).record_count() == 3
    batch = filled([large] * 9, 16_000)
    assert len(cramjam.zstd.decompress(batch._build()[FRAME:])) <= 16_000


def test_nothing_of_the_clients_own_joins_it() -> None:
    batch = filled([(b"k", b"v", [])])
    assert batch.closed()
    assert batch.append(timestamp=None, key=b"k", value=b"v", headers=[]) is None  # type: ignore[func-returns-value]
    assert batch.record_count() == 1


def test_headers_that_stand_in_every_record_cost_little_and_noise_does_not_grow() -> None:
    repeated = [("ek_key", os.urandom(1_168))]
    batch = filled([(b"k", os.urandom(700), repeated) for _ in range(50)])
    assert len(batch._build()) < 50 * 800


def test_a_header_may_be_written_in_two_pieces() -> None:
    assert header_start("ce_id", 36) + b"x" * 36 == header("ce_id", b"x" * 36)
