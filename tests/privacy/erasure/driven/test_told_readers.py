"""What readers' consumer groups have committed, looked at as erasure's own certificate may: every group, every partition."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from contracts.hybrid import HybridPrivateKey
from contracts.topics import tenant_events_topic
from store.erasure.telling.acknowledged import Acknowledgements
from store.erasure.telling.reader_groups import ReaderGroups
from store.erasure.telling.told_readers import Settled
from tests.integration.store.cell import Cell, event
from tests.support.eraser import Eraser
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def grant(cell: Cell, tenant: Tenant, reader: str) -> UUID:
    """An active one."""
    given = uuid4()
    cell.world.sql(
        "INSERT INTO mk.reader_grant (grant_id, tenant_id, reader, public_key, given_to, directed_by, proof, granted_by, until)"
        " VALUES ($1, $2, $3, $4, 'CRM', 'legal', 'DPA-1', 'test', now() + interval '1 day')",
        given,
        tenant.tenant,
        reader,
        HybridPrivateKey.generate().public.raw,
    )
    return given


def noted(cell: Cell, request: UUID) -> list[int]:
    """Where the topic ended after the notice, by partition."""
    return list(cell.world.sql("SELECT ends FROM mk.reader_notice WHERE request_id = $1", request)[0]["ends"])


async def commit(cell: Cell, tenant: Tenant, group: str, offsets: Sequence[int]) -> None:
    """As a member of that group does, by partition."""
    at = [TopicPartition(tenant_events_topic(tenant.slot), number) for number in range(len(offsets))]
    async with AIOKafkaConsumer(
        **cell.world.stack.endpoints.kafka_client(), group_id=group, enable_auto_commit=False
    ) as member:
        member.assign(at)
        await member.commit(dict(zip(at, offsets, strict=True)))


async def test_the_last_group_counts_and_what_left_the_topic_unseen_is_missed(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    endpoints = cell.world.service.endpoints
    groups = ReaderGroups(endpoints.kafka, "test-readers", endpoints.kafka_tls("erasure"))
    acknowledgements = Acknowledgements(eraser.tools, groups)
    connection = eraser.tools.connection
    names = {grant(cell, tenant, name): name for name in ("reader-two", "reader-none", "reader-over")}
    await cell.write(tenant, event("ana"))
    request = await eraser.erase(tenant, "ana")
    ends = noted(cell, request)
    over = next(given for given, name in names.items() if name == "reader-over")
    cell.world.sql("UPDATE mk.reader_grant SET until = clock_timestamp() WHERE grant_id = $1", over)

    async def looked() -> dict[str, str | None]:
        await acknowledgements.look(connection)
        rows = await connection.fetch(
            "SELECT grant_id, settled FROM mk.reader_notice WHERE request_id = $1", request
        )
        return {names[row["grant_id"]].removeprefix("reader-"): row["settled"] for row in rows}

    try:
        # As far as it goes without the notice; another's group, whose name begins alike.
        await commit(cell, tenant, "reader-two.first", ends)
        await commit(cell, tenant, "reader-two.second", [ends[0] - 1, *ends[1:]])
        await commit(cell, tenant, "reader-none2.first", ends)
        assert await looked() == {"two": None, "none": None, "over": Settled.ENDED}
        await commit(cell, tenant, "reader-two.second", ends)
        assert await looked() == {"two": Settled.ACKNOWLEDGED, "none": None, "over": Settled.ENDED}
        admin = AIOKafkaAdminClient(**cell.world.stack.endpoints.kafka_client())
        await admin.start()
        try:
            at = TopicPartition(tenant_events_topic(tenant.slot), 0)
            await admin.delete_records({at: RecordsToDelete(before_offset=ends[0])})
        finally:
            await admin.close()
        await commit(cell, tenant, "reader-none.first", ends)
        assert await looked() == {"two": Settled.ACKNOWLEDGED, "none": Settled.MISSED, "over": Settled.ENDED}
    finally:
        await groups.stop()


async def test_without_open_notices_kafka_is_asked_nothing(eraser: Eraser) -> None:
    nobody = ReaderGroups("127.0.0.1:1", "test-readers")
    await asyncio.wait_for(Acknowledgements(eraser.tools, nobody).look(eraser.tools.connection), 60)
