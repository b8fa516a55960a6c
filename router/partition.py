"""One assigned raw partition: what was fetched and not begun, what was begun and not finished. Pure but for waking its worker."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from contracts import topics
from router.open import RawRecord
from router.route import Underway
from runtime.kafka.offsets import OffsetTracker

QUEUE_RECORDS: Final = 2_000
QUEUE_BYTES: Final = 4 * topics.MIB
"""Of all partitions of this router together."""


class RawPartition:
    """One assigned partition: what was fetched and not begun, what was begun and not finished."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.tracker = OffsetTracker()
        self.underway = Underway()
        self.queue: deque[RawRecord] = deque()
        self.queued_bytes = 0
        self._most_bytes = QUEUE_BYTES
        self.begun: dict[int, RawRecord] = {}
        self.committed: int | None = None
        self.paused = False
        self.leaving = False
        self.task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    def share(self, partitions: int) -> None:
        """This router has so many: what one may queue."""
        self._most_bytes = QUEUE_BYTES // partitions

    def add(self, records: Iterable[RawRecord]) -> None:
        """Queue fetched records, in offset order."""
        for record in records:
            self.queue.append(record)
            self.queued_bytes += record.size
        self._wake.set()

    async def next(self) -> RawRecord:
        """The next record; waits for one. It stays queued until `begin`."""
        while not self.queue:
            self._wake.clear()
            await self._wake.wait()
        return self.queue[0]

    def begin(self, record: RawRecord) -> None:
        """The record is taken up."""
        self.queue.popleft()
        self.queued_bytes -= record.size
        self.tracker.begin(record.offset)
        self.begun[record.offset] = record

    def leave(self) -> None:
        """Take nothing further up; the record being taken up goes on."""
        self.leaving = True
        self.queue.clear()

    @property
    def full(self) -> bool:
        """At the high-water mark."""
        return len(self.queue) >= QUEUE_RECORDS or self.queued_bytes >= self._most_bytes

    @property
    def low(self) -> bool:
        """Below half of it."""
        return len(self.queue) < QUEUE_RECORDS // 2 and self.queued_bytes < self._most_bytes // 2

    @property
    def oldest_ms(self) -> int | None:
        """Broker time of the oldest record not yet finished."""
        if self.begun:
            return next(iter(self.begun.values())).timestamp_ms
        return self.queue[0].timestamp_ms if self.queue else None
