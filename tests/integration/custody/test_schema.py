"""The database cell's schema: migrated once, refused when it is not ours; logins that inherit nothing."""

import asyncio
import hashlib
from urllib.parse import urlsplit

import asyncpg
import pytest

from contracts.errors import DatabaseUnavailable, SchemaIncompatible
from deploy.local.database import prepare_database
from deploy.local.stack import LocalStack
from store.custody.shape import RIGHTS, cell_differences, cell_rights, tenant_differences
from store.database import connected
from store.migrate import Migration, check, known, migrate
from tests.integration.custody.conftest import Cell

pytestmark = pytest.mark.postgres


def _and(sql: str) -> tuple[Migration, ...]:
    ours = known()
    return (*ours, Migration(len(ours) + 1, "more", sql, hashlib.sha256(sql.encode()).digest()))


async def test_migrations_are_applied_once_and_every_login_may_check_them(cell: Cell) -> None:
    assert await migrate(cell.logins["mk_custodian"]) == []
    for login in cell.logins:
        async with cell.connection(login) as connection:
            await check(connection)


async def test_two_that_migrate_at_once_apply_each_migration_once(cell: Cell) -> None:
    dsn, more = cell.logins["mk_custodian"], _and("CREATE TABLE mk.extra (a integer)")
    applied = await asyncio.gather(migrate(dsn, more), migrate(dsn, more))
    assert sorted(applied) == [[], [len(more)]]


async def test_an_unknown_a_changed_and_a_missing_migration_are_refused(cell: Cell) -> None:
    dsn, more = cell.logins["mk_custodian"], _and("SELECT 1")
    async with cell.connection() as connection:
        with pytest.raises(SchemaIncompatible):
            await check(connection, more)
        await migrate(dsn, more)
        await check(connection, more)
        with pytest.raises(SchemaIncompatible):
            await check(connection)
        with pytest.raises(SchemaIncompatible):
            await migrate(dsn)
        with pytest.raises(SchemaIncompatible):
            await check(connection, _and("SELECT 2"))


async def test_nothing_of_a_migration_that_fails_stays(cell: Cell) -> None:
    broken = _and("CREATE TABLE mk.extra (a integer); SELECT 1 / 0")
    with pytest.raises(SchemaIncompatible):
        await migrate(cell.logins["mk_custodian"], broken)
    async with cell.connection() as connection:
        await check(connection)
        assert await connection.fetchval("SELECT to_regclass('mk.extra')") is None


async def test_preparing_a_database_again_corrects_a_login_that_inherits(
    stack: LocalStack, cell: Cell
) -> None:
    name = urlsplit(cell.logins["mk_store"]).path.removeprefix("/")
    admin = await asyncpg.connect(stack.endpoints.postgres)
    try:
        await admin.execute("ALTER ROLE mk_store INHERIT")
        assert prepare_database(stack.endpoints.postgres, name, stack.endpoints.passwords) == cell.logins
        assert not await admin.fetchval("SELECT rolinherit FROM pg_roles WHERE rolname = 'mk_store'")
    finally:
        await admin.close()


async def test_no_login_can_store_a_large_object_outside_every_schema(cell: Cell) -> None:
    for login in cell.logins:
        async with cell.connection(login) as connection:
            for call in ("lo_create(0)", "lo_creat(-1)", "lo_from_bytea(0, 'x')"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetchval(f"SELECT {call}")


async def test_the_rights_on_the_cells_tables_are_those_that_are_written_down(cell: Cell) -> None:
    async with cell.connection() as connection:
        assert sorted(await cell_rights(connection)) == sorted(RIGHTS.read_text().splitlines())
        assert await cell_differences(connection) == []
        async with connection.transaction():
            await connection.execute("SET LOCAL ROLE mk_owner")
            await connection.execute("GRANT SELECT ON mk.account TO mk_store")
        assert [str(one) for one in await cell_differences(connection)] == [
            "mk has, undeclared: mk_store may SELECT account"
        ]


async def test_a_tenants_changed_column_index_or_right_is_named(cell: Cell) -> None:
    async with cell.custodian() as custodian:
        await custodian.prepare()
        tenants = [await custodian.add_tenant() for _ in range(2)]
        schemas = [await custodian.schema(tenant) for tenant in tenants]
        connection = custodian.connection
        assert await tenant_differences(connection, schemas) == []
        async with connection.transaction():
            await connection.execute("SET LOCAL ROLE mk_owner")
            await connection.execute(f"ALTER TABLE {schemas[0]}.lane ADD COLUMN extra integer")
            await connection.execute(f"DROP INDEX {schemas[0]}.message_ref")
            await connection.execute(f"GRANT DELETE ON {schemas[1]}.message TO {schemas[1]}_read")
        assert [str(one) for one in await tenant_differences(connection, sorted(schemas))] == sorted(
            (
                f"{schemas[0]} lacks: CREATE INDEX message_ref ON ONLY {{schema}}.message USING btree (message_ref)"
                " WHERE (message_ref IS NOT NULL)",
                f"{schemas[0]} has, undeclared: lane.extra integer",
                f"{schemas[1]} has, undeclared: {{schema}}_read may DELETE message",
            ),
            key=lambda text: (text.split()[0], "lacks" not in text, text),
        )


async def test_a_database_that_is_not_there_is_waited_for_and_not_the_custodians_end(cell: Cell) -> None:
    login = urlsplit(cell.logins["mk_custodian"])
    absent = login._replace(path=login.path + "_absent").geturl()
    with pytest.raises(DatabaseUnavailable):
        async with connected(absent, "test"):
            pass
    with pytest.raises(DatabaseUnavailable):
        await migrate(absent)
