"""The store process against a real topic and database: what each kind of record becomes, and what a lane survives."""

import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from uuid import UUID, uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from contracts import headers as h
from contracts.control import SignerRecord, TenantRecord
from contracts.errors import TenantSchemaUnknown
from contracts.signing import RIGHTS_BY_PROCESS, Signer
from contracts.topics import LEDGER, tenant_events_topic
from deploy.local.node import minimal_environment
from deploy.local.stack import Endpoints
from runtime.kafka.clients import consumer
from store.lanes.positions import SCHEMA_NUMBER
from store.lanes.quarantine import MOST_PER_MINUTE
from store.lanes.queries import lock_number
from tests.integration.store.cell import Cell
from tests.integration.store.sealed import Router
from tests.support.waiting import until
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
_STORE = "store"


@pytest.fixture(scope="module")
def world_with_store(cell: Cell) -> Iterator[World]:
    """The store runs beside the custodian; nothing may have died in the end."""
    cell.world.start([_STORE])
    yield cell.world
    assert cell.world.dead() == set()
    cell.world.stop(_STORE)


@pytest.fixture
async def router(world_with_store: World) -> AsyncIterator[Router]:
    """Puts records on topics."""
    async with Router(world_with_store) as publisher:
        yield publisher


def new_tenant(world: World) -> tuple[Tenant, UUID]:
    """A tenant with a connected account."""
    tenant = world.add_tenant(f"company-{uuid4().hex[:8]}")
    return tenant, world.connect(tenant, "messenger", {"page": str(uuid4().int)[:15]})


def total(world: World, tenant: Tenant) -> int:
    """Records that have an outcome."""
    found = world.outcomes(tenant)
    return sum(found.values()) - found.get("replays", 0)


async def test_a_tenant_connected_while_the_store_runs_has_rows_without_a_rebalance(
    world_with_store: World, router: Router
) -> None:
    assigned = world_with_store.log(_STORE).count("lanes.assigned")
    tenant, account = new_tenant(world_with_store)
    await router.publish(tenant, account)
    world_with_store.wait_rows(tenant, 1)
    assert world_with_store.log(_STORE).count("lanes.assigned") == assigned, "binding a slot rebalanced"


async def test_what_does_not_verify_is_set_aside_and_its_neighbours_are_stored(
    world_with_store: World, router: Router
) -> None:
    tenant, account = new_tenant(world_with_store)
    other, _ = new_tenant(world_with_store)
    await router.publish(tenant, account)
    reasons = {
        await router.publish(tenant, account, spoil=True): "tampered",
        await router.publish(tenant, account, sealed_for=other): "tampered",
        await router.publish(tenant, account, changes={"ce_tenant": str(other.tenant).encode()}): "tampered",
        await router.publish(tenant, account, after_sealing={"ce_type": b"message.sent"}): "tampered",
        await router.publish(tenant, account, after_sealing={"mk_person": b""}): "tampered",
        await router.publish(tenant, account, changes={"mk_account": b"nobody"}): "contract_violation",
        await router.publish(tenant, account, changes={"ce_id": None}): "contract_violation",
    }
    async with Router(world_with_store, signer=Signer.from_bytes("router", bytes(range(32)))) as stranger:
        reasons[await stranger.publish(tenant, account)] = "tampered"
    await router.publish(tenant, account)
    world_with_store.wait_until(lambda: total(world_with_store, tenant) == 10, 10)
    assert world_with_store.outcomes(tenant) == {"stored": 2, "quarantined": 8}
    listed = world_with_store.mkc_raw("quarantine", "list", "--zone", "tenant", "--json")[1]
    found = {one["id"]: one["reasons"] for one in map(json.loads, listed.splitlines())}
    topic = tenant_events_topic(tenant.slot)
    assert {offset: found[f"{topic}:0:{offset}"] for offset in reasons} == {
        offset: {reason: 1} for offset, reason in reasons.items()
    }


