"""Makes a tenant: keys, then slot, roles and schema in one transaction, then its control records, then `ready`.

Each step may be killed at any instruction; the next pass resumes from what stands (a private half without a row is
used, the transaction is whole or nothing, publishing again changes nothing). The pseudonym key is committed first and then
handed to the router, from the tenant's own row each time: the custodian may write the router's secrets and read none. The
tenant record goes out last: nobody sees a tenant of which anything is missing. Whoever calls holds the custodian's lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.control import tenant_recipient
from contracts.errors import KeyNotYetKnown, KeyServiceUnavailable
from runtime import logging
from runtime.clock import Clock
from runtime.secrets import Secrets
from store.audit.log import AuditEntry, What, append
from store.custody.control import (
    KEY_KEPT_AFTER,
    Announced,
    ControlPublisher,
    announce_keys,
    slot_record,
    tenant_record,
)
from store.custody.database import SQL
from store.custody.errors import NoFreeSlot
from store.custody.keys import Made, Recipient, due, insert_keys, make_keys
from store.custody.partitions import create_partitions, missing_partitions
from store.custody.tenant_schema import record_newest
from store.database import translated, with_names
from store.keys.cells import kek_aad, pseudonym_key_aad, unwrap_key, wrap_key
from store.keys.provider import KeyProvider

if TYPE_CHECKING:
    from store.database import Connection

TENANT_SQL: Final = Path(__file__).parents[1] / "tenant.sql"
ROLE_MEMBERS: Final = {"": "mk_store", "_erase": "mk_erasure", "_read": "mk_reader"}
"""Suffix of a tenant's role to the login that may enter it."""
FIRST_EPOCH: Final = 1


