"""Killed at any step, a request goes on from there; it is told in order, and never said to be done before it is."""

import asyncio

import pytest

from contracts import topics
from contracts.outcomes import State
from store.erasure.equipment import Step
from tests.integration.store.cell import Cell, alias, event
from tests.support.eraser import Eraser
from tests.support.erasure import fenced, read_all, told
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

STEPS = [step for step in Step if step not in (Step.ADMITTED, Step.ANSWERED)]


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step_it_takes_effect_once_and_comes_to_its_end(
    cell: Cell, tenant: Tenant, eraser: Eraser, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.erasure.execution.subject.DELETED_AT_ONCE", 2)
    await cell.write(tenant, event("ana"), event("ana"), event("ana"), event("bia"))
    eraser.pass_lanes(tenant)
    request = await eraser.ask(tenant, "ana")
    killed = await eraser.drive(request, killed_at=step)
    assert killed.state is not State.LIVE_ERASED or step is Step.LIVE_ERASED
    ended = await eraser.drive(request)
    assert (ended.state, ended.told_state) == (State.LIVE_ERASED, State.LIVE_ERASED)
    row = cell.subjects(tenant)[alias("ana")]
    assert (row["generation"], row["erased_through_gen"], row["wrapped_dek"]) == (2, 1, None)
    (made,) = eraser.steps(tenant, request)
    assert made["rows_deleted"] == 3
    assert None not in (made["deleted_at"], made["fence_published_at"], made["announced_at"])
    assert len(cell.world.rows(tenant)) == 1
    fences = await fenced(cell.world, eraser.view, [request])
    assert {fence.executed_at_us for fence in fences} == {fences[0].executed_at_us}
    states = [one.state for one in await told(cell.world, eraser.view, [request])]
    order = [State.DECIDED, State.EXECUTING, State.LIVE_ERASED]
    assert sorted(set(states), key=order.index) == list(dict.fromkeys(states)) == order
    audited = cell.world.sql(
        "SELECT convert_from(entry, 'UTF8')::jsonb ->> 'what' AS what FROM mk.audit_entry"
        " WHERE convert_from(entry, 'UTF8')::jsonb ->> 'request' = $1 ORDER BY id",
        str(request),
    )
    assert [one["what"] for one in audited] == [
        "erasure.decided",
        "erasure.executing",
        "erasure.executed",
        "erasure.live_erased",
    ]


async def test_nothing_executes_before_decided_is_acknowledged(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    await cell.write(tenant, event("ana"))
    request = await eraser.ask(tenant, "ana")
    decided = await eraser.drive(request, killed_at=Step.DECIDED)
    assert (decided.state, decided.told_state) == (State.DECIDED, State.RECEIVED)
    assert cell.subjects(tenant)[alias("ana")]["wrapped_dek"] is not None
    kept = cell.world.sql(
        "UPDATE mk.erasure_request SET state = 'executing' WHERE request_id = $1 AND told_state = 'decided' RETURNING 1",
        request,
    )
    assert kept == []
    await eraser.drive(request, killed_at=Step.EXECUTED)
    (outcome,) = await told(cell.world, eraser.view, [request])
    assert outcome.state is State.DECIDED
    assert cell.subjects(tenant)[alias("ana")]["wrapped_dek"] is None


async def test_live_erased_waits_for_every_lane_of_the_tenant(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    await cell.write(tenant, event("ana"))
    cell.world.sql(f"UPDATE {tenant.schema}.lane SET position = 0")
    request = await eraser.erase(tenant, "ana")
    (wait,) = cell.world.sql(f"SELECT * FROM {tenant.schema}.erasure_wait")
    # The announcement itself is on the topic: who has passed the end has passed everything before the fence.
    assert wait["end_offset"] == 1
    behind = await eraser.drive(request)
    assert (behind.state, behind.failed) == (State.EXECUTING, "lanes_behind")
    cell.world.sql(f"UPDATE {tenant.schema}.lane SET position = 1, slot = 'another'")
    assert (await eraser.drive(request)).state is State.EXECUTING
    cell.world.sql(f"UPDATE {tenant.schema}.lane SET position = 1, slot = $1", tenant.slot)
    assert (await eraser.drive(request)).state is State.LIVE_ERASED


async def test_ends_of_a_topic_are_passed_in_that_topic_and_in_no_other(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    await cell.write(tenant, event("ana"))
    cell.world.sql(f"UPDATE {tenant.schema}.lane SET position = 0")
    request = await eraser.erase(tenant, "ana")
    (wait,) = cell.world.sql(f"SELECT * FROM {tenant.schema}.erasure_wait")
    assert wait["slot"] == tenant.slot
    # The tenant has another topic now, further along than the one that the request waits for.
    (free,) = cell.world.sql("SELECT slot FROM mk.slot WHERE state = 'free' AND partitions = 1 LIMIT 1")
    move = "UPDATE mk.slot SET state = $2, tenant_id = $3 WHERE slot = $1"
    cell.world.sql(move, tenant.slot, "free", None)
    cell.world.sql(move, free["slot"], "bound", tenant.tenant)
    cell.world.sql(f"UPDATE {tenant.schema}.lane SET position = 1000, slot = $1", free["slot"])
    try:
        assert (await eraser.drive(request)).state is State.EXECUTING
        status = cell.world.mkc("erasure", "status", str(request))
        assert status["lanes_behind"] == [{"partition": 0, "end_offset": 1, "position": 0}]
        cell.world.sql(f"UPDATE {tenant.schema}.erasure_wait SET slot = NULL")
        assert cell.world.mkc("erasure", "status", str(request))["lanes_behind"] == []
        cell.world.sql(f"UPDATE {tenant.schema}.erasure_wait SET slot = $1", tenant.slot)
        cell.world.sql(f"UPDATE {tenant.schema}.lane SET slot = $1", tenant.slot)
        assert (await eraser.drive(request)).state is State.LIVE_ERASED
    finally:
        cell.world.sql(move, free["slot"], "free", None)
        cell.world.sql(move, tenant.slot, "bound", tenant.tenant)


async def test_a_lane_that_was_not_placed_yet_is_waited_for(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    cell.world.sql(f"DELETE FROM {tenant.schema}.lane")
    request = await eraser.erase(tenant, "ana")
    assert (await eraser.drive(request)).state is State.EXECUTING


async def test_a_slot_that_was_removed_for_good_counts_as_passed(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    await cell.write(tenant, event("ana"))
    cell.world.sql(f"UPDATE {tenant.schema}.lane SET position = 0")
    waiting, asked = await eraser.erase(tenant, "ana"), await eraser.ask(tenant, "bia")
    assert (await eraser.drive(waiting)).state is State.EXECUTING
    cell.world.sql("UPDATE mk.slot SET state = 'retired' WHERE slot = $1", tenant.slot)
    try:
        assert (await eraser.drive(waiting)).state is State.LIVE_ERASED
        assert (await eraser.drive(asked)).state is State.LIVE_ERASED
    finally:
        cell.world.sql("UPDATE mk.slot SET state = 'bound' WHERE slot = $1", tenant.slot)


async def test_everybody_is_told_on_every_partition(cell: Cell, eraser: Eraser) -> None:
    await asyncio.to_thread(cell.world.mkc, "tenant", "add", "oito", "--partitions", "8")
    tenant = await asyncio.to_thread(
        cell.world.wait_until, lambda: cell.world.tenant("oito"), 20, "the tenant to be ready"
    )
    assert tenant is not None
    request = await eraser.erase(tenant, "ana", "ana-by-phone")
    records = await read_all(cell.world.stack.endpoints, topics.tenant_events_topic(tenant.slot))
    assert [(one.partition, one.key) for one in records] == [(number, request.bytes) for number in range(8)]
    eraser.pass_lanes(tenant, range(7))
    assert (await eraser.drive(request)).state is State.EXECUTING
    eraser.pass_lanes(tenant, range(8))
    assert (await eraser.drive(request)).state is State.LIVE_ERASED