async def test_a_quarantine_that_grows_too_fast_pauses_its_lane_and_drops_nothing(
    world_with_store: World, router: Router
) -> None:
    tenant, account = new_tenant(world_with_store)
    other, other_account = new_tenant(world_with_store)
    await router.publish(tenant, account)
    await asyncio.gather(
        *(router.publish(tenant, account, spoil=True) for _ in range(MOST_PER_MINUTE + 50)),
    )
    await router.publish(other, other_account)
    world_with_store.wait_rows(other, 1)
    world_with_store.wait_until(
        lambda: "QuarantineTooFast" in world_with_store.log(_STORE), 15, "the lane to wait"
    )
    assert total(world_with_store, tenant) <= MOST_PER_MINUTE + 1
    (position,) = world_with_store.sql(f"SELECT position FROM {tenant.schema}.lane")[0]
    assert position == total(world_with_store, tenant)


async def test_a_record_put_back_is_counted_as_a_replay_and_keeps_its_source(
    world_with_store: World, router: Router
) -> None:
    tenant, account = new_tenant(world_with_store)
    offset = await router.publish(tenant, account, spoil=True)
    world_with_store.wait_until(lambda: total(world_with_store, tenant) == 1, 10)
    identity = f"{tenant_events_topic(tenant.slot)}:0:{offset}"
    for replay in (1, 2, 3):
        code, _, _ = world_with_store.mkc_raw("quarantine", "replay", identity, "--zone", "tenant")
        assert code == 0
        world_with_store.wait_until(lambda done=replay: total(world_with_store, tenant) == done + 1, 10)  # type: ignore[misc]
    assert world_with_store.mkc_raw("quarantine", "replay", identity, "--zone", "tenant")[0] == 1
    assert world_with_store.outcomes(tenant) == {"quarantined": 4, "replays": 3}


async def test_only_erasure_announces_and_it_says_nothing_else(
    world_with_store: World, router: Router
) -> None:
    signer = Signer.from_bytes("erasure", os.urandom(32))
    await router.announce(
        SignerRecord(
            name=signer.name,
            public_key=b64encode(signer.public_raw),
            may=RIGHTS_BY_PROCESS[signer.name],
        )
    )
    # After it on control: whoever knows the tenant knows the signer.
    tenant, account = new_tenant(world_with_store)
    async with Router(world_with_store, signer=signer) as erasure:
        await erasure.publish(tenant, account, kind="subject.erased")
        await erasure.publish(tenant, account, kind="message.received")
    await router.publish(tenant, account, kind="subject.erased")
    world_with_store.wait_until(lambda: total(world_with_store, tenant) == 3, 10)
    assert world_with_store.outcomes(tenant) == {"notice": 1, "quarantined": 2}


async def test_a_time_for_which_no_table_partition_can_come_does_not_hold_the_lane(
    world_with_store: World, router: Router
) -> None:
    tenant, account = new_tenant(world_with_store)
    year_3000 = str(UUID(int=32_503_680_000_000 << 80 | 0x8 << 76 | 0x2 << 62)).encode()
    await router.publish(tenant, account, changes={h.CE_ID: year_3000})
    await router.publish(tenant, account)
    world_with_store.wait_until(lambda: total(world_with_store, tenant) == 2, 10)
    assert world_with_store.outcomes(tenant) == {"quarantined": 1, "stored": 1}


async def test_a_changed_retention_reaches_a_running_lane_without_a_restart(
    world_with_store: World, router: Router
) -> None:
    tenant, account = new_tenant(world_with_store)
    two_days_ago_ms = int(time.time() - 2 * 86_400) * 1000
    old = str(UUID(int=two_days_ago_ms << 80 | 0x8 << 76 | 0x2 << 62)).encode()
    numbers = itertools.count(1)
    await router.publish(tenant, account, changes={h.CE_ID: old})
    world_with_store.wait_rows(tenant, 1)
    world_with_store.sql("UPDATE mk.tenant SET retention_days = 1 WHERE tenant_id = $1", tenant.tenant)
    await router.announce(
        TenantRecord(
            tenant=tenant.tenant, state="ready", slot=tenant.slot, partitions=1, schema_name=tenant.schema
        )
    )

    async def ended_as_expired() -> bool:
        # Until the store has read its tenants again, what is too old by the new period is stored by the one before.
        before = total(world_with_store, tenant)
        another = f"{old[:-3].decode()}{next(numbers):03}".encode()
        await router.publish(tenant, account, changes={h.CE_ID: another})
        world_with_store.wait_until(lambda: total(world_with_store, tenant) > before, 10)
        return world_with_store.outcomes(tenant).get("expired", 0) > 0

    await until(ended_as_expired, "the new period to count")
    assert world_with_store.outcomes(tenant).keys() == {"stored", "expired"}


