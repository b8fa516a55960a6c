"""Erased people stay erased: what the writers owe PRIVACY.md section 3. Each marked rule there fails here without it."""

import asyncio
from datetime import UTC, datetime

import pytest

from store.lanes.database import connect
from store.lanes.queries import lock_number
from store.lanes.transaction import store_batches
from tests.integration.store.cell import Cell, alias, event, seconds
from tests.support.waiting import until
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def later() -> datetime:
    """Strictly later than the second of a watermark set now."""
    return datetime.now(UTC) + seconds(2)


async def test_a_replayed_event_from_before_the_erasure_stays_out(cell: Cell, tenant: Tenant) -> None:
    before = event("ana")
    await cell.erase_after(tenant, before)
    ended = await cell.write(tenant, before, event("ana", at=datetime.now(UTC) - seconds(60)))
    assert (ended.fenced, ended.stored, ended.duplicate) == (2, 0, 0)
    assert cell.subjects(tenant)[alias("ana")]["wrapped_dek"] is None


async def test_an_event_of_the_watermarks_own_second_is_not_later(cell: Cell, tenant: Tenant) -> None:
    mark = datetime.now(UTC) + seconds(30)
    await cell.write(tenant, event("ana"))
    await cell.erase(tenant, "ana", watermark=mark.replace(microsecond=0))
    same = event("ana", at=mark.replace(microsecond=999_000), received=later())
    after = event("ana", at=mark + seconds(1), received=later())
    assert (await cell.write(tenant, same)).fenced == 1
    assert (await cell.write(tenant, after)).stored == 1


async def test_an_event_received_before_the_execution_is_out_whatever_its_own_time(
    cell: Cell, tenant: Tenant
) -> None:
    received = datetime.now(UTC)
    await cell.erase_after(tenant, event("ana"))
    assert (await cell.write(tenant, event("ana", at=later(), received=received))).fenced == 1


async def test_a_new_message_of_the_person_opens_the_next_generation(cell: Cell, tenant: Tenant) -> None:
    await cell.erase_after(tenant, event("ana"))
    assert (await cell.write(tenant, event("ana", at=later(), received=later()))).stored == 1
    row = cell.subjects(tenant)[alias("ana")]
    assert (row["generation"], row["erased_through_gen"]) == (2, 1)
    assert row["wrapped_dek"] is not None
    assert [row["generation"] for row in cell.world.rows(tenant)] == [1, 2]


@pytest.mark.parametrize(
    "kind", ["message.read", "message.delivered", "reaction.changed", "message.edited", "unknown.received"]
)
async def test_a_status_or_reaction_never_brings_anybody_back(cell: Cell, tenant: Tenant, kind: str) -> None:
    await cell.erase_after(tenant, event("ana"))
    assert (await cell.write(tenant, event("ana", kind=kind, at=later(), received=later()))).fenced == 1
    assert cell.subjects(tenant)[alias("ana")]["wrapped_dek"] is None


async def test_a_status_of_somebody_who_came_back_is_stored(cell: Cell, tenant: Tenant) -> None:
    await cell.erase_after(tenant, event("ana"))
    status = event("ana", kind="message.read", at=later(), received=later())
    message = event("ana", at=later(), received=later())
    early = event("ana", kind="message.read", at=later(), received=later())
    ended = await cell.write(tenant, early, message, status)
    assert (ended.stored, ended.fenced) == (2, 1)


async def test_an_undated_event_never_opens_a_generation(cell: Cell, tenant: Tenant) -> None:
    await cell.erase_after(tenant, event("ana"))
    undated = event("ana", undated=True, received=later())
    assert (await cell.write(tenant, undated)).fenced == 1
    await cell.write(tenant, event("ana", at=later(), received=later()))
    assert (await cell.write(tenant, undated)).stored == 1


async def test_a_blocked_person_is_dropped_also_when_they_write(cell: Cell, tenant: Tenant) -> None:
    await cell.write(tenant, event("ana"))
    await cell.erase(tenant, "ana", blocked=True)
    assert (await cell.write(tenant, event("ana", at=later(), received=later()))).fenced == 1


async def test_a_fence_reaches_everybody_linked_with_the_erased(cell: Cell, tenant: Tenant) -> None:
    await cell.write(tenant, event("phone"), event("psid"), event("bsuid"))
    await cell.write(tenant, event("phone", "psid"), event("psid", "bsuid"))
    await cell.erase(tenant, "bsuid")
    old = datetime.now(UTC) - seconds(60)
    assert (await cell.write(tenant, event("phone", at=old), event("psid", at=old))).fenced == 2


