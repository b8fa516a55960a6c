"""The statements of `queries.sql` beside this file, and entering a tenant under its lock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from contracts.errors import DatabaseUnavailable
from store.custody.database import SQL as CUSTODY
from store.custody.tenant_schema import tenant_migrations
from store.database import statements, translated, with_names
from store.lanes.queries import lock_number

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("queries.sql"))


@dataclass(frozen=True, slots=True)
class TenantSchema:
    """A tenant and its schema."""

    tenant: UUID
    schema: str

    def sql(self, name: str) -> str:
        """A statement for this schema."""
        return with_names(SQL[name], schema=self.schema)


@asynccontextmanager
async def under_lock(
    connection: Connection, tenant: TenantSchema, *, alone: bool, as_owner: bool = True
) -> AsyncIterator[None]:
    """A short transaction as the owner, under the tenant's lock. Raises DatabaseUnavailable if it is not free in time."""
    with translated():
        async with connection.transaction():
            await connection.execute(SQL["short_wait"])
            await connection.execute(
                SQL["lock_alone" if alone else "lock_shared"], lock_number(tenant.tenant)
            )
            if as_owner:
                await connection.execute(CUSTODY["become_owner"])
            yield


async def current_tenants(connection: Connection) -> list[TenantSchema]:
    """As `all_tenants`. Raises DatabaseUnavailable while one is not at this code's schema yet: its turn comes first."""
    newest = tenant_migrations()[-1].number
    with translated():
        behind = await connection.fetchval(SQL["tenants_behind"], newest)
    if behind:
        raise DatabaseUnavailable("a tenant's schema is not up to date yet")
    return await all_tenants(connection)


async def all_tenants(connection: Connection) -> list[TenantSchema]:
    """Every tenant with a schema, by id."""
    with translated():
        rows = await connection.fetch(SQL["tenants"])
    return [TenantSchema(row["tenant_id"], row["schema_name"]) for row in rows]
