"""Steps 2 and 3 of a rotation: everything an old tenant KEK wraps is wrapped under the new one, and every wrap opened.

In id order, a batch to a transaction, under the tenant's shared lock, by compare-and-set on the old bytes: a key that
erasure nulls in between stays null (PRIVACY.md section 2). A batch commits only if every new wrap, as the database
returned it, opens to the same key. Must never see a cell, nor keep a key longer than a call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import KeyServiceUnavailable, TamperedRecord
from store.custody.database import SQL as CUSTODY
from store.custody.epochs.flip import TenantEpoch
from store.custody.epochs.sql import TenantSchema, under_lock
from store.database import translated
from store.keys.cells import dek_aad, kek_aad, pseudonym_key_aad, unwrap_key, wrap_key
from store.keys.provider import KeyProvider

if TYPE_CHECKING:
    import asyncpg

    from store.database import Connection

BATCH: Final = 2_000
FIRST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Kek:
    """A tenant KEK opened for this call."""

    epoch: int
    cipher: AESGCM = field(repr=False)


@dataclass(frozen=True, slots=True)
class Step:
    """What one batch did. `last`: where the next one begins; None at the end of the table."""

    rewrapped: int
    unopened: int
    last: UUID | None


async def open_kek(provider: KeyProvider, tenant: TenantSchema, row: TenantEpoch) -> Kek:
    """Raises KeyServiceUnavailable, KeyNotYetKnown or TamperedRecord."""
    aad = kek_aad(tenant.tenant, row.epoch)
    return Kek(row.epoch, AESGCM(await provider.unwrap(row.root_epoch, row.wrapped_kek, aad)))


async def rewrap_batch(
    connection: Connection,
    tenant: TenantSchema,
    old: Sequence[Kek],
    new: Kek,
    after: UUID,
    size: int = BATCH,
    between: Callable[[], object] = lambda: None,
) -> Step:
    """One page of subjects. `between` is called after reading and before writing, for tests.

    Raises DatabaseUnavailable, or KeyServiceUnavailable if a new wrap does not open: then nothing of the batch stays.
    """
    by_epoch = {kek.epoch: kek for kek in old}
    async with under_lock(connection, tenant, alone=False):
        rows = await connection.fetch(tenant.sql("subject_page"), after, size)
        due = [row for row in rows if row["wrapped_dek"] is not None and row["dek_epoch"] in by_epoch]
        moved, unopened = _moved(tenant.tenant, due, by_epoch, new)
        between()
        if moved:
            columns = [list(column) for column in zip(*moved.values(), strict=True)]
            done = await connection.fetch(
                tenant.sql("rewrap_subjects"), list(moved), columns[0], columns[1], new.epoch
            )
            for row in done:
                _require_same_key(tenant.tenant, row, moved[row["subject_id"]], new)
        else:
            done = []
    return Step(len(done), unopened, rows[-1]["subject_id"] if len(rows) == size else None)


def _moved(
    tenant: UUID, rows: Sequence[asyncpg.Record], old: dict[int, Kek], new: Kek
) -> tuple[dict[UUID, tuple[bytes, bytes, bytes]], int]:
    moved: dict[UUID, tuple[bytes, bytes, bytes]] = {}
    unopened = 0
    for row in rows:
        subject, generation, wrapped, epoch = row
        try:
            dek = unwrap_key(old[epoch].cipher, wrapped, dek_aad(tenant, subject, generation, epoch))
        except TamperedRecord:
            unopened += 1
            continue
        rewrapped = wrap_key(new.cipher, dek, dek_aad(tenant, subject, generation, new.epoch))
        moved[subject] = (wrapped, rewrapped, dek)
    return moved, unopened


def _require_same_key(tenant: UUID, row: asyncpg.Record, moved: tuple[bytes, bytes, bytes], new: Kek) -> None:
    aad = dek_aad(tenant, row["subject_id"], row["generation"], row["dek_epoch"])
    try:
        same = unwrap_key(new.cipher, row["wrapped_dek"], aad) == moved[2]
    except TamperedRecord:
        same = False
    if not same:
        raise KeyServiceUnavailable("a re-wrapped key does not open to itself")


async def rewrap_pseudonym_key(
    connection: Connection, tenant: TenantSchema, old: Sequence[Kek], new: Kek
) -> None:
    """The tenant's pseudonym key, by the same rule. Raises DatabaseUnavailable, TamperedRecord."""
    async with under_lock(connection, tenant, alone=False):
        for kek in old:
            row = await connection.fetchrow(tenant.sql("pseudonym_key"), kek.epoch)
            if row is None:
                continue
            key = unwrap_key(kek.cipher, row["wrapped"], pseudonym_key_aad(tenant.tenant, kek.epoch))
            aad = pseudonym_key_aad(tenant.tenant, new.epoch)
            stored = await connection.fetchval(
                tenant.sql("rewrap_pseudonym_key"),
                kek.epoch,
                row["wrapped"],
                new.epoch,
                wrap_key(new.cipher, key, aad),
            )
            if stored is not None and unwrap_key(new.cipher, stored, aad) != key:
                raise KeyServiceUnavailable("the pseudonym key does not open to itself")


async def still_named(connection: Connection, tenant: TenantSchema, epoch: int) -> bool:
    """Whether any row names that epoch of the tenant; asked alone under its lock, after its flip.

    Asked without the lock first: the index entries that the re-wrap left are passed once, and not while writers wait.
    """
    with translated():
        async with connection.transaction():
            await connection.execute(CUSTODY["become_owner"])
            if await connection.fetchval(tenant.sql("still_named"), epoch):
                return True
    async with under_lock(connection, tenant, alone=True):
        return bool(await connection.fetchval(tenant.sql("still_named"), epoch))
