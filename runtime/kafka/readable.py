"""Makes aiokafka go on behind a record that it cannot decode: a header's name that is not UTF-8 is its one known case.

The broker takes such a name from anybody who may write; aiokafka raises at every fetch, so that one record would stop
every process that reads the topic, for as long as it is kept. A batch has one producer and none of ours writes such a
name: the rest of its batch is handed over as records without content, which whoever reads them sets aside as tampered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.structs import ConsumerRecord

_LOG_APPEND_TIME = 1


class _LastBatch:
    """Records of a fetch that remember the batch they gave out last."""

    def __init__(self, records: Any) -> None:
        self._records = records
        self.last: Any = None

    def has_next(self) -> bool:
        return bool(self._records.has_next())

    def next_batch(self) -> Any:
        self.last = self._records.next_batch()
        return self.last


class ReadableRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """One partition's part of a fetch."""

    next_fetch_offset: int

    def __init__(self, tp: Any, records: Any, *arguments: Any) -> None:
        super().__init__(tp, _LastBatch(records), *arguments)

    def _unpack_records(self) -> Iterator[ConsumerRecord]:
        while True:
            try:
                yield from super()._unpack_records()
                return
            except UnicodeDecodeError:
                yield from self._without_content(self._records.last)

    def _without_content(self, batch: Any) -> Iterator[ConsumerRecord]:
        for offset in range(max(self.next_fetch_offset, batch.base_offset), batch.next_offset):
            self.next_fetch_offset = offset + 1
            yield ConsumerRecord(
                self._tp.topic,
                self._tp.partition,
                offset,
                batch.max_timestamp,
                _LOG_APPEND_TIME,
                None,
                b"",
                None,
                -1,
                0,
                (),
            )


def install() -> None:
    """Let every consumer of this process read so. Idempotent."""
    fetcher.PartitionRecords = ReadableRecords
