"""An account's erasure to its end: what a lane wrote that had not heard of the withdrawal goes before it is said to be erased."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from contracts.control import AccountRecord, Consent
from contracts.outcomes import State
from store.erasure.requests.admit import Admitted, insert
from tests.integration.store.cell import Cell, alias, event
from tests.support.eraser import Eraser
from tests.support.erasure import told
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


async def test_it_waits_for_its_approval_and_ends_with_what_was_written_meanwhile(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    account = uuid4()
    cell.world.sql(
        "INSERT INTO mk.account (account_id, tenant_id, product, state, label, connected_by)"
        " VALUES ($1, $2, 'messenger', 'disconnected', '', 'test')",
        account,
        tenant.tenant,
    )
    now = datetime.now(UTC)
    withdrawn = Consent(state="withdrawn", since=now, scopes=frozenset(), proof_ref=uuid4())
    eraser.view.accounts[account] = AccountRecord(
        account=account,
        tenant=tenant.tenant,
        product="messenger",
        ids=(),
        consent=withdrawn,
        state="disconnected",
    )
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
    await cell.write(tenant, event("eva", account=account))
    assert (cell.world.row_count(tenant), cell.position(tenant)) == (1, 1)
    # 3. It has passed, and what it wrote is gone before anybody is told that everything is.
    assert (await eraser.drive(request)).state is State.LIVE_ERASED
    assert cell.world.row_count(tenant) == 0
    assert {cell.subjects(tenant)[alias(name)]["wrapped_dek"] for name in ("ana", "eva")} == {None}
    states = [one.state for one in await told(cell.world, eraser.view, [request])]
    assert states == [State.DECIDED, State.EXECUTING, State.LIVE_ERASED]
