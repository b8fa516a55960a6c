"""Tenants' schemas: `tenant.sql` is the sum of the migrations, and every tenant comes to the newest one by itself."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import SchemaIncompatible
from store.custody.provision import TENANT_SQL
from store.custody.tenant_schema import migrate_tenants, tenant_migrations
from store.database import with_names
from store.migrate import Migration
from tests.security.keys.cell import KeyCell

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

OBJECTS = (
    "SELECT c.relname, c.relkind::text, pg_get_userbyid(c.relowner) FROM pg_class c"
    " WHERE relnamespace = $1::regnamespace AND relkind <> 'S'",
    "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,"
    " pg_get_expr(d.adbin, d.adrelid), a.attacl::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
    " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    " WHERE relnamespace = $1::regnamespace AND a.attnum > 0 AND c.relkind <> 'S'",
    "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = $1::regnamespace",
    "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = $1",
    "SELECT relname, relacl::text FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind <> 'S'",
)


def described(cell: KeyCell, schema: str) -> list[Any]:
    """Everything in a schema but its name."""
    return [
        sorted(str(tuple(row)).replace(schema, "SCHEMA") for row in cell.world.sql(query, schema))
        for query in OBJECTS
    ]


def make(cell: KeyCell, schema: str, *scripts: str) -> None:
    for suffix in ("", "_erase", "_read"):
        cell.world.sql(f"CREATE ROLE {schema}{suffix} NOLOGIN")
    statements = "; ".join(("SET ROLE mk_owner", *(with_names(script, schema=schema) for script in scripts)))
    cell.world.run(execute(cell, statements))


async def execute(cell: KeyCell, script: str) -> None:
    async with cell.custodian() as connection:
        await connection.execute(script)


async def test_the_whole_equals_the_sum_of_its_parts(cell: KeyCell, tmp_path: Path) -> None:
    cell.world.sql(f'GRANT CREATE ON DATABASE "{cell.world.service.database}" TO mk_owner')
    number = abs(hash(str(tmp_path))) % 10**9
    whole, parts = f"t_whole{number:09d}", f"t_parts{number:09d}"
    try:
        make(cell, whole, TENANT_SQL.read_text())
        make(cell, parts, *(migration.sql for migration in tenant_migrations()))
        assert described(cell, whole) == described(cell, parts)
        assert len(described(cell, whole)[1]) > 50
    finally:
        for schema in (whole, parts):
            cell.world.sql(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            for suffix in ("", "_erase", "_read"):
                cell.world.sql(f"DROP ROLE IF EXISTS {schema}{suffix}")


def more(sql: str) -> tuple[Migration, ...]:
    """Ours and another one."""
    ours = tenant_migrations()
    return (*ours, Migration(len(ours) + 1, "more", sql, hashlib.sha256(sql.encode()).digest()))


async def test_each_tenant_gets_what_it_lacks_once(cell: KeyCell) -> None:
    migrations = more("ALTER TABLE {schema}.subject ADD COLUMN extra integer")
    async with cell.custodian() as connection:
        assert await migrate_tenants(connection) == (0, 0)
        assert await migrate_tenants(connection, migrations) == (2, 0)
        assert await migrate_tenants(connection, migrations) == (0, 0)
        with pytest.raises(SchemaIncompatible):
            await migrate_tenants(connection)
    for tenant in cell.tenants:
        cell.world.sql(f"SELECT extra FROM {tenant.schema}.subject")


async def test_a_tenant_of_before_the_mechanism_begins_at_the_first_one(cell: KeyCell) -> None:
    tenant = cell.tenants[0]
    s = tenant.schema
    cell.world.sql("DELETE FROM mk.tenant_migration WHERE tenant_id = $1", tenant.tenant)
    cell.world.sql(f"DROP INDEX {s}.subject_rekey")
    cell.world.sql(
        f"ALTER TABLE {s}.subject DROP CONSTRAINT subject_rekey_from, DROP COLUMN rekey_from_gen, DROP COLUMN rekey_from_epoch, DROP COLUMN key_lost_at"
    )
    cell.world.sql(f"DROP TABLE {s}.erasure_step, {s}.erasure_wait, {s}.evidence_key")
    cell.world.sql(f"DROP INDEX {s}.tombstone_expiry, {s}.subject_fenced")
    async with cell.custodian() as connection:
        assert await migrate_tenants(connection) == (len(tenant_migrations()) - 1, 0)
    await cell.rotate()
    assert cell.epochs(tenant)[2] == "current"


async def test_a_busy_tenant_waits_and_holds_up_no_other(cell: KeyCell) -> None:
    migrations = more("ALTER TABLE {schema}.subject ADD COLUMN extra integer")
    async with cell.custodian() as connection, cell.cell.connection("mk_erasure") as busy:
        async with busy.transaction():
            s = cell.tenants[0].schema
            await busy.execute(f'SET LOCAL ROLE "{s}_erase"')
            await busy.execute(f"LOCK TABLE {s}.subject IN ROW EXCLUSIVE MODE")
            assert await migrate_tenants(connection, migrations) == (1, 1)
        assert await migrate_tenants(connection, migrations) == (1, 0)


async def test_nothing_of_a_migration_that_fails_stays(cell: KeyCell) -> None:
    broken = more("ALTER TABLE {schema}.subject ADD COLUMN extra integer; SELECT 1 / 0")
    async with cell.custodian() as connection:
        with pytest.raises(SchemaIncompatible):
            await migrate_tenants(connection, broken)
        assert await migrate_tenants(connection) == (0, 0)
