"""Places lanes: whose they are (control), where they stand (the tenant's schema), what the log still holds (Kafka).

A position before the log's start is a ledger line and an outcome, never silence; one after its end is a fault. Must
never let a lane read before its position is known.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from contracts.control import ControlRecord, ControlView, TenantRecord
from contracts.errors import (
    DatabaseUnavailable,
    FatalError,
    SchemaIncompatible,
    TenantSchemaUnknown,
    TransientError,
)
from contracts.ledger import ExpiredLine
from contracts.metrics import STORE_EXPIRED_UNREAD
from contracts.topics import LEDGER
from runtime import logging
from runtime.clock import Clock
from runtime.kafka.clients import Producer, acknowledged
from runtime.metrics import ProcessMetrics
from store.lanes.database import (
    Connection,
    DatabaseFault,
    connect,
    execute,
    fetch,
    fetch_row,
    make_clean,
    translated,
)
from store.lanes.gate import FenceGate
from store.lanes.lane import Lane, Stage, Tenancy
from store.lanes.persist import Batch, Persisted, Persister
from store.lanes.queries import fixed, tenant_statements
from store.lanes.transaction import SHARED_LOCK_TIMEOUT_MS, store_batches
from store.migrate import TENANT_MIGRATIONS
from store.migrate import known as known_migrations

SCHEMA_NUMBER: Final = len(known_migrations(TENANT_MIGRATIONS))
"""Of the tenants' schemas that this code can write: a lane of any other waits."""
_TENANTS_READ_EVERY_S: Final = 30.0
_IDLE_S: Final = 1.0


class PositionAhead(Exception):
    """The database stands after the end of the log: another topic, or a broker that lost records. Page."""


class SlotMismatch(Exception):
    """The tenant's schema has a lane of another slot for this partition."""


class Log(Protocol):
    """What the consumer knows of a partition's log, and how it is told where to read."""

    async def bounds(self, lanes: Sequence[Lane]) -> dict[Lane, tuple[int, int]]:
        """First offset that still exists, and the offset after the last, of each. Raises BrokerUnavailable."""

    def read_from(self, lane: Lane, offset: int) -> None:
        """Seek and resume."""


@dataclass(frozen=True, slots=True)
class _Known:
    schema: str
    retention_days: int
    schema_number: int


