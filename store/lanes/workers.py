"""The database workers: a small fixed number that go round the lanes with rows, oldest first. PERFORMANCE.md.

Lanes batch naturally: the busier it is, the more rows each visit finds; idle, a row goes at once. Several small tenants
share a transaction, a big one goes alone. Must never hold a lane longer than one transaction.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from contracts.errors import DatabaseUnavailable, PartitionMissing, PositionLost, TransientError
from contracts.ledger import Outcome
from contracts.metrics import (
    STORE_DATABASE_ERRORS,
    STORE_OUTCOMES,
    STORE_SECONDS,
    STORE_TRANSACTION_ROWS,
    STORE_TRANSACTION_SECONDS,
)
from runtime import logging
from runtime.clock import Clock
from runtime.metrics import ProcessMetrics, observe_many
from store.lanes.consents import Consents
from store.lanes.database import (
    STATEMENTS_KEPT,
    Connection,
    LockTimeout,
    WriteConflict,
    connect,
    execute,
    make_clean,
)
from store.lanes.gate import FenceGate, GateClosed
from store.lanes.lane import Lane
from store.lanes.opening import TenantOpener
from store.lanes.persist import Batch, Persisted, Persister
from store.lanes.quarantine import Quarantine
from store.lanes.queries import fixed
from store.lanes.transaction import Ending, store_batches

BIG_LANE_ROWS: Final = 200
"""A lane with this many rows gets a transaction of its own."""
TENANTS_PER_TRANSACTION: Final = 50
_ROWS_PER_TRANSACTION: Final = 500
_CONNECT_PAUSE_S: Final = (0.1, 0.2, 0.5, 1.0)


class Rounds:
    """Which lanes are visited next: those with rows, oldest first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = asyncio.Event()
        self._with_rows: set[Lane] = set()

    def wake(self, lane: Lane) -> None:
        """The lane has rows, or may run again."""
        self._with_rows.add(lane)
        self._changed.set()

    async def take(self) -> list[Lane]:
        """The oldest lane with rows and the small ones that fit beside it, marked busy. Waits for the first."""
        while True:
            now_s = self._clock.monotonic()
            lanes = self._pick(now_s)
            if lanes:
                for lane in lanes:
                    lane.is_busy = True
                return lanes
            self._changed.clear()
            later = [
                lane.not_before for lane in self._with_rows if lane.not_before > now_s and not lane.is_busy
            ]
            pause_s = max(0.001, min(later) - now_s) if later else None
            try:
                await asyncio.wait_for(self._changed.wait(), pause_s)
            except TimeoutError:
                continue

    def give_back(self, lanes: Iterable[Lane]) -> None:
        """A visit has ended."""
        for lane in lanes:
            lane.is_busy = False
        self._changed.set()

    def _pick(self, now_s: float) -> list[Lane]:
        self._with_rows = {lane for lane in self._with_rows if lane.waiting and lane.is_owned}
        # Of the lanes that may wait for their tenant's lock one worker holds one at a time: the others go on.
        is_one_waiting = any(lane.is_busy and lane.is_alone for lane in self._with_rows)
        ready = sorted(
            (
                lane
                for lane in self._with_rows
                if lane.can_run(now_s) and not (lane.is_alone and is_one_waiting)
            ),
            key=lambda lane: lane.oldest_ms or 0,
        )
        if not ready:
            return []
        first = ready[0]
        if first.is_alone or first.waiting >= BIG_LANE_ROWS:
            return [first]
        picked, rows, tenants = [first], first.waiting, {_tenant(first)}
        for lane in ready[1:]:
            if len(picked) == TENANTS_PER_TRANSACTION:
                break
            # Two lanes of one tenant never share a transaction: each sorts its own rows, together they would not be.
            if lane.is_alone or _tenant(lane) in tenants or rows + lane.waiting > _ROWS_PER_TRANSACTION:
                continue
            picked.append(lane)
            rows += lane.waiting
            tenants.add(_tenant(lane))
        return picked


def _tenant(lane: Lane) -> UUID | None:
    return lane.tenancy.tenant if lane.tenancy else None


@dataclass(slots=True)
class Availability:
    """Whether the database answered last time."""

    database: bool = False