async def test_a_disconnected_accounts_backlog_ends_as_refused(
    world_with_store: World, router: Router
) -> None:
    tenant, account = new_tenant(world_with_store)
    await router.publish(tenant, account)
    world_with_store.wait_rows(tenant, 1)
    world_with_store.mkc("account", "disconnect", str(account))
    await router.publish(tenant, account)
    await router.publish(tenant, uuid4())
    world_with_store.wait_until(lambda: total(world_with_store, tenant) == 3, 10)
    assert world_with_store.outcomes(tenant) == {"stored": 1, "refused": 2}


async def test_a_key_that_is_not_there_yet_holds_its_own_lane_only(
    world_with_store: World, router: Router, cell: Cell
) -> None:
    late, late_account = new_tenant(world_with_store)
    other, other_account = new_tenant(world_with_store)
    hidden = {name: cell.secrets.get(name) for name in cell.secrets.names(f"transport-{late.tenant}-")}
    for name in hidden:
        cell.secrets.destroy(name)
    await router.publish(late, late_account)
    await router.publish(other, other_account)
    world_with_store.wait_rows(other, 1)
    await asyncio.sleep(0.5)
    assert world_with_store.outcomes(late) == {}
    for name, content in hidden.items():
        cell.secrets.put(name, content)
    world_with_store.wait_rows(late, 1)


async def test_a_tenant_whose_lock_is_held_stalls_alone(
    world_with_store: World, router: Router, cell: Cell
) -> None:
    held, held_account = new_tenant(world_with_store)
    other, other_account = new_tenant(world_with_store)
    async with cell.connection("mk_erasure") as eraser, eraser.transaction():
        await eraser.execute(f"SELECT pg_advisory_xact_lock({lock_number(held.tenant)})")
        await router.publish(held, held_account)
        for _ in range(3):
            await router.publish(other, other_account)
        world_with_store.wait_rows(other, 3, 3)
        assert world_with_store.row_count(held) == 0
    world_with_store.wait_rows(held, 1)


async def test_a_database_restored_to_an_earlier_state_reads_again_and_ends_with_every_row(
    world_with_store: World, router: Router
) -> None:
    tenant, account = new_tenant(world_with_store)
    for number in range(6):
        await router.publish(tenant, account, f"person-{number}")
    world_with_store.wait_rows(tenant, 6)
    for table in ("message", "alias", "subject", "lane_outcome"):
        world_with_store.sql(f"DELETE FROM {tenant.schema}.{table}")
    world_with_store.sql(f"UPDATE {tenant.schema}.lane SET position = 0")
    await router.publish(tenant, account, "person-6")
    world_with_store.wait_rows(tenant, 7)
    assert world_with_store.outcomes(tenant) == {"stored": 7}


async def test_a_position_after_the_end_of_the_log_faults_and_nothing_is_written(
    world_with_store: World, router: Router
) -> None:
    tenant, account = new_tenant(world_with_store)
    await router.publish(tenant, account)
    world_with_store.wait_rows(tenant, 1)
    faulted = world_with_store.metrics(_STORE)['mk_store_lanes{state="faulted"}']
    world_with_store.sql(f"UPDATE {tenant.schema}.lane SET position = 1000")
    await router.publish(tenant, account)
    world_with_store.wait_until(
        lambda: world_with_store.metrics(_STORE)['mk_store_lanes{state="faulted"}'] == faulted + 1, 5
    )
    assert world_with_store.row_count(tenant) == 1
    world_with_store.sql(f"UPDATE {tenant.schema}.lane SET position = 1")
    world_with_store.wait_rows(tenant, 2, 15)


async def test_a_lane_with_a_broken_schema_faults_alone_and_recovers(
    world_with_store: World, router: Router
) -> None:
    broken, broken_account = new_tenant(world_with_store)
    other, other_account = new_tenant(world_with_store)
    world_with_store.sql(f"ALTER TABLE {broken.schema}.alias RENAME TO gone")
    await router.publish(broken, broken_account)
    await router.publish(other, other_account)
    world_with_store.wait_rows(other, 1)
    assert world_with_store.row_count(broken) == 0
    world_with_store.sql(f"ALTER TABLE {broken.schema}.gone RENAME TO alias")
    world_with_store.wait_rows(broken, 1, 15)