class Step(StrEnum):
    """What stands after each part of the work."""

    KEYS_STORED = "keys_stored"
    COMMITTED = "committed"
    PSEUDONYM_KEY_HANDED_OVER = "pseudonym_key_handed_over"
    KEYS_ANNOUNCED = "keys_announced"
    SLOT_ANNOUNCED = "slot_announced"
    TENANT_ANNOUNCED = "tenant_announced"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Provisioner:
    """Provisions tenants over one database connection. `reached` is told of every step that stands."""

    connection: Connection
    store_secrets: Secrets
    router_secrets: Secrets
    provider: KeyProvider
    publisher: ControlPublisher
    announced: Announced
    clock: Clock
    reached: Callable[[UUID, Step], None] = lambda _tenant, _step: None

    async def unfinished(self) -> list[tuple[UUID, str]]:
        """Tenants that were requested and are not ready, oldest first, with their state."""
        with translated():
            rows = await self.connection.fetch(SQL["unfinished_tenants"])
        return [(row["tenant_id"], row["state"]) for row in rows]

    async def provision(self, tenant: UUID, state: str) -> float | None:
        """Bring one tenant to `ready`; seconds since the request, None if it was ready already.

        Raises NoFreeSlot, DatabaseUnavailable, BrokerUnavailable or KeyServiceUnavailable: the next pass goes on.
        """
        if state == "requested":
            recipient = Recipient.tenant(tenant, self.store_secrets)
            keys = await make_keys(recipient, (), due((), self.clock.now())[:1])
            self.reached(tenant, Step.KEYS_STORED)
            await self._commit(tenant, keys)
            self.reached(tenant, Step.COMMITTED)
        await self._hand_over_pseudonym_key(tenant)
        self.reached(tenant, Step.PSEUDONYM_KEY_HANDED_OVER)
        return await self._announce(tenant)

    async def _hand_over_pseudonym_key(self, tenant: UUID) -> None:
        """Put the key that stands in the tenant's schema, so that a second time, by whoever, puts the same one."""
        with translated():
            async with self.connection.transaction():
                schema = await self.connection.fetchval(SQL["schema_of_tenant"], tenant)
                await self.connection.execute(SQL["become_owner"])
                row = await self.connection.fetchrow(with_names(SQL["pseudonym_key_with_kek"], schema=schema))
        if row is None:
            raise KeyServiceUnavailable("a tenant's pseudonym key is under none of its epochs")
        aad = kek_aad(tenant, row["epoch"])
        kek = AESGCM(await self.provider.unwrap(row["root_epoch"], row["wrapped_kek"], aad))
        key = unwrap_key(kek, row["wrapped"], pseudonym_key_aad(tenant, row["epoch"]))
        await self.router_secrets.put_secret(f"pseudonym-{tenant}", key)

    async def _commit(self, tenant: UUID, keys: list[Made]) -> None:
        run = self.connection.execute
        with translated():
            async with self.connection.transaction():
                row = await self.connection.fetchrow(SQL["lock_requested_tenant"], tenant)
                if row is None:
                    return
                schema = row["schema_name"]
                # Shared until the commit: the flip of the root epoch takes this row alone (PRIVACY.md section 2).
                root_epoch = await self.connection.fetchval(SQL["root_epoch_shared"])
                if root_epoch is None:
                    raise KeyNotYetKnown("there is no root epoch yet")
                if await self.connection.fetchval(SQL["bind_slot"], tenant, row["partitions"]) is None:
                    raise NoFreeSlot("no slot of this size is free yet")
                for suffix, login in ROLE_MEMBERS.items():
                    # A restored database can meet roles of before: roles belong to the cluster.
                    if not await self.connection.fetchval(SQL["role_exists"], schema + suffix):
                        await run(with_names(SQL["create_role"], role=schema + suffix))
                    await run(with_names(SQL["grant_role"], role=schema + suffix, login=login))
                kek = os.urandom(32)
                wrapped = await self.provider.wrap(root_epoch, kek, kek_aad(tenant, FIRST_EPOCH))
                await run(SQL["become_owner"])
                await run(with_names(TENANT_SQL.read_text(), schema=schema))
                await create_partitions(
                    self.connection, schema, missing_partitions(row["period"], self.clock.now(), ())
                )
                await run(with_names(SQL["insert_epoch"], schema=schema), root_epoch, wrapped)
                await run(
                    with_names(SQL["insert_pseudonym_key"], schema=schema),
                    wrap_key(AESGCM(kek), os.urandom(32), pseudonym_key_aad(tenant, FIRST_EPOCH)),
                )
                await run(SQL["become_oneself"])
                await insert_keys(self.connection, Recipient.tenant(tenant, self.store_secrets), keys)
                await record_newest(self.connection, tenant)
                await run(SQL["tenant_provisioned"], tenant)

    async def _announce(self, tenant: UUID) -> float | None:
        with translated():
            keys = await self.connection.fetch(
                SQL["transport_keys_to_announce_of"],
                tenant_recipient(tenant),
                self.clock.now() - KEY_KEPT_AFTER,
            )
            slot = await self.connection.fetchrow(SQL["slot_of_tenant"], tenant)
            ready = await self.connection.fetchrow(SQL["tenant_for_control"], tenant)
        assert slot is not None
        assert ready is not None
        await announce_keys(self.connection, self.publisher, self.announced, keys)
        self.reached(tenant, Step.KEYS_ANNOUNCED)
        await self.publisher.publish(slot_record(slot))
        self.reached(tenant, Step.SLOT_ANNOUNCED)
        await self.publisher.publish(tenant_record(ready))
        self.reached(tenant, Step.TENANT_ANNOUNCED)
        with translated():
            async with self.connection.transaction():
                seconds = await self.connection.fetchval(SQL["tenant_ready"], tenant)
                if seconds is not None:
                    await append(self.connection, AuditEntry(What.TENANT_READY, "custodian", tenant=tenant))
        self.reached(tenant, Step.READY)
        logging.get_logger().info("tenant.provisioned", tenant=str(tenant), slot=slot["slot"])
        return None if seconds is None else float(seconds)
