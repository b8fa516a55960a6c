"""The restore gate: nobody writes to a database that lacks a fence which the fence topic has. PRIVACY.md section 3.

A restored database, or a standby that was promoted, may be older than an erasure. So each new connection is compared
with the topic before it writes: what is missing is applied here, erasure's signature verified; a database that is ahead
of the topic, or knows another topic, is refused until `mkc erasure republish-fences`. Must never skip a fence.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from aiokafka.structs import ConsumerRecord
from prometheus_client import Counter, Gauge

from contracts.errors import DatabaseUnavailable, TamperedRecord, TransientError
from contracts.fences import Fence, decode, keep
from contracts.metric_spec import GATE_REFUSALS, MetricSpec
from contracts.signing import SignerLookup
from runtime import logging
from runtime.kafka.topic_log import Bounds, TopicLog
from runtime.metrics import ProcessMetrics
from store.audit.log import AuditEntry, What
from store.database import statements
from store.lanes.database import Connection, DatabaseFault, connect, make_clean, translated
from store.lanes.event import KEPT_UNDER_TOMBSTONE
from store.lanes.queries import lock_number

SQL: Final = statements(Path(__file__).with_name("gate.sql"))
LOOK_EVERY_S: Final = 10.0
"""How often a process that stands open looks whether topic and database still agree, and lets positions follow."""
CLOSED_LOOK_EVERY_S: Final = 1.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KEPT_TYPES: Final = sorted(KEPT_UNDER_TOMBSTONE)


class GateClosed(TransientError):
    """Nothing is written until this is mended. `reason`: one of the metric's closed set."""

    code = "gate_closed"

    def __init__(self, reason: str, partition: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.partition = reason, partition


@dataclass(frozen=True, slots=True)
class GateMetrics:
    """Where a gate counts; each process that has one declares its own."""

    applied: Counter
    is_open: Gauge
    refusals: dict[str, Counter]

    @classmethod
    def of(
        cls, metrics: ProcessMetrics, applied: MetricSpec, is_open: MetricSpec, refusals: MetricSpec
    ) -> GateMetrics:
        """Of one process."""
        counters = {reason: metrics.counter(refusals, reason) for reason in GATE_REFUSALS}
        return cls(metrics.counter(applied), metrics.gauge(is_open), counters)


class FenceGate:
    """One for each process. `by`: the database login, for the audit log."""

    def __init__(
        self,
        log: TopicLog,
        signers: SignerLookup,
        newest_signers: Callable[[], Awaitable[None]],
        by: str,
        metrics: GateMetrics,
    ) -> None:
        self._topic = log
        self._signers = signers
        self._newest_signers = newest_signers
        self._by = by
        self._metrics = metrics
        self._applying = asyncio.Lock()
        self._log = logging.get_logger()
        self._closed_for: GateClosed | None = None
        self.is_open = False
        self.closings = 0
        """Rises when an open gate closes: who was admitted before asks again."""
        self.new_databases: list[Callable[[], None]] = []
        """Called when `watch` was admitted on a new connection: what was read of the database before may be of another one."""

    async def admit(self, connection: Connection) -> None:
        """Return when this connection's database holds every fence of the topic, applied here if need be.

        Called outside a transaction. Raises GateClosed, BrokerUnavailable, DatabaseUnavailable or LockTimeout.
        """
        try:
            await self._compare(connection)
        except GateClosed as exc:
            self._close(exc)
            raise
        except DatabaseFault as exc:
            self._log.error("fence.not_applied", exc=exc, reason=exc.sqlstate)
            closed = GateClosed("defect")
            self._close(closed)
            raise closed from exc
        if not self.is_open:
            self._log.info("gate.opened")
        self.is_open, self._closed_for = True, None
        self._metrics.is_open.set(1)

    async def watch(self, dsn: str) -> None:
        """Compare on a connection of its own, again and again, until cancelled."""
        connection: Connection | None = None
        is_new = True
        try:
            while True:
                pause_s = CLOSED_LOOK_EVERY_S
                try:
                    if connection is None or not await make_clean(connection):
                        connection, is_new = await connect(dsn), True
                    await self.admit(connection)
                    pause_s = LOOK_EVERY_S
                    for changed in self.new_databases if is_new else ():
                        changed()
                    is_new = False
                except GateClosed:
                    pass  # said where it closed
                except TransientError as exc:
                    self._log.warning("fences.not_compared", exc=exc)
                await asyncio.sleep(pause_s)
        finally:
            if connection is not None:
                connection.terminate()

    def _close(self, exc: GateClosed) -> None:
        self._metrics.refusals[exc.reason].inc()
        self._metrics.is_open.set(0)
        if self.is_open:
            self.closings += 1
        if self._closed_for is None or self._closed_for.reason != exc.reason:
            self._log.error(
                "gate.closed", reason=exc.reason, partition=exc.partition, topic=self._topic.topic
            )
        self.is_open, self._closed_for = False, exc

    async def _compare(self, connection: Connection) -> None:
        bounds = await self._topic.bounds()
        async with self._applying:
            positions = await self._positions(connection)
            if any(at > _end(bounds, partition) for partition, (_, at) in positions.items()):
                bounds = await self._topic.bounds()  # fences of this very moment were applied since the look
            for partition, (topic_id, at) in positions.items():
                if topic_id != bounds.topic_id:
                    raise GateClosed("other_topic", partition)
                if at > _end(bounds, partition):
                    raise GateClosed("ahead", partition)
            for partition, (first, end) in bounds.partitions.items():
                if partition not in positions:
                    with translated():
                        await connection.execute(SQL["begin_fences"], bounds.topic_id, partition, first)
                    positions[partition] = await self._position(connection, bounds.topic_id, partition)
                at = positions[partition][1]
                if at < first:
                    raise GateClosed("expired", partition)
                if at < end:
                    await self._catch_up(connection, bounds.topic_id, partition, at, end)

    async def _positions(self, connection: Connection) -> dict[int, tuple[str, int]]:
        with translated():
            rows = await connection.fetch(SQL["positions"])
        return {row["partition"]: (row["topic_id"], row["next_offset"]) for row in rows}

    async def _position(self, connection: Connection, topic_id: str, partition: int) -> tuple[str, int]:
        with translated():
            row = await connection.fetchrow(SQL["position"], partition)
        if row is None or row["topic_id"] != topic_id:
            raise GateClosed("other_topic", partition)
        return row["topic_id"], row["next_offset"]

    async def _catch_up(
        self, connection: Connection, topic_id: str, partition: int, at: int, end: int
    ) -> None:
        applied = 0
        async with aclosing(self._topic.read(partition, at, end)) as records:
            async for record in records:
                if record.offset > at:
                    raise GateClosed("expired", partition)
                if record.offset < at:
                    continue  # another process was faster
                ended = await self._apply(connection, topic_id, record)
                if ended == "unready":
                    raise GateClosed("tenant_unready", partition)
                if ended == "moved":
                    at = (await self._position(connection, topic_id, partition))[1]
                    if at <= record.offset:
                        raise DatabaseUnavailable("the fences' position went back")
                    continue
                if ended == "applied":
                    applied += 1
                    self._metrics.applied.inc()
                at += 1
        if applied:
            self._log.warning("fences.applied", partition=partition, count=applied, next_offset=at)

    async def _apply(self, connection: Connection, topic_id: str, record: ConsumerRecord) -> str:
        fence = await self._verified(record)
        given = arguments(topic_id, record, fence, self._by)
        with translated():
            ended = await connection.fetchval(SQL["apply_fence"], *given)
            if ended == "lock":
                async with connection.transaction():
                    await connection.execute(SQL["short_wait"])
                    await connection.execute(SQL["lock_alone"], lock_number(fence.tenant))
                    ended = await connection.fetchval(SQL["apply_fence"], *given)
        return str(ended)

    async def _verified(self, record: ConsumerRecord) -> Fence:
        key, value, headers = record.key or b"", record.value or b"", tuple(record.headers)
        try:
            return decode(key, value, headers, self._signers)
        except TamperedRecord:
            await self._newest_signers()  # erasure's key may be younger than what this process knows
        try:
            return decode(key, value, headers, self._signers)
        except TamperedRecord as exc:
            raise GateClosed("unverified", record.partition) from exc


def arguments(topic_id: str, record: ConsumerRecord, fence: Fence, by: str) -> list[Any]:
    """What `mk.apply_fence` is called with. `by`: the login, for the audit log."""
    told = AuditEntry(
        What.FENCE_APPLIED,
        by,
        request=fence.request,
        tenant=fence.tenant,
        subject=fence.subject,
        digest=hashlib.sha256(record.value or b"").digest(),
        numbers={
            "partition": record.partition,
            "offset": record.offset,
            "generation": fence.generation,
        },
    )
    mark = None if fence.watermark_s is None else _EPOCH + timedelta(seconds=fence.watermark_s)
    return [
        topic_id,
        record.partition,
        record.offset,
        fence.tenant,
        fence.request,
        fence.subject,
        fence.account,
        [bytes.fromhex(one) for one in fence.pseudonyms],
        fence.generation,
        mark,
        _EPOCH + timedelta(microseconds=fence.executed_at_us),
        [bytes.fromhex(one) for one in fence.undated],
        [bytes.fromhex(one) for one in fence.refs],
        _KEPT_TYPES,
        keep(record.value or b"", tuple(record.headers)),
        told.after_time(uuid4()),
    ]


def _end(bounds: Bounds, partition: int) -> int:
    return bounds.partitions.get(partition, (0, 0))[1]
