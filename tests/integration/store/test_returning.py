"""Erased people who come back open one generation, whoever sees them first: in the order of their ids, then read again."""

import asyncio
from datetime import UTC, datetime

import pytest

from store.lanes.database import WriteConflict, connect
from tests.integration.store.cell import Cell, alias, event, seconds
from tests.support.waiting import until
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def later() -> datetime:
    """Strictly later than the second of a watermark set now."""
    return datetime.now(UTC) + seconds(2)


async def test_two_writers_that_see_the_same_returning_person_open_one_generation(
    cell: Cell, tenant: Tenant
) -> None:
    cell.world.sql(f"INSERT INTO {tenant.schema}.lane VALUES (1, $1, 0)", tenant.slot)
    await cell.erase_after(tenant, event("ana"))
    one, two = (event("ana", at=later(), received=later()) for _ in range(2))
    first = await connect(cell.dsn("mk_store"))
    batch = cell.batch(tenant, [one])
    await first.execute(batch.statements.enter("begin", batch.tenant, 1000))
    await cell.persister().write(first, batch)

    async def second() -> None:
        with pytest.raises(WriteConflict):
            await cell.write(tenant, two, partition=1, first=0)
        await cell.write(tenant, two, partition=1, first=0)

    writing = asyncio.create_task(second())
    await until(cell.world.waiting_for_locks, "the second to wait")
    await first.execute("COMMIT")
    await first.close()
    await writing
    assert cell.subjects(tenant)[alias("ana")]["generation"] == 2
    for row in cell.world.rows(tenant)[1:]:
        assert row["generation"] == 2
    opened = cell.world.mkc("messages", tenant.name, "--purpose", "test")
    assert [message.get("erased", False) for message in opened].count(False) == 2


async def test_people_who_return_together_are_locked_in_the_order_of_their_ids(
    cell: Cell, tenant: Tenant
) -> None:
    names = [f"name-{number}" for number in range(6)]
    await cell.write(tenant, *(event(name) for name in names))
    await cell.erase(tenant, *names)
    by_id = sorted((cell.subjects(tenant)[alias(name)]["subject_id"], name) for name in names)
    # Neither their rows' places nor the events' order is that of their ids.
    for subject, _ in reversed(by_id):
        cell.world.sql(f"UPDATE {tenant.schema}.subject SET rekey = false WHERE subject_id = $1", subject)
    back = cell.batch(tenant, [event(name, at=later(), received=later()) for _, name in reversed(by_id)])
    lock = f"SELECT FROM {tenant.schema}.subject WHERE subject_id = ANY ($1) FOR UPDATE"
    async with (
        cell.connection("mk_erasure") as holder,
        cell.connection("mk_erasure") as other,
        cell.connection() as writer,
    ):
        # Not even where the planner finds them in another order: an index would give them sorted by chance.
        await writer.execute("SET enable_indexscan = off; SET enable_bitmapscan = off")
        await writer.execute(back.statements.enter("begin", back.tenant, 60_000))
        async with holder.transaction(), other.transaction():
            for connection in (holder, other):
                await connection.execute(f'SET LOCAL ROLE "{tenant.schema}_erase"')
            await holder.fetch(lock, [by_id[0][0]])
            writing = asyncio.create_task(cell.persister().write(writer, back))
            while not cell.world.sql("SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted"):
                assert not writing.done()
                await asyncio.sleep(0.005)
            # It waits for the first of them and has none of the others yet: two that open the same never wait in a circle.
            assert len(await other.fetch(f"{lock} NOWAIT", [subject for subject, _ in by_id[1:]])) == 5
        assert (await writing).stored == 6
        await writer.execute("COMMIT")