async def test_a_link_made_by_a_later_event_fences_an_earlier_one_of_its_batch(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.write(tenant, event("phone"), event("psid"))
    await cell.erase(tenant, "psid")
    old = datetime.now(UTC) - seconds(60)
    ended = await cell.write(tenant, event("phone", at=old), event("phone", "psid", at=old))
    assert ended.fenced == 2


async def test_an_unknown_alias_in_an_erased_persons_backlog_is_remembered_as_theirs(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.erase_after(tenant, event("ana"))
    old = datetime.now(UTC) - seconds(60)
    assert (await cell.write(tenant, event("ana", "ana-by-phone", at=old))).fenced == 1
    assert (await cell.write(tenant, event("ana-by-phone", at=old))).fenced == 1


async def test_a_person_fenced_before_they_were_ever_seen_is_fenced(cell: Cell, tenant: Tenant) -> None:
    schema = tenant.schema
    cell.world.sql(
        f"WITH s AS (INSERT INTO {schema}.subject (subject_id, generation, erased_through_gen, watermark, executed_at)"
        " VALUES (gen_random_uuid(), 2, 1, clock_timestamp(), clock_timestamp()) RETURNING subject_id)"
        f" INSERT INTO {schema}.alias SELECT $1, subject_id FROM s",
        alias("stranger"),
    )
    assert (await cell.write(tenant, event("stranger", at=datetime.now(UTC) - seconds(60)))).fenced == 1
    assert (await cell.write(tenant, event("stranger", at=later(), received=later()))).stored == 1


async def test_an_unsend_that_came_before_its_message_keeps_it_out(cell: Cell, tenant: Tenant) -> None:
    cell.world.sql(
        f"INSERT INTO {tenant.schema}.tombstone VALUES ('r', $1, clock_timestamp() + interval '200 days')",
        alias("m1"),
    )
    ended = await cell.write(
        tenant,
        event("ana", ref="m1"),
        event("ana", kind="message.edited", ref="m1"),
        event("ana", kind="message.unsent", ref="m1"),
        event("ana", kind="message.read", ref="m1"),
        event("ana", ref="m2"),
    )
    assert (ended.fenced, ended.stored) == (2, 3)


async def test_a_tombstoned_undated_event_stays_out_and_makes_nobody(cell: Cell, tenant: Tenant) -> None:
    undated = event("ana", undated=True)
    cell.world.sql(
        f"INSERT INTO {tenant.schema}.tombstone VALUES ('e', $1, clock_timestamp() + interval '200 days')",
        undated.event_id.bytes,
    )
    assert (await cell.write(tenant, undated)).fenced == 1
    assert cell.people(tenant) == (0, 0)


async def test_what_an_erasure_commits_while_a_writer_waits_for_the_lock_is_seen(
    cell: Cell, tenant: Tenant
) -> None:
    before = event("ana")
    await cell.write(tenant, before)
    again = event("ana", at=datetime.now(UTC) - seconds(5))
    async with cell.connection() as writer, cell.connection("mk_erasure") as eraser:
        async with eraser.transaction():
            await eraser.execute(f'SET LOCAL ROLE "{tenant.schema}_erase"')
            await eraser.execute(f"SELECT pg_advisory_xact_lock({lock_number(tenant.tenant)})")
            writing = asyncio.create_task(
                store_batches(writer, cell.persister(), [cell.batch(tenant, [again])])
            )
            await until(cell.world.waiting_for_locks, "the writer to wait")
            assert not writing.done()
            await eraser.execute(
                f"UPDATE {tenant.schema}.subject SET generation = 2, erased_through_gen = 1, wrapped_dek = NULL,"
                " dek_epoch = NULL, watermark = clock_timestamp(), executed_at = clock_timestamp()"
            )
        (ending,) = await writing
    assert ending is not None
    assert not isinstance(ending, Exception)
    assert ending.fenced == 1
    assert cell.world.row_count(tenant) == 1


async def test_an_erasure_waits_for_a_writer_and_then_finds_its_rows(cell: Cell, tenant: Tenant) -> None:
    connection = await connect(cell.dsn("mk_store"))
    batch = cell.batch(tenant, [event("ana")])
    await connection.execute(batch.statements.enter("begin", batch.tenant, 1000))
    await cell.persister().write(connection, batch)
    erasing = asyncio.create_task(cell.erase(tenant, "ana"))
    await until(cell.world.waiting_for_locks, "erasure to wait")
    assert not erasing.done()
    await connection.execute("COMMIT")
    await erasing
    await connection.close()
    assert cell.subjects(tenant)[alias("ana")]["erased_through_gen"] == 1


async def test_no_key_outlives_its_transaction(cell: Cell, tenant: Tenant) -> None:
    persister = cell.persister()
    async with cell.connection() as connection:
        for person, erased in (("ana", False), ("ana", True)):
            if erased:
                await cell.erase(tenant, "ana")
            await store_batches(
                connection, persister, [cell.batch(tenant, [event(person, at=later(), received=later())])]
            )
    rows = cell.world.sql(
        f"SELECT m.generation, s.generation AS living FROM {tenant.schema}.message m"
        f" JOIN {tenant.schema}.subject s USING (subject_id) ORDER BY m.generation"
    )
    assert [tuple(row) for row in rows] == [(1, 2), (2, 2)]
    assert [message.get("erased", False) for message in cell.world.messages(tenant)].count(True) == 1
