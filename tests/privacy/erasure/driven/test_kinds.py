"""Every kind of request to its end, as the driver takes it there: told in order, killed at one step after another.

A person's is in test_resuming.py, step by step.
"""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from contracts.outcomes import State
from store.erasure.equipment import Step
from store.erasure.execution import joins
from store.erasure.requests.admit import Admitted, insert
from tests.integration.store.cell import Cell, alias, event, seconds
from tests.support.eraser import Eraser
from tests.support.erasure import told
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

STEPS = [step for step in Step if step not in (Step.ADMITTED, Step.ANSWERED)]


async def test_an_accounts_waits_for_its_approval_and_for_lanes_that_store_nothing_of_it_any_more(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    account = await asyncio.to_thread(cell.world.connect, tenant, "messenger", {"page": "850000000000001"})
    now = datetime.now(UTC)
    await cell.write(tenant, event("ana", account=account))
    # Something is on the tenant's topic that its lane has not read: the notice of another erasure.
    await eraser.erase(tenant, "somebody else")
    cell.world.sql(f"UPDATE {tenant.schema}.lane SET position = 0")
    cell.world.sql(f"DELETE FROM {tenant.schema}.lane_outcome")
    asked = Admitted(
        uuid4(), tenant.tenant, "account", "account_removed", "router", account, None, (), None, now, now
    )
    request = asked.request_id
    async with eraser.tools.connection.transaction():
        await insert(eraser.tools.connection, asked)

    # The custodian withdraws the consent for the row, and says so.
    for _ in range(3_000):
        known = eraser.view.accounts.get(account)
        if known is not None and known.consent.state == "withdrawn":
            break
        await asyncio.sleep(0.02)
    # 1. Decided and told, and restricted: nothing of it is executed, however often it is looked at.
    for _ in range(2):
        assert (await eraser.drive(request)).state is State.DECIDED
    assert (cell.world.row_count(tenant), eraser.steps(tenant, request)) == (1, [])
    # 2. Approved by somebody, it is executed; and waits for the lane, which had not heard of the withdrawal.
    cell.world.sql("UPDATE mk.erasure_request SET approved_by = 'bia' WHERE request_id = $1", request)
    waiting = await eraser.drive(request)
    assert (waiting.state, waiting.failed, cell.world.row_count(tenant)) == (
        State.EXECUTING,
        "lanes_behind",
        0,
    )
    assert (await cell.write(tenant, event("eva", account=account))).fenced == 1
    assert (cell.world.row_count(tenant), cell.position(tenant)) == (0, 1)
    # 3. It has passed.
    assert (await eraser.drive(request)).state is State.LIVE_ERASED
    assert cell.world.row_count(tenant) == 0
    subjects = cell.subjects(tenant)
    assert subjects[alias("ana")]["wrapped_dek"] is None
    assert alias("eva") not in subjects
    states = [one.state for one in await told(cell.world, eraser.view, [request])]
    assert states == [State.DECIDED, State.EXECUTING, State.LIVE_ERASED]


async def asked(cell: Cell, tenant: Tenant, eraser: Eraser, kind: str) -> UUID:
    """A request of that kind, as a record or a lane makes it."""
    connection, now = eraser.tools.connection, datetime.now(UTC)
    if kind == "join":
        early = now - seconds(60)
        await cell.write(tenant, event("old", at=early), event("new", at=early, received=early))
        await eraser.erase(tenant, "old")
        await cell.write(tenant, event("new", "old", kind="identity.changed", at=early))
        (request,) = await joins.admit(connection, await eraser.schema(tenant), eraser.tools.signer.name)
        return request
    await cell.write(tenant, event("ana", ref="m1"))
    row = {
        "message": Admitted(
            uuid4(), tenant.tenant, "message", "unsent", "router", uuid4(), alias("m1"), (), None, now, now
        ),
        "callback": Admitted(
            uuid4(), None, "callback", "data_deletion", "ingest", None, None, (bytes(32),), None, now, now
        ),
    }[kind]
    async with connection.transaction():
        await insert(connection, row)
    return row.request_id


@pytest.mark.parametrize(("kind", "steps", "rows"), [("message", 1, 0), ("join", 1, 0), ("callback", 0, 1)])
async def test_killed_at_one_step_after_another_it_is_told_in_order_and_takes_effect_once(
    cell: Cell, tenant: Tenant, eraser: Eraser, kind: str, steps: int, rows: int
) -> None:
    request = await asked(cell, tenant, eraser, kind)
    eraser.pass_lanes(tenant)
    for step in STEPS:
        await eraser.turn(request, killed_at=step)
    ended = await eraser.drive(request)
    assert (ended.state, ended.told_state, ended.failed) == (State.LIVE_ERASED, State.LIVE_ERASED, None)
    assert (len(eraser.steps(tenant, request)), cell.world.row_count(tenant)) == (steps, rows)
    states = [one.state for one in await told(cell.world, eraser.view, [request])]
    order = [State.RECEIVED] * (kind == "join") + [State.DECIDED, State.EXECUTING, State.LIVE_ERASED]
    assert sorted(set(states), key=order.index) == list(dict.fromkeys(states)) == order
    audited = cell.world.sql(
        "SELECT convert_from(entry, 'UTF8')::jsonb ->> 'what' AS what FROM mk.audit_entry"
        " WHERE convert_from(entry, 'UTF8')::jsonb ->> 'request' = $1",
        str(request),
    )
    assert len({one["what"] for one in audited}) == len(audited)
    assert {"erasure.decided", "erasure.executing", "erasure.live_erased"} <= {one["what"] for one in audited}