async def test_offsets_that_retention_removed_are_a_ledger_line_and_an_outcome(
    world_with_store: World, router: Router
) -> None:
    tenant, account = new_tenant(world_with_store)
    world_with_store.stop(_STORE)
    topic = tenant_events_topic(tenant.slot)
    for _ in range(5):
        await router.publish(tenant, account)
    endpoints = world_with_store.service.endpoints
    admin = AIOKafkaAdminClient(**endpoints.kafka_client())
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=3)})
    await admin.close()
    world_with_store.start([_STORE])
    world_with_store.wait_rows(tenant, 2, 20)
    assert world_with_store.outcomes(tenant) == {"stored": 2, "expired_unread": 3}
    lines = await ledger_lines(endpoints)
    assert {
        "kind": "expired_unread", "topic": topic, "partition": 0, "first_offset": 0, "next_offset": 3,
    } in lines  # fmt: skip


async def ledger_lines(endpoints: Endpoints) -> list[object]:
    """Everything on the ledger topic."""
    reader = consumer(endpoints.kafka, "test", group=None, tls=endpoints.kafka_tls("operator"))
    await reader.start()
    try:
        partitions = [TopicPartition(LEDGER, number) for number in range(4)]
        reader.assign(partitions)
        await reader.seek_to_beginning(*partitions)
        found = await reader.getmany(timeout_ms=2000)
        return [json.loads(record.value) for records in found.values() for record in records]
    finally:
        await reader.stop()


async def test_a_lane_waits_while_its_tenants_schema_is_not_one_that_this_code_knows(
    world_with_store: World, router: Router
) -> None:
    (newer, newer_account), (older, older_account) = (
        new_tenant(world_with_store),
        new_tenant(world_with_store),
    )
    other, other_account = new_tenant(world_with_store)
    for name in (
        _STORE,
        "custodian",
    ):  # The custodian would bring the older one up to date, and refuse the newer.
        world_with_store.stop(name)
    insert = "INSERT INTO mk.tenant_migration (tenant_id, number, sha256) VALUES ($1, 9999, '')"
    world_with_store.sql(insert, newer.tenant)
    remove = "DELETE FROM mk.tenant_migration WHERE tenant_id = $1 AND number = $2 RETURNING sha256"
    [(digest,)] = world_with_store.sql(remove, older.tenant, SCHEMA_NUMBER)
    for tenant, account in ((newer, newer_account), (older, older_account), (other, other_account)):
        await router.publish(tenant, account)
    world_with_store.start([_STORE])
    world_with_store.wait_rows(other, 1, 20)
    world_with_store.wait_until(
        lambda: all(f'"{one.slot}"' in waiting(world_with_store) for one in (newer, older)),
        10,
        "both to wait",
    )
    assert [world_with_store.row_count(one) for one in (newer, older)] == [0, 0]
    world_with_store.sql(remove, newer.tenant, 9999)
    again = "INSERT INTO mk.tenant_migration (tenant_id, number, sha256) VALUES ($1, $2, $3)"
    world_with_store.sql(again, older.tenant, SCHEMA_NUMBER, digest)
    for one in (newer, older):
        world_with_store.wait_rows(one, 1, 20)
    world_with_store.start(["custodian"])


def waiting(world: World) -> str:
    """What the store says of lanes whose tenant's schema it does not know."""
    lines = world.log(_STORE).splitlines()
    return "".join(
        line for line in lines if TenantSchemaUnknown.code in line or "TenantSchemaUnknown" in line
    )


def test_a_database_of_another_version_is_refused(world_with_store: World) -> None:
    world_with_store.stop(_STORE)
    world_with_store.sql("INSERT INTO mk.migration (number, name, sha256) VALUES (9999, 'newer', '')")
    try:
        node = world_with_store.node(_STORE)
        ended = subprocess.run(
            [sys.executable, "-m", "store"],
            env=minimal_environment(**node._environment),
            capture_output=True,
            text=True,
            timeout=20,
        )
    finally:
        world_with_store.sql("DELETE FROM mk.migration WHERE number = 9999")
    assert ended.returncode == 1
    assert "schema_incompatible" in ended.stderr
