"""Step 4 of a rotation: an old root epoch is destroyed, once nothing anywhere needs it.

No row names it (asked per tenant under its lock, after its flip); standbys and the WAL archive are past the re-wrap; an
export made after it was opened and a cell read with it. Every condition, once true, stays true for an epoch that
retired, so a custodian that lost its lock half-way does no harm. Must never record "destroyed" before the provider says
that no copy is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from store.audit.log import AuditEntry, What, append
from store.custody.database import SQL as CUSTODY
from store.custody.epochs.flip import epochs_of
from store.custody.epochs.rewrap import still_named
from store.custody.epochs.sql import SQL, TenantSchema
from store.database import translated
from store.keys.provider import KeyProvider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from store.database import Connection

NAMED, STANDBY, ARCHIVE, EXPORT = "rewrap", "standby", "archive", "export"


async def blocked_by(connection: Connection, root: Any, tenants: Sequence[TenantSchema]) -> str | None:
    """What the retiring root epoch waits for: `rewrap`, `standby`, `archive` or `export`; None if it may die now."""
    if root["rewrapped_at"] is None:
        return NAMED
    lsn = root["rewrapped_lsn"]
    with translated():
        async with connection.transaction():
            if await connection.fetchval(SQL["may_read_statistics"]):
                await connection.execute(SQL["read_statistics"])
            if await connection.fetchval(SQL["standbys_behind"], lsn):
                return STANDBY
        if not await connection.fetchval(SQL["is_archived"], lsn):
            return ARCHIVE
        if not await connection.fetchval(SQL["verified_since"], root["rewrapped_at"], root["epoch"]):
            return EXPORT
    # Last, because it takes every tenant's lock for itself.
    for tenant in tenants:
        for epoch in await epochs_of(connection, tenant):
            if epoch.root_epoch != root["epoch"]:
                continue
            if epoch.is_current or await still_named(connection, tenant, epoch.epoch):
                with translated():
                    await connection.execute(SQL["not_rewrapped"], root["epoch"])
                return NAMED
    return None


async def destroy_root(
    connection: Connection, provider: KeyProvider, root: int, tenants: Sequence[TenantSchema]
) -> None:
    """Destroy in the provider, then record it, per tenant and at last for the root. Repeatable at every point.

    Raises KeyServiceUnavailable or DatabaseUnavailable.
    """
    await provider.destroy_epoch(root)
    for tenant in tenants:
        with translated():
            async with connection.transaction():
                await connection.execute(SQL["short_wait"])
                await connection.execute(CUSTODY["become_owner"])
                await connection.execute(tenant.sql("destroy_epochs_under"), root)
    with translated():
        async with connection.transaction():
            await connection.execute(SQL["root_destroyed"], root)
            await connection.execute(SQL["requests_done"], root)
            await append(
                connection, AuditEntry(What.EPOCH_DESTROYED, "custodian", numbers={"root_epoch": root})
            )
