"""Step 1 of a rotation: the flip of the root epoch, then of each tenant's epoch, which writers read in their transaction.

A root flips under its row's lock, which provisioning shares; a tenant under its lock alone, so that no writer that read
the old epoch commits after the flip. Must never retire a key before its successor was seen to open what it wrapped.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from contracts.errors import KeyServiceUnavailable
from store.audit.log import AuditEntry, What, append
from store.custody.database import SQL as CUSTODY
from store.custody.epochs.sql import SQL, TenantSchema, under_lock
from store.database import translated
from store.keys.cells import kek_aad
from store.keys.provider import KeyProvider

if TYPE_CHECKING:
    from store.database import Connection


@dataclass(frozen=True, slots=True)
class TenantEpoch:
    """A row of a tenant's `epoch` table that is not destroyed."""

    epoch: int
    root_epoch: int
    wrapped_kek: bytes = field(repr=False)
    is_current: bool


async def flip_root(connection: Connection, provider: KeyProvider, lasts: timedelta) -> int | None:
    """Begin a new root epoch if the current one lasted long enough or an operator asked; its number if so.

    Raises KeyServiceUnavailable or DatabaseUnavailable.
    """
    with translated():
        row = await connection.fetchrow(SQL["rotation_due"], lasts)
    if row is None or not row["due"]:
        return None
    current, new = row["epoch"], row["newest"] + 1
    await provider.new_epoch(new)
    trial = os.urandom(32)
    if await provider.unwrap(new, await provider.wrap(new, trial, b"trial"), b"trial") != trial:
        raise KeyServiceUnavailable("a new root key does not open what it wrapped")
    with translated():
        async with connection.transaction():
            await connection.execute(SQL["short_wait"])
            if await connection.fetchval(SQL["current_root_alone"]) != current:
                return None
            await connection.execute(SQL["retire_root"], current)
            await connection.execute(SQL["insert_root"], new)
            await connection.execute(SQL["take_requests"], current)
            await append(connection, AuditEntry(What.EPOCH_FLIPPED, "custodian", numbers={"root_epoch": new}))
    return int(new)


async def epochs_of(connection: Connection, tenant: TenantSchema) -> list[TenantEpoch]:
    """The tenant's epochs that are not destroyed, ascending. For a connection that is in no transaction."""
    with translated():
        async with connection.transaction():
            await connection.execute(CUSTODY["become_owner"])
            rows = await connection.fetch(tenant.sql("tenant_epochs"))
    return [
        TenantEpoch(row["epoch"], row["root_epoch"], row["wrapped_kek"], row["state"] == "current")
        for row in rows
    ]


async def flip_tenant(
    connection: Connection, provider: KeyProvider, tenant: TenantSchema, current: TenantEpoch, root: int
) -> bool:
    """A fresh tenant KEK under `root` becomes current; False if somebody was first or the root moved on.

    Raises KeyServiceUnavailable, or DatabaseUnavailable while writers keep the lock.
    """
    epoch = current.epoch + 1
    kek, aad = os.urandom(32), kek_aad(tenant.tenant, epoch)
    wrapped = await provider.wrap(root, kek, aad)
    if await provider.unwrap(root, wrapped, aad) != kek:
        raise KeyServiceUnavailable("a tenant key does not open again")
    async with under_lock(connection, tenant, alone=True, as_owner=False):
        if await connection.fetchval(SQL["current_root_shared"]) != root:
            return False
        await connection.execute(CUSTODY["become_owner"])
        if await connection.fetchval(tenant.sql("retire_epoch"), current.epoch) is None:
            return False
        await connection.execute(tenant.sql("insert_epoch"), epoch, root, wrapped)
    return True
