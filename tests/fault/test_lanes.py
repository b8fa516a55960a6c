"""Lanes when their owner, their database or their topic goes back in time: no row twice, no row lost, no gap in silence."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from contracts.topics import tenant_events_topic
from tests.support.bodies import PHONE_NUMBER_ID, WABA, encode, whatsapp, whatsapp_message
from tests.support.load import Load
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

# A member that is away is given up after 10 s; a transaction that it left open is ended after 30 s.
MOVED_S = 45.0


def post_numbered(world: World, name: str, count: int) -> None:
    """That many messages of ids of their own, each accepted."""
    for number in range(count):
        message = whatsapp_message(f"wamid.{name}{number}", f"{name} {number}")
        assert world.post(encode(whatsapp([message], waba=WABA, phone_number_id=PHONE_NUMBER_ID))) == 200


def position(world: World, tenant: Tenant) -> int:
    """The next offset of the tenant's only lane."""
    found = world.sql(f"SELECT position FROM {tenant.schema}.lane WHERE partition = 0")
    return int(found[0][0]) if found else 0


@contextmanager
def lane_withheld(world: World, tenant: Tenant) -> Iterator[None]:
    """While this lasts no store gets at the tenant's lane: what it fetches waits in its queue."""
    withheld, release = threading.Event(), threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(world.stack.dsn(world.service.database))
        try:
            async with connection.transaction():
                await connection.execute(f"LOCK TABLE {tenant.schema}.lane IN ACCESS EXCLUSIVE MODE")
                withheld.set()
                await asyncio.to_thread(release.wait)
        finally:
            await connection.close()

    holder = threading.Thread(target=lambda: asyncio.run(hold()))
    holder.start()
    try:
        assert withheld.wait(10)
        yield
    finally:
        release.set()
        holder.join()


def test_a_suspended_store_that_wakes_with_a_full_queue_after_its_lane_moved_writes_nothing(
    running: World, tenant: Tenant, load: Load
) -> None:
    before = running.row_count(tenant)
    second = running.service.another("store", running.service.ports.receiver + 7)
    try:
        with load:
            load.await_promised(60, 10)
            with lane_withheld(running, tenant):
                load.await_promised(60, 10)
                running.pause("store")
                # Its sessions end at once, as they would by their own timeout of 30 s; its queue is still full.
                ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'mk_store'"
                running.sql(ended, database="postgres")
            second.start()
            running.wait_until(
                lambda: running.row_count(tenant) >= before + 100,
                MOVED_S,
                "the second store to take the lane",
            )
            running.resume("store")
            load.await_promised(60, 10)
        expected = before + len(load.promised)
        running.wait_until(lambda: running.row_count(tenant) >= expected, MOVED_S, f"{expected} rows")
        running.wait_balanced()
        assert running.row_count(tenant) == expected
        assert running.outcomes(tenant)["stored"] == expected
        assert "duplicate" not in running.outcomes(tenant)
        assert second.is_running()
    finally:
        second.stop()


@contextmanager
def database_to_itself(world: World) -> Iterator[str]:
    """The world's database without any session, as a restore needs it; its name."""
    name = world.service.database
    world.sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false', database="postgres")
    try:
        ending = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1"
        world.wait_until(
            lambda: world.sql(ending, name, database="postgres")[0][0] == 0, 10, "sessions to end"
        )
        yield name
    finally:
        world.sql(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true', database="postgres")


def test_a_database_restored_to_an_earlier_state_is_read_up_to_date_again(
    running: World, tenant: Tenant
) -> None:
    post_numbered(running, "kept", 30)
    running.wait_balanced()
    with database_to_itself(running) as name:
        running.sql(f'CREATE DATABASE "{name}_backup" TEMPLATE "{name}"', database="postgres")
    backed_up = running.row_count(tenant)
    post_numbered(running, "after", 40)
    running.wait_until(
        lambda: running.row_count(tenant) >= backed_up + 40, MOVED_S, "the rows after the backup"
    )
    wanted = {row["id"] for row in running.rows(tenant)}
    with database_to_itself(running) as name:
        running.sql(f'DROP DATABASE "{name}"', database="postgres")
        running.sql(f'ALTER DATABASE "{name}_backup" RENAME TO "{name}"', database="postgres")
    post_numbered(running, "restored", 5)
    running.wait_until(
        lambda: running.row_count(tenant) >= len(wanted) + 5, MOVED_S, "every row to be there again"
    )
    assert wanted <= {row["id"] for row in running.rows(tenant)}
    running.wait_balanced()


def test_offsets_that_were_deleted_unread_are_a_line_in_the_ledger(running: World, tenant: Tenant) -> None:
    post_numbered(running, "read", 5)
    running.wait_balanced()
    running.stop("store")
    done = position(running, tenant)
    stored = running.row_count(tenant)
    post_numbered(running, "lost", 12)
    topic = TopicPartition(tenant_events_topic(tenant.slot), 0)
    running.wait_until(
        lambda: running.metrics("router").get("mk_router_lag_records", 1) == 0, 10, "the router to publish"
    )

    async def delete() -> None:
        admin = AIOKafkaAdminClient(**running.stack.endpoints.kafka_client())
        await admin.start()
        try:
            await admin.delete_records({topic: RecordsToDelete(before_offset=done + 7)})
        finally:
            await admin.close()

    asyncio.run(delete())
    running.restart("store")
    running.wait_until(lambda: running.row_count(tenant) >= stored + 5, MOVED_S, "the rows that were left")
    ledger = running.wait_balanced()
    assert running.row_count(tenant) == stored + 5
    assert running.outcomes(tenant)["expired_unread"] == 7
    assert ledger["tenants"][str(tenant.tenant)]["outcomes"]["expired_unread"] == 7
