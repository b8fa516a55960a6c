"""The restore gate on a real fence topic: behind is caught up, ahead or another topic is refused, forged is not believed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from contracts.fences import Fence, encode
from contracts.metrics import STORE_FENCES_APPLIED, STORE_GATE_OPEN, STORE_GATE_REFUSALS
from contracts.signing import KnownSigner, Signer
from contracts.topics import ERASURE_FENCES
from runtime.kafka.clients import Producer, acknowledged
from runtime.kafka.topic_log import TopicLog
from runtime.metrics import ProcessMetrics
from store.audit.log import What
from store.lanes.gate import FenceGate, GateClosed, GateMetrics
from tests.integration.store.cell import Cell, alias, event, seconds
from tests.integration.store.fencing import ERASURE, SIGNER, fence
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@dataclass(slots=True)
class Scene:
    """Two processes' gates on one topic and one database, and whoever writes fences."""

    cell: Cell
    producer: Producer
    logs: list[TopicLog] = field(default_factory=list)
    signers: dict[str, KnownSigner] = field(default_factory=lambda: {"erasure": ERASURE})
    refreshed: int = 0

    def gate(self) -> FenceGate:
        """A process's."""
        endpoints = self.cell.world.stack.endpoints
        log = TopicLog(endpoints.kafka, "test-gate", ERASURE_FENCES, endpoints.kafka_tls("store"))
        self.logs.append(log)
        counted = GateMetrics.of(
            ProcessMetrics("store"), STORE_FENCES_APPLIED, STORE_GATE_OPEN, STORE_GATE_REFUSALS
        )
        return FenceGate(log, self.signers.get, self.refresh, "mk_store", counted)

    async def refresh(self) -> None:
        """As control does: what was said meanwhile is known after it."""
        self.refreshed += 1

    async def admit(self, gate: FenceGate) -> None:
        """A new connection asks."""
        async with self.cell.connection() as connection:
            await gate.admit(connection)

    async def append(self, made: Fence, signer: Signer = SIGNER, partition: int | None = None) -> int:
        """Write a fence to the topic; its partition."""
        key, value, headers = encode(made, signer)
        sent = await self.producer.send(ERASURE_FENCES, value, key=key, headers=headers, partition=partition)
        return int((await acknowledged(sent)).partition)

    def positions(self) -> dict[int, int]:
        """Of this database."""
        rows = self.cell.world.sql("SELECT partition, next_offset FROM mk.fence_position")
        return {row["partition"]: row["next_offset"] for row in rows}

    def move(self, change: str, partition: int | None = None) -> None:
        """Make this database another than it is."""
        where = "" if partition is None else f" WHERE partition = {partition}"
        self.cell.world.sql(f"UPDATE mk.fence_position SET {change}{where}")


@pytest.fixture
async def scene(cell: Cell) -> AsyncIterator[Scene]:
    """Everything that earlier tests wrote has been applied, or is of no importance any more."""
    endpoints = cell.world.stack.endpoints
    producer = Producer(endpoints.kafka, "test-gate", tls=endpoints.kafka_tls("erasure"))
    await producer.start()
    made = Scene(cell, producer)
    made.logs.append(TopicLog(endpoints.kafka, "test-look", ERASURE_FENCES, endpoints.kafka_tls("store")))
    bounds = await made.logs[0].bounds()
    for partition, (_, end) in bounds.partitions.items():
        cell.world.sql(
            "INSERT INTO mk.fence_position VALUES ($1, $2, $3) ON CONFLICT (partition)"
            " DO UPDATE SET topic_id = excluded.topic_id, next_offset = excluded.next_offset",
            partition,
            bounds.topic_id,
            end,
        )
    yield made
    for log in made.logs:
        await log.stop()
    await producer.stop()


async def test_a_database_that_is_behind_gets_every_missing_fence_before_it_is_written_to(
    scene: Scene, tenant: Tenant, other: Tenant
) -> None:
    await scene.cell.write(tenant, event("ana"), event("bia"))
    await scene.cell.write(other, event("ana"))
    subjects = scene.cell.subjects(tenant)
    for name in ("ana", "bia"):
        await scene.append(fence(tenant, name, subject=subjects[alias(name)]["subject_id"]))
    gate = scene.gate()
    await scene.admit(gate)
    assert gate.is_open
    assert {row["wrapped_dek"] for row in scene.cell.subjects(tenant).values()} == {None}
    assert scene.cell.world.row_count(tenant) == 0
    assert scene.cell.subjects(other)[alias("ana")]["wrapped_dek"] is not None
    ended = await scene.cell.write(tenant, event("ana", at=datetime.now(UTC) - seconds(60)))
    assert ended.fenced == 1