class Placing:
    """Places every lane that is not placed, on one connection of its own."""

    def __init__(
        self,
        dsn: str,
        view: ControlView,
        log: Log,
        persister: Persister,
        producer: Producer,
        gate: FenceGate,
        metrics: ProcessMetrics,
        clock: Clock,
    ) -> None:
        self._dsn = dsn
        self._view = view
        self._kafka_log = log
        self._persister = persister
        self._producer = producer
        self._gate = gate
        self._admitted: int | None = None
        self._expired = metrics.counter(STORE_EXPIRED_UNREAD)
        self._clock = clock
        self._log = logging.get_logger()
        self._connection: Connection | None = None
        self._tenants: dict[UUID, _Known] = {}
        self._tenants_read_s = float("-inf")
        self._are_tenants_stale = False
        self._are_positions_doubtful = False
        self._wanted = asyncio.Event()

    def wake(self) -> None:
        """A lane was assigned or unplaced, or control changed."""
        self._wanted.set()

    def doubt_positions(self) -> None:
        """The database may be another one, put back from a backup: lanes that are idle would never find out."""
        self._are_positions_doubtful = True
        self._wanted.set()

    def control_applied(self, record: ControlRecord) -> None:
        """A tenant changed: what the database says of it may have changed as well."""
        if isinstance(record, TenantRecord):
            self._are_tenants_stale = True

    async def run(self, lanes: dict[object, Lane]) -> None:
        """Place lanes until cancelled, and let those that run know how long their tenant keeps."""
        try:
            while True:
                self._wanted.clear()
                if lanes and self._must_read_tenants():
                    await self._refresh(lanes.values())
                if self._are_positions_doubtful:
                    await self._compare_positions(
                        [lane for lane in lanes.values() if lane.stage is Stage.READY]
                    )
                due = [lane for lane in lanes.values() if self._is_due(lane)]
                if due:
                    await self._place_all(due)
                await self._pause(lanes)
        finally:
            if self._connection is not None:
                self._connection.terminate()

    async def _compare_positions(self, ready: Sequence[Lane]) -> None:
        """Place anew what stands behind its lane in the database. A lane's own position follows the database, so whatever
        it was before the read is a lower bound of what an untouched database has."""
        self._are_positions_doubtful = False
        try:
            for lane in ready:
                known, tenancy = lane.position, lane.tenancy
                assert tenancy is not None
                if await self._position(await self._connected(), lane, tenancy) < known:
                    self._log.warning("lane.position_lost", slot=lane.slot, partition=lane.partition)
                    lane.unplace()
        except Exception as exc:  # not compared is doubtful: the next round asks again
            self._are_positions_doubtful = True
            self._log.warning("positions.not_compared", exc=exc)
        finally:
            if self._connection is not None and not await make_clean(self._connection):
                self._connection = None

    def _is_due(self, lane: Lane) -> bool:
        return (
            lane.stage is Stage.UNPLACED
            and not lane.is_busy
            and lane.not_before <= self._clock.monotonic()
            and self._tenant_of(lane) is not None
        )

    def _tenant_of(self, lane: Lane) -> UUID | None:
        """The tenant that control has bound to the slot and that is ready; None: wait until it is."""
        slot = self._view.slots.get(lane.slot)
        if slot is None or slot.tenant is None:
            return None
        tenant = self._view.tenants.get(slot.tenant)
        return slot.tenant if tenant is not None and tenant.slot == lane.slot else None

    async def _pause(self, lanes: dict[object, Lane]) -> None:
        now_s = self._clock.monotonic()
        due = [
            lane.not_before - now_s
            for lane in lanes.values()
            if lane.stage is Stage.UNPLACED and self._tenant_of(lane) is not None
        ]
        try:
            await asyncio.wait_for(self._wanted.wait(), max(0.01, min([*due, _IDLE_S])))
        except TimeoutError:
            return

    async def _place_all(self, due: Sequence[Lane]) -> None:
        try:
            bounds = await self._kafka_log.bounds(due)
        except TransientError as exc:
            self._log.warning("lanes.waiting", exc=exc, count=len(due))
            for lane in due:
                lane.retry_later(self._clock.monotonic())
            return
        for lane in sorted(due, key=lambda lane: lane.attempts):
            if lane.attempts and self._wanted.is_set():
                return  # a lane came that was never tried: those that failed before wait behind it
            if lane.stage is Stage.UNPLACED:
                await self._attempt(lane, bounds[lane])

    async def _attempt(self, lane: Lane, bounds: tuple[int, int]) -> None:
        try:
            await self._place(lane, bounds)
        except TransientError as exc:
            lane.retry_later(self._clock.monotonic())
            self._log.warning("lane.waiting", exc=exc, slot=lane.slot, partition=lane.partition)
        except FatalError:
            raise
        except Exception as exc:  # what nobody foresaw faults this lane alone
            pause_s = lane.fault(self._clock.monotonic())
            self._log.error(
                "lane.faulted",
                exc=exc,
                slot=lane.slot,
                partition=lane.partition,
                attempt=lane.attempts,
                wait_s=round(pause_s, 1),
                reason=getattr(exc, "sqlstate", None),
            )
        finally:
            if self._connection is not None and not await make_clean(self._connection):
                self._connection = None

    async def _place(self, lane: Lane, bounds: tuple[int, int]) -> None:
        tenant = self._tenant_of(lane)
        assert tenant is not None
        connection = await self._connected()
        tenancy = await self._tenancy(connection, tenant)
        position = await self._position(connection, lane, tenancy)
        first, end = bounds
        if position > end:  # asked before the position was read: the log may have grown since
            first, end = (await self._kafka_log.bounds([lane]))[lane]
        if position > end:
            raise PositionAhead("the position is after the end of the log")
        if position < first:
            await self.write_off(connection, lane, tenancy, position, first)
            position = first
        elif lane.gap is not None and lane.gap[0] == position:
            await self.write_off(connection, lane, tenancy, position, lane.gap[1])
            position = lane.gap[1]
        if lane.stage is not Stage.UNPLACED:
            return
        lane.place(tenancy, position)
        self._kafka_log.read_from(lane, position)
        self._log.info("lane.placed", slot=lane.slot, partition=lane.partition, position=position)

    def _must_read_tenants(self) -> bool:
        """Every so often; soon after control said something of a tenant, but never twice a second."""
        age_s = self._clock.monotonic() - self._tenants_read_s
        return age_s > (_IDLE_S if self._are_tenants_stale else _TENANTS_READ_EVERY_S)

    async def _refresh(self, lanes: Iterable[Lane]) -> None:
        try:
            await self._read_tenants(await self._connected())
        except TransientError as exc:
            self._log.warning("tenants.not_read", exc=exc)
            self._tenants_read_s = self._clock.monotonic()  # lanes go on with what was read last
            return
        for lane in lanes:
            known = self._tenants.get(lane.tenancy.tenant) if lane.tenancy is not None else None
            if known is not None:
                lane.keep_for(known.retention_days)

    async def _read_tenants(self, connection: Connection) -> None:
        self._are_tenants_stale = False
        rows = await fetch(connection, fixed("tenants"))
        self._tenants = {
            row["tenant_id"]: _Known(row["schema_name"], row["retention_days"], row["schema_number"])
            for row in rows
        }
        self._tenants_read_s = self._clock.monotonic()

    async def _tenancy(self, connection: Connection, tenant: UUID) -> Tenancy:
        known = self._tenants.get(tenant)
        if known is None or known.schema_number != SCHEMA_NUMBER:
            await self._read_tenants(connection)
        known = self._tenants.get(tenant)
        record = self._view.tenants[tenant]
        if known is None or known.schema != record.schema_name:
            raise DatabaseUnavailable("this database does not know the tenant that control has")
        if known.schema_number != SCHEMA_NUMBER:
            raise TenantSchemaUnknown("the tenant's schema is not of the number that this code knows")
        return Tenancy(tenant, tenant_statements(known.schema), known.retention_days)

    async def _position(self, connection: Connection, lane: Lane, tenancy: Tenancy) -> int:
        statements = tenancy.statements
        await execute(connection, statements.enter("begin_unlocked", tenancy.tenant, SHARED_LOCK_TIMEOUT_MS))
        row = await fetch_row(connection, statements.read_lane, lane.partition)
        if row is None:
            await execute(connection, statements.create_lane, lane.partition, lane.slot)
            row = await fetch_row(connection, statements.read_lane, lane.partition)
        with translated():
            await connection.execute(fixed("commit"))
        if row is None or row["slot"] != lane.slot:
            raise SlotMismatch("the schema has another slot's lane")
        return int(row["position"])

    async def write_off(
        self, connection: Connection, lane: Lane, tenancy: Tenancy, first: int, next_offset: int
    ) -> None:
        """Offsets that retention removed unread: a durable ledger line, then the outcome with the position."""
        line = ExpiredLine(
            topic=lane.topic, partition=lane.partition, first_offset=first, next_offset=next_offset
        )
        await acknowledged(await self._producer.send(LEDGER, line.model_dump_json().encode(), key=line.key))
        batch = Batch(
            tenant=tenancy.tenant,
            statements=tenancy.statements,
            slot=lane.slot,
            partition=lane.partition,
            first=first,
            next_offset=next_offset,
            events=(),
            refused=frozenset(),
            retention_days=tenancy.retention_days,
            expired_unread=next_offset - first,
        )
        (ending,) = await store_batches(
            connection, self._persister, [batch], own_timeout_ms=SHARED_LOCK_TIMEOUT_MS
        )
        if isinstance(ending, Exception):
            raise ending
        assert isinstance(ending, Persisted)
        self._expired.inc(next_offset - first)
        self._log.error(
            "lane.expired_unread",
            slot=lane.slot,
            partition=lane.partition,
            first_offset=first,
            next_offset=next_offset,
        )

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self._admitted = None
            self._connection = await connect(self._dsn)
        if self._admitted != self._gate.closings:
            closings = self._gate.closings
            await self._gate.admit(self._connection)
            self._admitted = closings
        return self._connection


async def check_schema_version(dsn: str, numbers: list[int]) -> None:
    """Refuse to run against a database whose migrations are not exactly those this code was built with.

    Raises SchemaIncompatible, or DatabaseUnavailable.
    """
    connection = await connect(dsn)
    try:
        try:
            rows = await fetch(connection, fixed("migrations"))
        except DatabaseFault as exc:
            raise SchemaIncompatible("the database has no schema of ours: start the custodian first") from exc
        if [row["number"] for row in rows] != numbers:
            raise SchemaIncompatible("the database's migrations are not those of this version")
    finally:
        connection.terminate()
