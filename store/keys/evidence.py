"""Evidence keys: a key of its own for the details of a request or for what a hold keeps; it lives as long as they do.

Wrapped under the tenant's KEK of an epoch, in the tenant's schema, re-wrapped and exported like a person's key. All calls run
in the caller's transaction, inside the tenant's `_erase` role and under the tenant's lock (shared is enough), so that a flip of
the epoch is before or after the whole of it. Must never keep an opened key beyond that transaction.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import KeyGone, KeyNotYetKnown
from store.database import statements, with_names
from store.keys.cells import evidence_key_aad, unwrap_key, wrap_key

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("evidence.sql"))

KekSource = Callable[[UUID, int, int, bytes], Awaitable[AESGCM]]
"""(tenant, epoch, root epoch, wrapped KEK) to the opened KEK: `store.lanes.keks` has one that asks the provider once."""


class Purpose(StrEnum):
    """What a key is for; part of what its wrap is bound to."""

    REQUEST = "request"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class EvidenceKeys:
    """The evidence keys of one tenant."""

    tenant: UUID
    schema: str
    kek: KekSource

    async def create(self, connection: Connection, purpose: Purpose) -> tuple[UUID, AESGCM]:
        """A fresh key: its id, and its cipher for this transaction.

        Raises KeyNotYetKnown, KeyServiceUnavailable, TamperedRecord, or what asyncpg raises.
        """
        row = await connection.fetchrow(self._sql("epoch_to_wrap_under"))
        if row is None:
            raise KeyNotYetKnown("a tenant has no current epoch")
        kek = await self.kek(self.tenant, row["epoch"], row["root_epoch"], row["wrapped_kek"])
        key_id, key = uuid4(), os.urandom(32)
        wrapped = wrap_key(kek, key, evidence_key_aad(self.tenant, key_id, purpose, row["epoch"]))
        await connection.execute(self._sql("insert_evidence_key"), key_id, purpose, row["epoch"], wrapped)
        return key_id, AESGCM(key)

    async def open(self, connection: Connection, key_id: UUID, purpose: Purpose) -> AESGCM:
        """The key's cipher for this transaction. Raises KeyGone if it was destroyed or never was, else as `create`."""
        row = await connection.fetchrow(self._sql("evidence_key"), key_id)
        if row is None or row["wrapped"] is None:
            raise KeyGone("there is no evidence key of that id")
        if row["wrapped_kek"] is None:
            raise KeyNotYetKnown("an evidence key is under none of the tenant's epochs")
        kek = await self.kek(self.tenant, row["epoch"], row["root_epoch"], row["wrapped_kek"])
        aad = evidence_key_aad(self.tenant, key_id, purpose, row["epoch"])
        return AESGCM(unwrap_key(kek, row["wrapped"], aad))

    async def destroy(self, connection: Connection, key_id: UUID) -> bool:
        """What it encrypted reads no more here; older copies of the wrap die with its epoch. Whether there was one."""
        tag = await connection.execute(self._sql("destroy_evidence_key"), key_id)
        return tag != "UPDATE 0"

    def _sql(self, name: str) -> str:
        return with_names(SQL[name], schema=self.schema)
