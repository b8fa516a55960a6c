"""Two tenants' data cannot be swapped or reached: roles, cells, wrapped keys."""

import asyncpg
import pytest

from tests.integration.store.cell import Cell, alias, event
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


async def test_the_stores_login_reads_nothing_without_a_role(cell: Cell, tenant: Tenant) -> None:
    async with cell.connection() as connection:
        for table in ("message", "subject", "alias", "lane", "epoch"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {tenant.schema}.{table}")


async def test_one_tenants_role_cannot_see_the_other_schema(
    cell: Cell, tenant: Tenant, other: Tenant
) -> None:
    async with cell.connection() as connection, connection.transaction():
        await connection.execute(f'SET LOCAL ROLE "{tenant.schema}"')
        assert await connection.fetch(f"SELECT * FROM {tenant.schema}.message") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"SELECT * FROM {other.schema}.message")


async def test_a_stores_role_neither_deletes_nor_unfences(cell: Cell, tenant: Tenant) -> None:
    await cell.write(tenant, event("ana"))
    for statement in (
        f"DELETE FROM {tenant.schema}.message",
        f"UPDATE {tenant.schema}.subject SET watermark = NULL",
        f"UPDATE {tenant.schema}.subject SET erased_through_gen = 0",
        f"UPDATE {tenant.schema}.message SET body = ''",
        f"DELETE FROM {tenant.schema}.tombstone",
        f"INSERT INTO {tenant.schema}.epoch VALUES (9, 1, '', 'retiring')",
    ):
        async with cell.connection() as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f'BEGIN; SET LOCAL ROLE "{tenant.schema}"; {statement}; COMMIT')


async def test_after_an_error_the_connection_carries_no_role(cell: Cell, tenant: Tenant) -> None:
    async with cell.connection() as connection:
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(f'BEGIN; SET LOCAL ROLE "{tenant.schema}"; SELECT 1 / 0; COMMIT')
        await connection.execute("ROLLBACK")
        assert await connection.fetchval("SELECT current_user") == "mk_store"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"SELECT * FROM {tenant.schema}.message")


@pytest.mark.parametrize("swapped", ["rows", "subjects", "tenants"])
async def test_a_moved_cell_does_not_open(cell: Cell, tenant: Tenant, other: Tenant, swapped: str) -> None:
    one, two = event("ana", text=b'{"text":"one"}'), event("ana", text=b'{"text":"two"}')
    three = event("bia", text=b'{"text":"three"}')
    await cell.write(tenant, one, two, three)
    await cell.write(other, one)
    schema = tenant.schema
    source = {"rows": (schema, two), "subjects": (schema, three), "tenants": (other.schema, one)}[swapped]
    (cell_bytes,) = cell.world.sql(f"SELECT body FROM {source[0]}.message WHERE id = $1", source[1].event_id)[
        0
    ]
    cell.world.sql(f"UPDATE {schema}.message SET body = $1 WHERE id = $2", cell_bytes, one.event_id)
    read = {message["id"]: message for message in cell.world.messages(tenant)}
    assert read[str(one.event_id)]["tampered"] is True
    assert read[str(two.event_id)]["data"] == {"text": "two"}


async def test_a_wrapped_key_moved_to_another_subject_faults_and_is_never_used(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.write(tenant, event("ana"), event("bia"))
    subjects = cell.subjects(tenant)
    cell.world.sql(
        f"UPDATE {tenant.schema}.subject SET wrapped_dek = $1 WHERE subject_id = $2",
        subjects[alias("ana")]["wrapped_dek"],
        subjects[alias("bia")]["subject_id"],
    )
    with pytest.raises(Exception, match="does not open"):
        await cell.write(tenant, event("bia"))
    assert cell.position(tenant) == 2


async def test_a_read_is_on_record_before_it_shows_anything(cell: Cell, tenant: Tenant) -> None:
    await cell.write(tenant, event("ana"), event("ana"))
    cell.world.mkc("messages", tenant.name, "--purpose", "ticket 1", "--who", "carla", "--limit", "1")
    (record,) = cell.world.sql("SELECT * FROM mk.access_record WHERE tenant_id = $1", tenant.tenant)
    assert (record["who"], record["purpose"], record["rows_read"]) == ("carla", "ticket 1", 1)
    assert record["ended_at"] >= record["started_at"]
    assert cell.world.mkc_raw("messages", tenant.name, "--purpose", "  ")[0] == 2