class Worker:
    """One connection, one transaction at a time. Takes every error of a visit to the lanes it concerns."""

    def __init__(
        self,
        dsn: str,
        rounds: Rounds,
        persister: Persister,
        opener: TenantOpener,
        quarantine: Quarantine,
        consents: Consents,
        metrics: ProcessMetrics,
        clock: Clock,
        available: Availability,
        gate: FenceGate,
        on_lane_changed: Callable[[Lane], None],
        statements_kept: int = STATEMENTS_KEPT,
    ) -> None:
        self._dsn = dsn
        self._statements_kept = statements_kept
        self._rounds = rounds
        self._persister = persister
        self._opener = opener
        self._quarantine = quarantine
        self._consents = consents
        self._clock = clock
        self._available = available
        self._gate = gate
        self._admitted: int | None = None
        self._on_lane_changed = on_lane_changed
        self._log = logging.get_logger()
        self._connection: Connection | None = None
        self._outcomes = {outcome: metrics.counter(STORE_OUTCOMES, outcome) for outcome in Outcome}
        self._seconds = metrics.histogram(STORE_TRANSACTION_SECONDS)
        self._rows = metrics.histogram(STORE_TRANSACTION_ROWS)
        self._stored_s = metrics.histogram(STORE_SECONDS)
        self._errors = {
            cause: metrics.counter(STORE_DATABASE_ERRORS, cause)
            for cause in STORE_DATABASE_ERRORS.labels["cause"]
        }

    async def run(self) -> None:
        """Go round until cancelled."""
        try:
            while True:
                await self._connected()
                lanes = await self._rounds.take()
                try:
                    if (connection := self._admitted_connection()) is not None:
                        await self._visit(lanes, connection)
                finally:
                    self._rounds.give_back(lanes)
                    for lane in lanes:
                        self._on_lane_changed(lane)
        finally:
            if self._connection is not None:
                self._connection.terminate()

    def _admitted_connection(self) -> Connection | None:
        """The connection, if it stands and the gate has not closed since it was let in."""
        if self._connection is None or self._connection.is_closed():
            return None
        return self._connection if self._admitted == self._gate.closings else None

    async def _connected(self) -> None:
        """Until there is a connection that may write: on a new one nothing is, before its database has every fence."""
        attempt = 0
        while self._admitted_connection() is None:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._admitted = None
                    self._connection = await connect(self._dsn, self._statements_kept)
                self._available.database = True
                closings = self._gate.closings
                await self._gate.admit(self._connection)
                self._admitted = closings
                return
            except DatabaseUnavailable as exc:
                if self._available.database or attempt == 0:
                    self._log.warning("database.lost", exc=exc)
                self._available.database = False
            except GateClosed:
                pass  # the gate says it
            except TransientError as exc:
                self._log.warning("fences.not_compared", exc=exc)
            await self._clean()
            await asyncio.sleep(_CONNECT_PAUSE_S[min(attempt, len(_CONNECT_PAUSE_S) - 1)])
            attempt += 1

    async def _visit(self, lanes: list[Lane], connection: Connection) -> None:
        prepared: list[tuple[Lane, Batch]] = []
        for lane in lanes:
            batch = await self._prepare(lane)
            if batch is not None:
                prepared.append((lane, batch))
        if not prepared:
            return
        started = time.perf_counter()
        endings: list[Ending]
        try:
            endings = await store_batches(
                connection,
                self._persister,
                [batch for _, batch in prepared],
                lambda index: prepared[index][0].is_owned,
            )
        except Exception as exc:  # each lane's ending is looked at below: transient, fatal or a fault
            endings = [exc] * len(prepared)
        finally:
            await self._clean()
        self._seconds.observe(time.perf_counter() - started)
        self._rows.observe(sum(batch.next_offset - batch.first for _, batch in prepared))
        for (lane, batch), ending in zip(prepared, endings, strict=True):
            await self._end(lane, batch, ending)

    async def _prepare(self, lane: Lane) -> Batch | None:
        try:
            batch = await lane.next_batch(self._opener, self._quarantine, self._consents)
        except TransientError as exc:
            lane.retry_later(self._clock.monotonic())
            self._log.warning("lane.waiting", exc=exc, slot=lane.slot, partition=lane.partition)
            return None
        except Exception as exc:  # what nobody foresaw faults this lane alone
            self._fault(lane, exc)
            return None
        return batch

    async def _clean(self) -> None:
        if self._connection is not None and not await make_clean(self._connection):
            self._connection = None

    async def _end(self, lane: Lane, batch: Batch, ending: Ending) -> None:
        now_s = self._clock.monotonic()
        match ending:
            case Persisted():
                self._count(batch, ending)
                lane.advance(batch)
            case None:
                pass  # put back: it goes with the next round
            case PositionLost():
                self._errors["position_lost"].inc()
                self._log.warning("lane.position_lost", slot=lane.slot, partition=lane.partition)
                lane.unplace()
            case LockTimeout():
                self._errors["lock_timeout"].inc()
                if lane.is_alone:
                    lane.retry_later(now_s)
                lane.is_alone = True
            case WriteConflict():
                self._errors["other"].inc()
                lane.is_alone = True
                lane.retry_later(now_s)
            case PartitionMissing():
                self._errors["partition_missing"].inc()
                lane.retry_later(now_s)
                self._log.warning("lane.partition_missing", slot=lane.slot, partition=lane.partition)
                await self._wake_custodian()
            case TransientError():
                if isinstance(ending, DatabaseUnavailable):
                    self._errors["unavailable"].inc()
                lane.retry_later(now_s)
                self._log.warning("lane.waiting", exc=ending, slot=lane.slot, partition=lane.partition)
            case _:
                self._errors["other"].inc()
                self._fault(lane, ending)

    def _count(self, batch: Batch, ended: Persisted) -> None:
        counts = {
            Outcome.STORED: ended.stored,
            Outcome.DUPLICATE: ended.duplicate,
            Outcome.FENCED: ended.fenced,
            Outcome.EXPIRED: ended.expired,
            Outcome.REFUSED: ended.refused,
            Outcome.QUARANTINED: batch.quarantined,
            Outcome.NOTICE: batch.notice,
        }
        for outcome, count in counts.items():
            if count:
                self._outcomes[outcome].inc(count)
        now_s = self._clock.now().timestamp()
        observe_many(self._stored_s, [now_s - event.received_at.timestamp() for event in batch.events])

    def _fault(self, lane: Lane, exc: Exception) -> None:
        pause_s = lane.fault(self._clock.monotonic())
        self._log.error(
            "lane.faulted",
            exc=exc,
            slot=lane.slot,
            partition=lane.partition,
            position=lane.position,
            attempt=lane.attempts,
            wait_s=round(pause_s, 1),
            reason=getattr(exc, "sqlstate", None),
        )

    async def _wake_custodian(self) -> None:
        if self._connection is None or self._connection.is_closed():
            return
        try:
            await execute(self._connection, fixed("wake_custodian"))
        except DatabaseUnavailable:
            return  # the lane's retry wakes it again