async def test_a_new_database_begins_where_the_topic_begins(scene: Scene, tenant: Tenant) -> None:
    await scene.append(fence(tenant, "ana"))
    scene.cell.world.sql("DELETE FROM mk.fence_position")
    await scene.admit(scene.gate())
    assert alias("ana") in scene.cell.subjects(tenant)
    assert len(scene.positions()) == 4


async def test_positions_at_the_beginning_again_change_nothing_that_was_applied(
    scene: Scene, tenant: Tenant
) -> None:
    await scene.cell.write(tenant, event("ana"))
    await scene.append(fence(tenant, "ana", subject=scene.cell.subjects(tenant)[alias("ana")]["subject_id"]))
    gate = scene.gate()
    await scene.admit(gate)
    after = datetime.now(UTC) + seconds(2)
    assert (await scene.cell.write(tenant, event("ana", at=after, received=after))).stored == 1
    ends = scene.positions()
    scene.move("next_offset = 0")
    await scene.admit(gate)
    assert scene.positions() == ends
    assert scene.cell.subjects(tenant)[alias("ana")]["wrapped_dek"] is not None
    assert scene.cell.world.row_count(tenant) == 1


async def test_a_database_ahead_of_the_topic_is_refused(scene: Scene) -> None:
    gate = scene.gate()
    await scene.admit(gate)
    scene.move("next_offset = next_offset + 1", 2)
    with pytest.raises(GateClosed) as refused:
        await scene.admit(gate)
    assert (refused.value.reason, refused.value.partition) == ("ahead", 2)
    assert (gate.is_open, gate.closings) == (False, 1)
    scene.move("next_offset = next_offset - 1", 2)
    await scene.admit(gate)
    assert gate.is_open


async def test_another_topic_of_that_name_is_refused(scene: Scene, tenant: Tenant) -> None:
    partition = await scene.append(fence(tenant, "ana"))
    scene.move("topic_id = 'of before', next_offset = 0")
    with pytest.raises(GateClosed) as refused:
        await scene.admit(scene.gate())
    assert refused.value.reason == "other_topic"
    assert scene.positions()[partition] == 0
    assert scene.cell.people(tenant) == (0, 0)


async def test_fences_that_retention_took_before_they_were_applied_are_not_passed_over(
    scene: Scene, tenant: Tenant
) -> None:
    partition = await scene.append(fence(tenant, "ana"))
    at = scene.positions()[partition]
    admin = AIOKafkaAdminClient(**scene.cell.world.stack.endpoints.kafka_client())
    await admin.start()
    place = TopicPartition(ERASURE_FENCES, partition)
    await admin.delete_records({place: RecordsToDelete(before_offset=at + 1)})
    await admin.close()
    with pytest.raises(GateClosed) as refused:
        await scene.admit(scene.gate())
    assert refused.value.reason == "expired"


async def test_a_fence_that_erasure_did_not_sign_is_not_believed_and_not_passed_over(
    scene: Scene, tenant: Tenant
) -> None:
    await scene.cell.write(tenant, event("ana"))
    await scene.append(fence(tenant, "ana"), Signer.from_bytes("erasure", bytes(32)))
    with pytest.raises(GateClosed) as refused:
        await scene.admit(scene.gate())
    assert refused.value.reason == "unverified"
    assert scene.cell.subjects(tenant)[alias("ana")]["wrapped_dek"] is not None


async def test_a_key_that_control_has_said_meanwhile_is_looked_for(scene: Scene, tenant: Tenant) -> None:
    del scene.signers["erasure"]
    gate = scene.gate()

    async def refresh() -> None:
        scene.signers["erasure"] = ERASURE

    gate._newest_signers = refresh
    await scene.append(fence(tenant, "ana"))
    await scene.admit(gate)
    assert alias("ana") in scene.cell.subjects(tenant)


async def test_two_processes_that_find_the_same_fences_missing_apply_each_once(
    scene: Scene, tenant: Tenant
) -> None:
    await scene.admit(one := scene.gate())
    await scene.admit(two := scene.gate())
    for number in range(40):
        await scene.append(fence(tenant, f"person-{number}"))
    await asyncio.gather(scene.admit(one), scene.admit(two))
    assert scene.cell.people(tenant) == (40, 40)
    told = scene.cell.world.sql(
        "SELECT count(*) FROM mk.audit_entry WHERE convert_from(entry, 'UTF8') LIKE ALL ($1)",
        [f"%{tenant.tenant}%", f"%{What.FENCE_APPLIED}%"],
    )
    assert told[0][0] == 40
    assert one.is_open
    assert two.is_open


async def test_those_who_ask_together_share_one_look(scene: Scene) -> None:
    log = scene.logs[0]
    looks = await asyncio.gather(*(log.bounds() for _ in range(20)))
    assert len({look.asked_at for look in looks}) <= 2
