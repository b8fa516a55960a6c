"""Numbered migrations of tenants' schemas: each tenant brought to this code's version, a transaction for each step.

`store/tenant.sql` makes a new tenant at the newest version at once and equals the sum of the files, which a test shows.
Under short lock and statement time-outs: a busy tenant is tried again by the next pass. Must never contract what running
code reads (DESIGN.md section 6: expand, later contract).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from contracts.errors import DatabaseUnavailable, SchemaIncompatible
from store.custody.database import SQL
from store.database import translated, with_names
from store.migrate import TENANT_MIGRATIONS, Migration, known

if TYPE_CHECKING:
    from store.database import Connection


def tenant_migrations() -> tuple[Migration, ...]:
    """Those of this code, in order. Raises SchemaIncompatible if numbers are missing or double."""
    return known(TENANT_MIGRATIONS)


async def record_newest(connection: Connection, tenant: UUID) -> None:
    """Say, in the caller's transaction, that a tenant was made with everything."""
    for migration in tenant_migrations():
        await connection.execute(SQL["record_tenant_migration"], tenant, migration.number, migration.sha256)


async def migrate_tenants(
    connection: Connection, migrations: Sequence[Migration] | None = None
) -> tuple[int, int]:
    """Apply what any tenant lacks: how many steps were made, and how many tenants still lack some (busy now).

    Raises SchemaIncompatible for a tenant with a step that this code does not know or that was changed since.
    """
    expected = tenant_migrations() if migrations is None else migrations
    by_number = {migration.number: migration for migration in expected}
    with translated():
        rows = await connection.fetch(SQL["tenant_migrations"])
    made = behind = 0
    for row in rows:
        applied = dict(zip(row["numbers"], row["digests"], strict=True)) or {1: by_number[1].sha256}
        for number, digest in applied.items():
            if number not in by_number or by_number[number].sha256 != digest:
                raise SchemaIncompatible("a tenant's schema has a migration that this code does not know")
        for migration in expected:
            if migration.number in applied:
                continue
            try:
                await _apply(connection, row["tenant_id"], row["schema_name"], migration)
            except DatabaseUnavailable:
                if connection.is_closed():
                    raise
                behind += 1
                break
            made += 1
    return made, behind


async def _apply(connection: Connection, tenant: UUID, schema: str, migration: Migration) -> None:
    try:
        with translated():
            async with connection.transaction():
                await connection.execute(SQL["short_timeouts"])
                await connection.execute(SQL["become_owner"])
                await connection.execute(with_names(migration.sql, schema=schema))
                await connection.execute(SQL["become_oneself"])
                await connection.execute(
                    SQL["record_tenant_migration"], tenant, migration.number, migration.sha256
                )
    except asyncpg.PostgresError as exc:
        raise SchemaIncompatible("a tenant's migration could not be applied") from exc
