"""One transaction: every outcome, exactly once, several tenants, locks."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.errors import DatabaseUnavailable, PartitionMissing, PositionLost
from store.lanes.database import Connection, LockTimeout, WriteConflict, connect, make_clean
from store.lanes.event import account_alias
from store.lanes.persist import Persisted
from store.lanes.queries import lock_number
from store.lanes.transaction import store_batches
from tests.integration.store.cell import Cell, alias, event, seconds
from tests.support.waiting import until
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


async def test_an_event_becomes_one_encrypted_row_of_its_person(cell: Cell, tenant: Tenant) -> None:
    ended = await cell.write(tenant, event("ana", text=b'{"text":"canary-4711"}', ref="m1"))
    assert ended == Persisted(stored=1, duplicate=0, fenced=0, expired=0, refused=0)
    (row,) = cell.world.rows(tenant)
    assert b"canary" not in bytes(row["body"])
    assert row["subject_id"] == cell.subjects(tenant)[alias("ana")]["subject_id"]
    assert (row["generation"], row["class"], row["message_ref"]) == (1, "conversation", alias("m1"))
    assert cell.position(tenant) == 1


async def test_the_same_event_again_is_a_duplicate_also_within_one_batch(cell: Cell, tenant: Tenant) -> None:
    one = event("ana")
    assert (await cell.write(tenant, one, one)).duplicate == 1
    assert (await cell.write(tenant, one)).duplicate == 1
    assert cell.world.row_count(tenant) == 1
    assert cell.outcomes(tenant) == {"stored": 1, "duplicate": 2}


async def test_every_offset_has_an_outcome(cell: Cell, tenant: Tenant) -> None:
    refused, old = uuid4(), datetime.now(UTC) - seconds(40 * 86_400)
    await cell.write(
        tenant,
        event("ana"),
        event("ana", account=refused),
        event("ana", at=old),
        event("ana", undated=True, received=old),
        refused=frozenset({refused}),
        retention_days=30,
        quarantined=2,
        notice=1,
        replays=1,
    )
    assert cell.outcomes(tenant) == {
        "stored": 1, "refused": 1, "expired": 2, "quarantined": 2, "notice": 1, "replays": 1,
    }  # fmt: skip
    assert cell.position(tenant) == 7


async def test_an_undated_event_is_stored_in_a_partition_of_its_own(cell: Cell, tenant: Tenant) -> None:
    assert (await cell.write(tenant, event("ana", undated=True))).stored == 1


async def test_a_refused_or_expired_event_leaves_no_trace_of_its_person(cell: Cell, tenant: Tenant) -> None:
    account = uuid4()
    await cell.write(tenant, event("ana", account=account), refused=frozenset({account}))
    await cell.write(tenant, event("bia", at=datetime.now(UTC) - seconds(3 * 86_400)), retention_days=1)
    assert cell.people(tenant) == (0, 0)


async def test_aliases_of_one_event_are_one_subject_and_later_ones_join_it(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.write(tenant, event("bsuid", "phone"))
    await cell.write(tenant, event("phone", "psid"), event("psid"))
    subjects = cell.subjects(tenant)
    assert {row["subject_id"] for row in subjects.values()} == {subjects[alias("bsuid")]["subject_id"]}
    assert len(subjects) == 3


async def test_two_known_subjects_in_one_event_are_linked_and_never_merged(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.write(tenant, event("phone"), event("psid"))
    await cell.write(tenant, event("phone", "psid"))
    subjects = cell.subjects(tenant)
    first, second = subjects[alias("phone")]["subject_id"], subjects[alias("psid")]["subject_id"]
    assert first != second
    links = cell.world.sql(f"SELECT low, high FROM {tenant.schema}.same_person")
    assert [tuple(link) for link in links] == [(min(first, second), max(first, second))]
    assert [row["subject_id"] for row in cell.world.rows(tenant)].count(first) == 2


async def test_an_event_that_names_nobody_belongs_to_the_message_it_speaks_of(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.write(tenant, event("ana", ref="m1"))
    await cell.write(tenant, event(kind="message.delivered", ref="m1"))
    await cell.write(
        tenant, event("bia", ref="m2"), event(kind="message.read", ref="m2"), event(kind="message.read")
    )
    rows = {row["event_type"]: row["subject_id"] for row in cell.world.rows(tenant) if row["message_ref"]}
    subjects = cell.subjects(tenant)
    assert rows["message.delivered"] == subjects[alias("ana")]["subject_id"]
    assert rows["message.read"] == subjects[alias("bia")]["subject_id"]
    assert account_alias(UUID(int=1)) in subjects


async def test_a_zombie_at_an_old_position_writes_nothing(cell: Cell, tenant: Tenant) -> None:
    await cell.write(tenant, event("ana"))
    with pytest.raises(PositionLost):
        await cell.write(tenant, event("zombie"), first=0)
    assert cell.world.row_count(tenant) == 1
    assert alias("zombie") not in cell.subjects(tenant)


async def test_of_two_owners_at_the_same_position_one_commits(cell: Cell, tenant: Tenant) -> None:
    async with cell.connection() as one, cell.connection() as two:
        batches = [cell.batch(tenant, [event("ana")]), cell.batch(tenant, [event("bia")])]
        endings = await asyncio.gather(
            store_batches(one, cell.persister(), [batches[0]]),
            store_batches(two, cell.persister(), [batches[1]]),
        )
        await make_clean(one)
        await make_clean(two)
    kinds = sorted(type(ending[0]).__name__ for ending in endings)
    assert kinds == ["Persisted", "PositionLost"]
    assert cell.world.row_count(tenant) == 1


async def test_a_transaction_cut_before_its_commit_leaves_nothing_and_runs_again(
    cell: Cell, tenant: Tenant
) -> None:
    one = event("ana")
    connection = await connect(cell.dsn("mk_store"))
    batch = cell.batch(tenant, [one])
    await connection.execute(batch.statements.enter("begin", batch.tenant, 1000))
    await cell.persister().write(connection, batch)
    connection.terminate()
    assert cell.world.row_count(tenant) == 0
    assert (await cell.write(tenant, one)).stored == 1


async def test_several_tenants_share_a_transaction(cell: Cell, tenant: Tenant, other: Tenant) -> None:
    async with cell.connection() as connection:
        endings = await store_batches(
            connection,
            cell.persister(),
            [cell.batch(tenant, [event("ana")]), cell.batch(other, [event("ana"), event("bia")])],
        )
    assert [ending.stored for ending in endings if isinstance(ending, Persisted)] == [1, 2]
    assert cell.world.row_count(tenant) == 1
    assert cell.world.row_count(other) == 2


async def test_a_lost_position_takes_only_its_own_tenant_back(
    cell: Cell, tenant: Tenant, other: Tenant
) -> None:
    first, second = sorted((tenant, other), key=lambda one: one.tenant)
    async with cell.connection() as connection:
        endings = await store_batches(
            connection,
            cell.persister(),
            [cell.batch(second, [event("ana")], first=7), cell.batch(first, [event("ana")])],
        )
    assert isinstance(endings[0], PositionLost)
    assert isinstance(endings[1], Persisted)
    assert (cell.world.row_count(first), cell.world.row_count(second)) == (1, 0)


async def test_a_tenant_whose_lock_is_taken_does_not_hold_up_the_others(
    cell: Cell, tenant: Tenant, other: Tenant
) -> None:
    first, second = sorted((tenant, other), key=lambda one: one.tenant)
    async with cell.connection() as connection, cell.connection("mk_erasure") as eraser:
        async with eraser.transaction():
            await eraser.execute(f"SELECT pg_advisory_xact_lock({lock_number(second.tenant)})")
            endings = await store_batches(
                connection,
                cell.persister(),
                [cell.batch(first, [event("ana")]), cell.batch(second, [event("ana")])],
            )
            assert isinstance(endings[0], Persisted)
            assert isinstance(endings[1], LockTimeout)
        (alone,) = await store_batches(connection, cell.persister(), [cell.batch(second, [event("ana")])])
        assert isinstance(alone, Persisted)


async def test_a_missing_table_partition_is_transient_for_that_tenant_only(
    cell: Cell, tenant: Tenant, other: Tenant
) -> None:
    ahead = event("ana", at=datetime.now(UTC) + seconds(200 * 86_400))
    async with cell.connection() as connection:
        endings = await store_batches(
            connection, cell.persister(), [cell.batch(tenant, [ahead]), cell.batch(other, [event("ana")])]
        )
    assert isinstance(endings[0], PartitionMissing)
    assert isinstance(endings[1], Persisted)
    assert cell.position(tenant) == 0


@pytest.mark.parametrize("meeting_on", ["rows", "aliases"])
async def test_batches_that_meet_in_opposite_order_never_lock_each_other_up(
    cell: Cell, tenant: Tenant, meeting_on: str
) -> None:
    schema = tenant.schema
    cell.world.sql(f"INSERT INTO {schema}.lane VALUES (1, $1, 0)", tenant.slot)
    events = [event(f"p{number}", native=f"n{number}") for number in range(40)]
    if meeting_on == "rows":  # the people are known, so the batches meet only where they insert the same rows
        await cell.write(tenant, *(event(f"p{number}") for number in range(40)))
    before, start = cell.world.row_count(tenant), cell.position(tenant)

    async def lane(partition: int, connection: Connection, position: int) -> None:
        while True:
            batch = cell.batch(tenant, events[:: -1 if partition else 1], partition=partition, first=position)
            (ending,) = await store_batches(connection, cell.persister(), [batch])
            if isinstance(ending, Persisted):
                return
            assert isinstance(ending, WriteConflict)
            assert not isinstance(ending.__cause__, asyncpg.DeadlockDetectedError)

    blocker = await asyncpg.connect(cell.world.stack.dsn(cell.world.service.database))
    async with cell.connection() as one, cell.connection() as two:
        # A third transaction stops both in the middle, so that each holds its half when the other comes for it.
        in_the_middle = blocker.transaction()
        await in_the_middle.start()
        if meeting_on == "rows":
            await blocker.execute(
                f"INSERT INTO {schema}.message SELECT $1, subject_id, generation, event_type, schema_version, account_id,"
                f" class, direction, conversation, message_ref, received_at, stored_at, body FROM {schema}.message LIMIT 1",
                events[20].event_id,
            )
        else:
            await blocker.execute(f"INSERT INTO {schema}.alias VALUES ($1, gen_random_uuid())", alias("p20"))
        lanes = [asyncio.create_task(lane(0, one, start)), asyncio.create_task(lane(1, two, 0))]
        await until(lambda: cell.world.waiting_for_locks() == 2, "both to be stopped")
        await in_the_middle.rollback()
        await blocker.close()
        await asyncio.gather(*lanes)
    assert cell.world.row_count(tenant) - before == 40
    assert cell.people(tenant) == (40, 40)


async def test_no_text_of_the_database_reaches_an_error(cell: Cell, tenant: Tenant) -> None:
    with pytest.raises(Exception, match="sqlstate") as caught:
        await cell.write(tenant, event("ana"), next_offset=9)
    assert not isinstance(caught.value, asyncpg.PostgresError | DatabaseUnavailable)
    assert "lane_outcome" not in str(caught.value)
