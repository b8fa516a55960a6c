"""Every executor takes the tenant's lock alone and reads after it: what a writer commits while it waits is there to be judged.

PRIVACY.md section 3 *Locks*: without it tombstones outside the lock brought 257 of 1,500 back, and keys of the living went.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from store.erasure.equipment import Step
from store.erasure.expiry import expire_tenant
from store.lanes.event import TenantEvent
from tests.integration.store.cell import alias, event, seconds
from tests.privacy.erasure.executors.acting import Acting
from tests.security.keys.cell import Killed

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

GONE, STAYS = UUID(int=31), UUID(int=32)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits as long as the test's writer takes, however slow the machine is."""
    monkeypatch.setattr("store.erasure.tenants.LOCK_WAITS_MS", (60_000,))


def later() -> datetime:
    """Strictly later than the second of a watermark set now."""
    return datetime.now(UTC) + seconds(2)


@asynccontextmanager
async def writing(acting: Acting, *events: TenantEvent) -> AsyncIterator[None]:
    """A writer's transaction with these events, committed once what runs inside waits for the tenant's lock."""
    batch = acting.keys.cell.batch(acting.tenant, events)
    async with acting.keys.cell.connection() as writer:
        await writer.execute(batch.statements.enter("begin", batch.tenant, 60_000))
        await acting.keys.cell.persister().write(writer, batch)
        yield
        await writer.execute("COMMIT")


async def beside(
    acting: Acting, work: Coroutine[Any, Any, Any], *events: TenantEvent
) -> tuple[Any, datetime]:
    """What `work` gives, which must wait for a writer of these events; and when that one committed."""
    task = asyncio.ensure_future(work)
    async with writing(acting, *events):
        await _waits(acting, task)
        [(committed,)] = acting.sql("SELECT clock_timestamp()")
    return await task, committed


async def _waits(acting: Acting, task: "asyncio.Future[Any]") -> None:
    while not acting.sql("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"):
        if task.done():
            raise AssertionError(f"nobody waited for the tenant's lock: {task.result()!r}")
        await asyncio.sleep(0.005)


async def test_a_message_that_is_stored_while_its_erasure_waits_goes(acting: Acting) -> None:
    request = acting.job("message", "unsent", asked_by="router", message_ref=alias("m1"))
    (step,), committed = await beside(acting, acting.execute(request), event("ana", ref="m1"))
    assert (step.rows_deleted, acting.texts()) == (1, [])
    assert step.executed_at > committed


async def test_what_an_account_still_brings_while_its_erasure_waits_goes(acting: Acting) -> None:
    acting.said(GONE, "withdrawn")
    request = acting.job("account", "account_removed", asked_by="router", account_id=GONE)
    (step,), committed = await beside(acting, acting.execute(request), event("ana", account=GONE))
    assert (step.rows_deleted, acting.texts()) == (1, [])
    assert step.executed_at > committed, "a restored database deletes what was received by then"


async def test_who_writes_to_another_account_meanwhile_keeps_the_key(acting: Acting) -> None:
    acting.said(GONE, "withdrawn")
    request = acting.job("account", "account_removed", asked_by="router", account_id=GONE)
    await acting.keys.cell.write(acting.tenant, event("bob", account=GONE))

    def killed_before_the_deletes(_request: UUID, step: Step) -> None:
        if step is Step.EXECUTED:
            raise Killed

    with suppress(Killed):
        await acting.execute(request, killed_before_the_deletes)
    await beside(acting, acting.delete(request), event("bob", account=STAYS))
    bob = acting.keys.cell.subjects(acting.tenant)[alias("bob")]
    assert (bob["wrapped_dek"] is not None, bob["generation"], bob["rekey"]) == (True, 1, True)
    assert [row[0] for row in acting.sql("SELECT account_id FROM {s}.message")] == [STAYS]


async def test_who_writes_again_while_a_join_waits_keeps_the_key_and_what_is_later(acting: Acting) -> None:
    write, tenant, before = acting.keys.cell.write, acting.tenant, datetime.now(UTC) - seconds(60)
    await write(tenant, event("old", at=before), event("new", at=before, received=before))
    await acting.execute(acting.job("subject", "operator", pseudonyms=[alias("old")]))
    await write(tenant, event("new", "old", kind="identity.changed", at=before))
    (request,) = await acting.take_joins()
    await beside(acting, acting.execute(request), event("new", at=later(), received=later()))
    new = acting.keys.cell.subjects(tenant)[alias("new")]
    assert (new["wrapped_dek"] is not None, new["generation"]) == (True, 1)
    assert [row[0] for row in acting.sql("SELECT generation FROM {s}.message")] == [1]


async def test_who_comes_back_while_their_fence_ends_is_not_forgotten(acting: Acting) -> None:
    await acting.keys.cell.write(acting.tenant, event("ana"))
    await acting.execute(acting.job("subject", "operator", pseudonyms=[alias("ana")]))
    acting.sql(
        "UPDATE {s}.subject SET watermark = watermark - $1::interval, executed_at = executed_at - $1::interval",
        timedelta(days=231),
    )

    async def expire() -> Any:
        async with acting.tools() as tools:
            return await expire_tenant(tools.connection, await acting.schema(tools))

    gone, _ = await beside(acting, expire(), event("ana"))
    assert (gone.forgotten, gone.lifted) == (0, 1)
    ana = acting.keys.cell.subjects(acting.tenant)[alias("ana")]
    assert (ana["wrapped_dek"] is not None, ana["watermark"]) == (True, None)
