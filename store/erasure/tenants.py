"""A tenant of this database cell, and how erasure enters its schema: with its lock alone, or without.

The lock comes first and every read in a later statement; what belongs to the cell (job rows, audit) is written as the
login itself, after `leave`. Must never hold the lock longer than a short transaction takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from contracts.errors import DatabaseUnavailable
from store.database import statements, translated, with_names
from store.lanes.queries import check_schema, lock_number

if TYPE_CHECKING:
    from asyncpg.transaction import Transaction

    from store.database import Connection

LOCK_WAITS_MS: Final = (150, 150, 150, 300, 600, 2_000)
"""How long each attempt waits for the lock. What waits for it holds up the tenant's writers, who may wait 200 ms; only
where a writer's own transaction takes longer does erasure insist."""
STAND_BACK_S: Final = 0.02
SQL: Final = statements(Path(__file__).with_name("tenants.sql"))


@dataclass(frozen=True, slots=True)
class TenantSchema:
    """A tenant with its schema and its slot."""

    tenant: UUID
    schema: str
    state: str
    """Of mk.tenant: provisioned, ready, paused or leaving."""
    slot: str | None
    partitions: int
    """Of the slot: lanes that must pass; 0 without a slot."""
    slot_state: str | None

    @property
    def is_retired(self) -> bool:
        """A slot that was removed for good: its lanes count as passed."""
        return self.slot_state == "retired"


async def find_tenant(connection: Connection, tenant: UUID) -> TenantSchema | None:
    """The tenant, or None if this database cell has none of that id."""
    with translated():
        row = await connection.fetchrow(SQL["tenant"], tenant)
    if row is None:
        return None
    return TenantSchema(
        row["tenant_id"],
        check_schema(row["schema_name"]),
        row["state"],
        row["slot"],
        row["partitions"] or 0,
        row["slot_state"],
    )


@asynccontextmanager
async def alone(connection: Connection, tenant: TenantSchema) -> AsyncIterator[None]:
    """A transaction as the tenant's erase role, alone under the tenant's lock. Raises DatabaseUnavailable if it is not
    free after `LOCK_WAITS_MS`."""
    transaction = await _locked(connection, tenant)
    try:
        with translated():
            yield
    except Exception:  # undone, and told on as it is
        if not connection.is_closed():
            with translated():
                await transaction.rollback()
        raise
    except BaseException:
        # Cancelled: nothing may be waited for any more; the server undoes it when the connection is gone.
        connection.terminate()
        raise
    with translated():
        await transaction.commit()


async def _locked(connection: Connection, tenant: TenantSchema) -> Transaction:
    """A transaction that has the lock: writers that come after a waiting erasure wait behind it, so it stands back."""
    for attempt, wait_ms in enumerate(LOCK_WAITS_MS):
        statement = with_names(
            SQL["enter_alone"],
            schema=tenant.schema,
            lock=str(lock_number(tenant.tenant)),
            timeout=str(wait_ms),
        )
        transaction = connection.transaction()
        with translated():
            await transaction.start()
        try:
            with translated():
                await connection.execute(statement)
        except DatabaseUnavailable:
            if connection.is_closed():
                raise
            with translated():
                await transaction.rollback()
            if attempt == len(LOCK_WAITS_MS) - 1:
                raise
            await asyncio.sleep(STAND_BACK_S)
        else:
            return transaction
    raise AssertionError("the last attempt raises")


@asynccontextmanager
async def inside(connection: Connection, tenant: TenantSchema) -> AsyncIterator[None]:
    """A transaction as the tenant's erase role, without its lock. Raises DatabaseUnavailable."""
    with translated():
        async with connection.transaction():
            await connection.execute(with_names(SQL["enter"], schema=tenant.schema))
            yield


async def leave(connection: Connection) -> None:
    """Be the login again, for the rest of this transaction: job rows and the audit log are its business."""
    await connection.execute(SQL["leave"])
