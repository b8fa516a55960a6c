"""Keeps Kafka's permissions as the database says: our processes' on each slot, each reader's while its grant is active.

Whatever somebody else added on a tenant's topic or for a reader is removed. The processes' other permissions are put
there at installation; `mkc doctor` compares them. Only on a secured Kafka: elsewhere there is nothing to keep.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from contracts.access import Permit, grant_permits, slot_permits
from runtime.kafka.acls import AclAdmin
from store.custody.database import SQL
from store.database import translated

if TYPE_CHECKING:
    from store.database import Connection


async def wanted_permits(connection: Connection) -> frozenset[Permit]:
    """All permits that the custodian keeps, as the database has them this moment."""
    permits: set[Permit] = set()
    with translated():
        slots = await connection.fetch(SQL["slots_with_access"])
        grants = await connection.fetch(SQL["grants_with_access"])
    for row in slots:
        permits |= slot_permits(row["slot"])
    for row in grants:
        permits |= grant_permits(row["reader"], row["slot"])
    return frozenset(permits)


class Access:
    """The permissions of one cluster; remembers what it saw last, so that a pass without a change asks nothing."""

    def __init__(self, admin: AclAdmin) -> None:
        self._admin = admin
        self._seen: frozenset[Permit] = frozenset()
        self._checked = False

    async def allow(self, *permits: frozenset[Permit]) -> None:
        """Add these now. Raises BrokerUnavailable."""
        added = frozenset().union(*permits)
        await self._admin.add(added - self._seen)
        self._seen |= added

    async def keep(self, connection: Connection, *, compare: bool) -> int:
        """Bring the cluster to what the database says; how many permits changed.

        `compare`: with what the cluster has, not only with what this process saw last. Raises BrokerUnavailable or
        DatabaseUnavailable.
        """
        if compare or not self._checked:
            existing, _ = await self._admin.existing()
            self._seen = frozenset(permit for permit in existing if permit.is_kept_by_custodian)
            self._checked = True
        wanted = await wanted_permits(connection)
        surplus, missing = self._seen - wanted, wanted - self._seen
        # What must end ends first, whatever becomes of the rest.
        if surplus:
            await self._admin.remove(surplus)
        if missing:
            await self._admin.add(missing)
        self._seen = wanted
        return len(surplus) + len(missing)


@asynccontextmanager
async def permissions(bootstrap: str, tls: ssl.SSLContext | None) -> AsyncIterator[Access | None]:
    """The permissions of a secured Kafka; None of a plain one. Raises BrokerUnavailable."""
    if tls is None:
        yield None
        return
    async with AclAdmin(bootstrap, tls) as admin:
        yield Access(admin)
