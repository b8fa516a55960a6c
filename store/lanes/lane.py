"""A lane: one tenant partition's bounded queue, position, retry state and back-pressure.

Must never write, and never wait for the database: workers do, and tell the lane how it went.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final
from uuid import UUID

from contracts.errors import KeyNotYetKnown, TransientError
from store.lanes.consents import Consents
from store.lanes.event import TenantEvent
from store.lanes.opening import Opened, TenantOpener, TenantRecord
from store.lanes.persist import Batch
from store.lanes.quarantine import Quarantine
from store.lanes.queries import TenantStatements

_RETRY_FIRST_S: Final = 0.05
_RETRY_MAX_S: Final = 5.0
_FAULT_FIRST_S: Final = 1.0
_FAULT_MAX_S: Final = 60.0
_RECORD_OVERHEAD_BYTES: Final = 2048
"""Headers with the sealed epoch key, and Python's own."""


class Stage(StrEnum):
    """Where a lane is in its life. Only a `READY` one takes records."""

    UNPLACED = "unplaced"
    """Assigned; its tenant or position is not known yet."""
    READY = "ready"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one lane's queue and of one visit."""

    lane_records: int = 2_000
    lane_bytes: int = 4 << 20
    batch_rows: int = 500
    batch_bytes: int = 8 << 20


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Whose lane it is."""

    tenant: UUID
    statements: TenantStatements
    retention_days: int


@dataclass(slots=True)
class Buffered:
    """Bytes in the queues of all lanes of this process."""

    total: int = 0


@dataclass(slots=True)
class _Entry:
    record: TenantRecord = field(repr=False)
    size: int
    opened: Opened | None = None
    is_durable: bool = False
    """A record that was set aside and acknowledged."""


class Lane:
    """Offsets rise; `position` is what the database holds, `expected` the next offset to take from the consumer."""

    def __init__(self, topic: str, slot: str, partition: int, limits: Limits, buffered: Buffered) -> None:
        self.topic, self.slot, self.partition = topic, slot, partition
        self.stage = Stage.UNPLACED
        self.tenancy: Tenancy | None = None
        self.position = 0
        self.expected = 0
        self.is_busy = False
        self.is_faulted = False
        self.is_tenant_paused = False
        self.is_alone = False
        """Its next visit is a transaction of its own: the lock timeout of a shared one was too short."""
        self.gap: tuple[int, int] | None = None
        self.not_before = 0.0
        self.attempts = 0
        self._limits = limits
        self._buffered = buffered
        self._queue: deque[_Entry] = deque()
        self._bytes = 0

    @property
    def is_owned(self) -> bool:
        """False once the group gave the partition away: nothing is written for it any more."""
        return self.stage is not Stage.REVOKED

    @property
    def waiting(self) -> int:
        """Records in the queue."""
        return len(self._queue)

    @property
    def waiting_bytes(self) -> int:
        """Bytes in the queue."""
        return self._bytes

    @property
    def oldest_ms(self) -> int | None:
        """Broker time of the oldest record in the queue."""
        return self._queue[0].record.timestamp if self._queue else None

    @property
    def is_full(self) -> bool:
        """At the high-water mark: its partition is to be paused."""
        return len(self._queue) >= self._limits.lane_records or self._bytes >= self._limits.lane_bytes

    @property
    def is_low(self) -> bool:
        """Below the low-water mark: its partition may be resumed. Not per batch: what a paused partition had buffered is
        fetched again."""
        return (
            len(self._queue) <= self._limits.lane_records // 4 and self._bytes <= self._limits.lane_bytes // 4
        )

    def can_run(self, now_s: float) -> bool:
        """True when a worker may visit it."""
        return (
            self.stage is Stage.READY
            and bool(self._queue)
            and not self.is_busy
            and not self.is_tenant_paused
            and self.not_before <= now_s
        )

    def state(self, now_s: float) -> str:
        """One of the states of the metric."""
        if self.is_faulted:
            return "faulted"
        if self.is_tenant_paused:
            return "paused"
        if self.stage is not Stage.READY or self.not_before > now_s:
            return "waiting"
        return "running" if self._queue or self.is_busy else "idle"

    def place(self, tenancy: Tenancy, position: int) -> None:
        """Its tenant and position are known: take records from there."""
        self.tenancy = tenancy
        self.position = self.expected = position
        self.is_faulted = False
        self.not_before = 0.0
        self.gap = None
        self._clear()
        self.stage = Stage.READY

    def keep_for(self, retention_days: int) -> None:
        """How long its tenant keeps: from the next batch on."""
        if self.tenancy is not None and self.tenancy.retention_days != retention_days:
            self.tenancy = replace(self.tenancy, retention_days=retention_days)

    def unplace(self) -> None:
        """Forget the queue and read the position again."""
        self._clear()
        if self.stage is Stage.READY:
            self.stage = Stage.UNPLACED

    def revoke(self) -> None:
        """The partition is another's now."""
        self.stage = Stage.REVOKED
        self._clear()

    def offer(self, records: Sequence[TenantRecord]) -> None:
        """Take records from the consumer, in offset order."""
        if self.stage is not Stage.READY or self.gap is not None:
            return
        for record in records:
            if record.offset < self.expected:
                continue  # fetched before the lane was placed
            if record.offset > self.expected:
                # Offsets without a record: retention was faster than the lane. Never silence (DESIGN.md section 8).
                self.gap = (self.expected, record.offset)
                return
            size = len(record.value or b"") + _RECORD_OVERHEAD_BYTES
            self._queue.append(_Entry(record, size))
            self._bytes += size
            self._buffered.total += size
            self.expected = record.offset + 1

    async def next_batch(self, opener: TenantOpener, quarantine: Quarantine, consents: Consents) -> Batch:
        """Open what waits, up to the limits of a visit; what must be set aside is durable when this returns.

        Raises TransientError (a key that is not there yet, Kafka away) if not even the first record can be opened.
        """
        tenancy = self.tenancy
        assert tenancy is not None
        entries: list[_Entry] = []
        size = 0
        for entry in list(self._queue):
            if len(entries) >= self._limits.batch_rows or (
                entries and size + entry.size > self._limits.batch_bytes
            ):
                break
            if entry.opened is None:
                try:
                    try:
                        entry.opened = opener.open(entry.record, tenancy.tenant)
                    except KeyNotYetKnown:  # apart, because a coroutine for each record costs
                        entry.opened = await opener.open_waiting(entry.record, tenancy.tenant)
                except TransientError:
                    if not entries:
                        raise
                    break
            entries.append(entry)
            size += entry.size
        events: list[TenantEvent] = []
        quarantined = notices = replays = 0
        for entry in entries:
            opened = entry.opened
            assert opened is not None
            replays += opened.is_replay
            if opened.reason is not None:
                if not entry.is_durable:
                    await quarantine.set_aside(entry.record, opened)
                    entry.is_durable = True
                quarantined += 1
            elif opened.event is None:
                notices += 1
            else:
                events.append(opened.event)
        return Batch(
            tenant=tenancy.tenant,
            statements=tenancy.statements,
            slot=self.slot,
            partition=self.partition,
            first=self.position,
            next_offset=self.position + len(entries),
            events=tuple(events),
            refused=await consents.refused({event.account for event in events}, tenancy.tenant),
            retention_days=tenancy.retention_days,
            quarantined=quarantined,
            notice=notices,
            replays=replays,
        )

    def advance(self, batch: Batch) -> None:
        """The batch is committed."""
        self.attempts = 0
        self.not_before = 0.0
        self.is_alone = False
        if self.stage is not Stage.READY or batch.first != self.position:
            return
        for _ in range(batch.next_offset - batch.first):
            size = self._queue.popleft().size
            self._bytes -= size
            self._buffered.total -= size
        self.position = batch.next_offset

    def retry_later(self, now_s: float) -> float:
        """Something is away: the same records again after a jittered pause. Returns the pause in seconds."""
        self.attempts += 1
        pause_s = _jittered(_RETRY_FIRST_S, _RETRY_MAX_S, self.attempts)
        self.not_before = now_s + pause_s
        return pause_s

    def fault(self, now_s: float) -> float:
        """Nobody foresaw this: position kept, the lane is rebuilt after a longer pause, which is returned in seconds."""
        self.attempts += 1
        self.is_faulted = True
        pause_s = _jittered(_FAULT_FIRST_S, _FAULT_MAX_S, self.attempts)
        self.not_before = now_s + pause_s
        self.unplace()
        return pause_s

    def _clear(self) -> None:
        self._queue.clear()
        self._buffered.total -= self._bytes
        self._bytes = 0


def _jittered(first_s: float, most_s: float, attempt: int) -> float:
    return min(most_s, first_s * 2.0 ** min(attempt - 1, 16)) * random.uniform(0.5, 1.0)
