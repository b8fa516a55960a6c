"""Headers as a record has them, written by us and read back by the Kafka client."""

from typing import Any

from aiokafka.record.memory_records import MemoryRecords

from runtime.kafka.batch import RecordBatch


def records_of(batch: RecordBatch) -> list[Any]:
    """The records that the client reads in a batch; its checksum is right."""
    found = MemoryRecords(batch._build()).next_batch()
    assert found is not None
    assert found.validate_crc()
    return list(found)


def headers_of(written: bytes, count: int) -> list[tuple[str, bytes]]:
    """The headers that were written."""
    batch = RecordBatch(1 << 20)
    batch.add(b"", b"", (written,), count)
    return [(name, bytes(value)) for name, value in records_of(batch)[0].headers]
