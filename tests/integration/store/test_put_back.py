"""A database that was put back from a backup is noticed by lanes that are idle, too: else they would never read again."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast

import pytest

from contracts.control import ControlView
from contracts.metrics import STORE_FENCES_APPLIED, STORE_GATE_OPEN, STORE_GATE_REFUSALS
from contracts.topics import ERASURE_FENCES, tenant_events_topic
from runtime.clock import SystemClock
from runtime.kafka.clients import Producer
from runtime.kafka.topic_log import TopicLog
from runtime.metrics import ProcessMetrics
from store.lanes.gate import FenceGate, GateMetrics
from store.lanes.lane import Buffered, Lane, Limits, Stage, Tenancy
from store.lanes.positions import Placing
from store.lanes.queries import tenant_statements
from tests.integration.store.cell import Cell
from tests.integration.store.fencing import ERASURE
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


class NoLog:
    """Nobody is placed here."""

    async def bounds(self, lanes: Sequence[Lane]) -> dict[Lane, tuple[int, int]]:
        raise AssertionError("control knows no tenant: no lane is due")

    def read_from(self, lane: Lane, offset: int) -> None:
        raise AssertionError("no lane is due")


@pytest.fixture
async def gate(cell: Cell) -> AsyncIterator[FenceGate]:
    """Of a store on this cell."""
    endpoints = cell.world.stack.endpoints
    log = TopicLog(endpoints.kafka, "test-put-back", ERASURE_FENCES, endpoints.kafka_tls("store"))
    metrics = GateMetrics.of(
        ProcessMetrics("store"), STORE_FENCES_APPLIED, STORE_GATE_OPEN, STORE_GATE_REFUSALS
    )
    bounds = await log.bounds()
    cell.world.sql("DELETE FROM mk.fence_position")
    for partition, (_, end) in bounds.partitions.items():
        cell.world.sql("INSERT INTO mk.fence_position VALUES ($1, $2, $3)", partition, bounds.topic_id, end)

    async def nothing_newer() -> None:
        return

    yield FenceGate(log, {"erasure": ERASURE}.get, nothing_newer, "mk_store", metrics)
    await log.stop()


async def until(condition: Callable[[], object], what: str) -> None:
    """Poll."""
    for _ in range(3_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"waited in vain for {what}")


async def test_a_lane_that_stands_behind_its_database_goes_on_and_one_before_it_is_placed_anew(
    cell: Cell, tenant: Tenant, other: Tenant, gate: FenceGate
) -> None:
    lanes: dict[object, Lane] = {}
    for one, position in ((tenant, 5), (other, 5)):
        lane = Lane(tenant_events_topic(one.slot), one.slot, 0, Limits(), Buffered())
        lane.place(Tenancy(one.tenant, tenant_statements(one.schema), 365), position)
        lanes[one.slot] = lane
    # Of one the database has as much or more: that was another process's. Of the other it is older than what was read.
    cell.world.sql(f"UPDATE {tenant.schema}.lane SET position = 7")
    cell.world.sql(f"UPDATE {other.schema}.lane SET position = 3")
    placing = Placing(
        cell.dsn("mk_store"),
        ControlView({}),
        NoLog(),
        cell.persister(),
        cast(Producer, None),
        gate,
        ProcessMetrics("store"),
        SystemClock(),
    )
    running = asyncio.create_task(placing.run(lanes))
    try:
        placing.doubt_positions()
        await until(lambda: lanes[other.slot].stage is Stage.UNPLACED, "the lane to be placed anew")
        assert lanes[tenant.slot].stage is Stage.READY
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_each_new_connection_of_the_gate_may_be_to_another_database(
    cell: Cell, gate: FenceGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.lanes.gate.LOOK_EVERY_S", 0.02)
    monkeypatch.setattr("store.lanes.gate.CLOSED_LOOK_EVERY_S", 0.02)
    said: list[bool] = []
    gate.new_databases.append(lambda: said.append(gate.is_open))
    running = asyncio.create_task(gate.watch(cell.dsn("mk_store")))
    try:
        await until(lambda: said, "the first connection")
        cell.world.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'mk_store' AND datname = current_database()"
        )
        await until(lambda: len(said) > 1, "another connection")
        # Admitted first: what is looked at anew is looked at in a database that has every fence.
        assert all(said)
    finally:
        running.cancel()
        await asyncio.wait([running])
