"""Two tenants' data cannot be swapped: records, cells and roles of one are of no use at the other's."""

import asyncio
from dataclasses import dataclass

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from contracts.topics import tenant_events_topic
from tests.support.bodies import encode, messenger
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

SECRET_OF_A, SECRET_OF_B = "segredo da empresa A", "segredo da empresa B"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two tenants with a message each."""

    a: Tenant
    b: Tenant


@pytest.fixture(scope="module")
def pair(world: World) -> Pair:
    """Both ready, one row each."""
    world.start()
    pair = Pair(world.add_tenant("empresa-a"), world.add_tenant("empresa-b"))
    for tenant, page, text in (
        (pair.a, "820000000000001", SECRET_OF_A),
        (pair.b, "820000000000002", SECRET_OF_B),
    ):
        world.connect(tenant, "messenger", {"page": page})
        assert world.post(encode(messenger(f"m_{page}", text, page=page))) == 200
        world.wait_rows(tenant, 1)
    return pair


def test_each_tenant_reads_its_own_and_only_that(world: World, pair: Pair) -> None:
    assert SECRET_OF_A in str(world.messages(pair.a))
    assert SECRET_OF_B in str(world.messages(pair.b))
    assert SECRET_OF_B not in str(world.messages(pair.a))
    assert SECRET_OF_A not in str(world.messages(pair.b))


def test_a_record_moved_to_the_other_tenants_topic_is_set_aside_and_never_stored(
    world: World, pair: Pair
) -> None:
    before = world.row_count(pair.b)

    async def move() -> None:
        part = TopicPartition(tenant_events_topic(pair.a.slot), 0)
        # Nobody but the router may write there: whoever has its certificate, and not its signing key.
        endpoints = world.stack.endpoints
        async with AIOKafkaConsumer(**endpoints.kafka_client("store"), auto_offset_reset="none") as consumer:
            consumer.assign([part])
            await consumer.seek_to_beginning(part)
            record = await consumer.getone(part)
        async with AIOKafkaProducer(**endpoints.kafka_client("router")) as producer:
            topic = tenant_events_topic(pair.b.slot)
            await producer.send_and_wait(topic, record.value, key=record.key, headers=list(record.headers))

    asyncio.run(move())
    world.wait_until(lambda: world.outcomes(pair.b).get("quarantined") == 1, 10, "the quarantine")
    assert world.row_count(pair.b) == before
    assert world.dead() == set()


def test_a_cell_moved_to_the_other_tenants_row_does_not_open(world: World, pair: Pair) -> None:
    stolen = world.rows(pair.a)[0]["body"]
    mine = world.rows(pair.b)[0]
    move = f"UPDATE {pair.b.schema}.message SET body = $1 WHERE id = $2"
    world.sql(move, stolen, mine["id"])
    try:
        _, output, errors = world.mkc_raw("messages", pair.b.name, "--purpose", "test", "--json")
        assert SECRET_OF_A not in output + errors
        assert SECRET_OF_B not in output + errors
    finally:
        world.sql(move, mine["body"], mine["id"])
    assert SECRET_OF_B in str(world.messages(pair.b))


@pytest.mark.parametrize("login", ["mk_store", "mk_erasure", "mk_reader", "mk_custodian"])
def test_a_login_reads_nothing_of_a_tenant_without_taking_its_role(
    world: World, pair: Pair, login: str
) -> None:
    async def read() -> None:
        connection = await asyncpg.connect(world.service.login(login))
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {pair.a.schema}.message")
        finally:
            await connection.close()

    asyncio.run(read())


def test_a_query_under_one_tenants_role_cannot_see_the_others_schema(world: World, pair: Pair) -> None:
    async def read() -> int:
        connection = await asyncpg.connect(world.service.login("mk_store"))
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL ROLE {pair.a.schema}")
                own = await connection.fetchval(f"SELECT count(*) FROM {pair.a.schema}.message")
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch(f"SELECT * FROM {pair.b.schema}.message")
            return int(own)
        finally:
            await connection.close()

    assert asyncio.run(read()) == 1
