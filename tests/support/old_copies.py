"""What somebody who copied the database has of its messages, tried with the keys that exist now."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import ServiceError
from store.keys.cells import CellBinding, decrypt_cell, kek_aad, open_dek
from store.keys.provider import KeyProvider
from tests.support.world import Tenant, World


@dataclass(frozen=True, slots=True)
class Copy:
    """What somebody who copied the database before the erasure has of one message."""

    subject: UUID
    generation: int
    row: UUID
    cell: bytes = field(repr=False)
    wrapped_dek: bytes = field(repr=False)
    epoch: int
    wrapped_kek: bytes = field(repr=False)
    root: int


def copies(world: World, tenant: Tenant) -> list[Copy]:
    """Of every message there is."""
    s = tenant.schema
    rows = world.sql(
        "SELECT m.subject_id, m.generation, m.id, m.body, s.wrapped_dek, s.dek_epoch, e.wrapped_kek, e.root_epoch"
        f" FROM {s}.message m JOIN {s}.subject s USING (subject_id) JOIN {s}.epoch e ON e.epoch = s.dek_epoch"
    )
    return [Copy(*row) for row in rows]


async def opened(provider: KeyProvider, tenant: Tenant, copy: Copy) -> bytes | None:
    """With the keys that exist now: everything else the copier has. None if no key opens it."""
    try:
        kek = await provider.unwrap(copy.root, copy.wrapped_kek, kek_aad(tenant.tenant, copy.epoch))
        dek = open_dek(
            AESGCM(kek), copy.wrapped_dek, tenant.tenant, copy.subject, copy.generation, copy.epoch
        )
        binding = CellBinding(tenant.tenant, "message", "body")
        return decrypt_cell(dek, binding, copy.subject, copy.generation, copy.row, copy.cell)
    except ServiceError:
        return None
