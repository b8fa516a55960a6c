"""Batches are compressed quickly, and as Kafka expects."""

import os

import cramjam
from aiokafka.producer.message_accumulator import BatchBuilder

from runtime.kafka import compression

ZSTD = 4
"""aiokafka's number of it."""
FRAME = 61
"""Bytes of a batch before its records."""


def test_a_batch_of_the_clients_is_compressed_at_our_level_and_opens_as_zstd() -> None:
    compression.install()
    batch = BatchBuilder(1 << 20, ZSTD)
    values = [os.urandom(700) for _ in range(50)]
    repeated = [("ek_key", os.urandom(1_168))]
    for value in values:
        batch.append(timestamp=None, key=b"k", value=value, headers=repeated)
    built = bytes(batch._build())
    records = bytes(cramjam.zstd.decompress(built[FRAME:]))
    assert all(value in records for value in values)
    assert built[FRAME:] == compression.compressed(records)
    assert built[FRAME:] != compression.compressed(records, 3)
    assert len(built) < 50 * 800
