"""`mkc ledger` and `mkc doctor` against real topics and rows: each fault is named, and gone once it is repaired.

Only the custodian runs; raw records, ledger lines, commits and lanes are written here, so that they can be wrong.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from contracts import topics
from contracts.ledger import RawLine, TenantCounts
from runtime.kafka.clients import Producer, acknowledged, consumer
from store.custody.ledger import ROUTER_GROUP, overdue_records
from store.database import connected
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.fixture(scope="module")
def acme(world: World) -> Iterator[Tenant]:
    """A tenant, with the custodian running."""
    world.start(["custodian"])
    yield world.add_tenant("acme")
    assert world.dead() == set()


def _send(
    world: World, topic: str, values: list[tuple[bytes | None, bytes]], partition: int | None
) -> list[int]:
    async def send() -> list[int]:
        producer = Producer(
            world.stack.endpoints.kafka, "test", tls=world.stack.endpoints.kafka_tls("router")
        )
        await producer.start()
        try:
            sent = [await producer.send(topic, value, key=key, partition=partition) for key, value in values]
            return [(await acknowledged(future)).offset for future in sent]
        finally:
            await producer.stop()

    return world.run(send())


def _commit(world: World, offset: int) -> None:
    async def commit() -> None:
        client = consumer(
            world.stack.endpoints.kafka,
            "test",
            group=ROUTER_GROUP,
            tls=world.stack.endpoints.kafka_tls("router"),
        )
        await client.start()
        try:
            at = TopicPartition(topics.RAW, 0)
            client.assign([at])
            await client.commit({at: offset})
        finally:
            await client.stop()

    world.run(commit())


def _write_line(world: World, acme: Tenant, offset: int, events: int) -> None:
    line = RawLine(
        topic=topics.RAW,
        partition=0,
        offset=offset,
        deliveries=1,
        items=events,
        tenants={str(acme.tenant): TenantCounts(events=events)},
    )
    _send(world, topics.LEDGER, [(line.key, line.model_dump_json().encode())], None)


def _outcome(world: World, acme: Tenant, first: int, following: int, **counts: int) -> None:
    names = "".join(f", {name}" for name in counts)
    values = "".join(f", {count}" for count in counts.values())
    world.sql(
        f"INSERT INTO {acme.schema}.lane_outcome (partition, first_offset, next_offset{names}) "
        f"VALUES (0, {first}, {following}{values})"
    )


def _found(says: Any, kind: str = "findings") -> set[tuple[str, int | None, int | None]]:
    return {(found["topic"], found["first_offset"], found["next_offset"]) for found in says[kind]}


def test_an_empty_ledger_balances(world: World, acme: Tenant) -> None:
    balanced, says = world.ledger()
    assert balanced
    assert says["in_flight"] == []


def test_the_ledger_names_what_is_missing_and_balances_once_it_is_there(world: World, acme: Tenant) -> None:
    topic = topics.tenant_events_topic(acme.slot)
    assert _send(world, topics.RAW, [(None, b"sealed")] * 3, 0) == [0, 1, 2]
    balanced, says = world.ledger()
    assert balanced
    assert _found(says, "in_flight") == {(topics.RAW, 0, 3)}
    code, _, _ = world.mkc_raw("ledger", "--strict")
    assert code == 1

    _commit(world, 3)
    _write_line(world, acme, 0, 1)
    _write_line(world, acme, 2, 3)
    assert _send(world, topic, [(b"k", b"sealed")] * 5, 0) == [0, 1, 2, 3, 4]
    balanced, says = world.ledger()
    assert not balanced
    assert _found(says) == {(topics.RAW, 1, 2)}
    _write_line(world, acme, 1, 0)

    world.sql(f"INSERT INTO {acme.schema}.lane (partition, slot, position) VALUES (0, '{acme.slot}', 5)")
    _outcome(world, acme, 0, 2, stored=2)
    _outcome(world, acme, 4, 5, duplicate=1)
    balanced, says = world.ledger()
    assert not balanced
    assert (topic, 2, 4) in _found(says)
    _outcome(world, acme, 1, 4, stored=2, quarantined=1)
    balanced, says = world.ledger()
    assert not balanced
    assert (topic, 1, 2) in _found(says)

    world.sql(f"DELETE FROM {acme.schema}.lane_outcome WHERE first_offset = 1")
    _outcome(world, acme, 2, 4, stored=2)
    balanced, says = world.ledger()
    assert balanced
    assert (says["raw_records"], says["in_flight"]) == (3, [])
    total = says["tenants"][str(acme.tenant)]
    assert (total["events"], total["records"], total["republished"]) == (4, 5, 1)
    assert (total["outcomes"]["stored"], total["outcomes"]["duplicate"]) == (4, 1)

    # A row for a partition that is not there: the custodian asks Kafka for the others, and is answered.
    world.sql(f"INSERT INTO {acme.schema}.lane (partition, slot, position) VALUES (7, '{acme.slot}', 0)")
    assert world.run(_overdue(world)) == 0
    code, output, _ = world.mkc_raw("ledger", "--strict")
    assert code == 0
    assert output.splitlines()[-1] == "balanced"


def test_the_ledger_can_be_asked_for_one_tenant_and_refuses_an_unknown_one(
    world: World, acme: Tenant
) -> None:
    code, output, _ = world.mkc_raw("ledger", "acme", "--json")
    assert code == 0
    assert str(acme.tenant) in json.loads(output)["tenants"]
    code, _, errors = world.mkc_raw("ledger", "nobody")
    assert code == 1
    assert "unknown_name" in errors


def _doctor(world: World) -> tuple[int, Any]:
    code, output, _ = world.mkc_raw("doctor", "--json")
    return code, json.loads(output)


def _alter(world: World, topic: str, name: str, value: str) -> None:
    async def alter() -> None:
        admin = AIOKafkaAdminClient(**world.stack.endpoints.kafka_client())
        await admin.start()
        try:
            described = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
            # The call replaces all of a topic's own settings: give it those that stand.
            own = {entry[0]: entry[1] for entry in described[0].resources[0][4] if entry[3] == 1}
            await admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, topic, configs={**own, name: value})]
            )
        finally:
            await admin.close()

    world.run(alter())


def test_the_doctor_finds_a_wrong_retention_and_nothing_once_it_is_right(world: World, acme: Tenant) -> None:
    world.wait_until(lambda: _doctor(world)[0] == 0, 20, "a healthy start")
    _alter(world, topics.RAW, "retention.ms", "1000000")
    code, says = _doctor(world)
    assert code == 1
    assert [found["what"] for found in says["findings"]] == [
        f"{topics.RAW}: retention.ms is 1000000, declared {topics.BY_NAME[topics.RAW].retention_ms}"
    ]
    _alter(world, topics.RAW, "retention.ms", str(topics.BY_NAME[topics.RAW].retention_ms))
    assert _doctor(world)[0] == 0


def test_the_doctor_finds_a_login_that_inherits_a_lost_table_and_an_open_key_file(
    world: World, acme: Tenant
) -> None:
    world.sql("ALTER ROLE mk_reader INHERIT")
    try:
        found = [found["what"] for found in _doctor(world)[1]["findings"]]
        assert found == ["mk_reader inherits: it reads every tenant without SET ROLE"]
    finally:
        world.sql("ALTER ROLE mk_reader NOINHERIT")
    if int(world.sql("SHOW server_version_num")[0][0]) >= 160_000:
        world.sql(f"GRANT {acme.schema}_read TO mk_reader WITH INHERIT TRUE GRANTED BY mk_custodian")
        found = [found["what"] for found in _doctor(world)[1]["findings"]]
        assert found == [f"mk_reader has the rights of {acme.schema}_read without SET ROLE"]
        world.sql(f"GRANT {acme.schema}_read TO mk_reader WITH INHERIT FALSE GRANTED BY mk_custodian")
    world.sql(f"ALTER TABLE {acme.schema}.tombstone RENAME TO elsewhere")
    routing = world.service.keys / "router" / "secrets" / f"pseudonym-{acme.tenant}"
    routing.chmod(0o644)
    try:
        found = [found["what"] for found in _doctor(world)[1]["findings"]]
        assert f"{acme.schema}.tombstone is missing" in found
        assert any("open to others" in what for what in found)
        assert len(found) == 2
    finally:
        routing.chmod(0o600)
        world.sql(f"ALTER TABLE {acme.schema}.elsewhere RENAME TO tombstone")
    assert _doctor(world)[0] == 0


def test_a_lost_partition_is_made_again_when_a_lane_asks_for_it(world: World, acme: Tenant) -> None:
    dated = sorted(
        row[0]
        for row in world.sql(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass",
            f"{acme.schema}.message",
        )
        if "message_p2" in row[0]
    )
    world.sql(f"DROP TABLE {dated[-1]}")
    assert _doctor(world)[0] == 1
    world.sql("SELECT pg_notify('mk_custodian', '')")
    world.wait_until(lambda: _doctor(world)[0] == 0, 10, "the partition")


async def _overdue(world: World) -> int:
    tls = world.stack.endpoints.kafka_tls("custodian")
    async with connected(world.service.login("mk_custodian"), "test") as connection:
        return await overdue_records(world.stack.endpoints.kafka, connection, tls)
