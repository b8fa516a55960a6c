"""Evidence keys are wrapped anew by the same rule as people's: id order, compare-and-set on the old bytes, each wrap opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from contracts.errors import KeyServiceUnavailable, TamperedRecord
from store.custody.epochs.rewrap import BATCH, FIRST, Kek
from store.custody.epochs.sql import TenantSchema, under_lock
from store.keys.cells import evidence_key_aad, unwrap_key, wrap_key

if TYPE_CHECKING:
    from store.database import Connection


async def rewrap_evidence_keys(
    connection: Connection,
    tenant: TenantSchema,
    old: Sequence[Kek],
    new: Kek,
    size: int = BATCH,
    between: Callable[[], object] = lambda: None,
) -> int:
    """All of a tenant's, `size` to a transaction; how many do not open and keep their old epoch alive.

    `between` is called after reading and before writing, for tests.

    Raises DatabaseUnavailable, or KeyServiceUnavailable if a new wrap does not open: then nothing of its batch stays.
    """
    by_epoch = {kek.epoch: kek for kek in old}
    after, unopened = FIRST, 0
    while True:
        async with under_lock(connection, tenant, alone=False):
            rows = await connection.fetch(tenant.sql("evidence_key_page"), after, list(by_epoch), size)
            before, keys, wraps = [], [], []
            moved = {}
            for row in rows:
                aad = evidence_key_aad(tenant.tenant, row["key_id"], row["purpose"], row["epoch"])
                try:
                    key = unwrap_key(by_epoch[row["epoch"]].cipher, row["wrapped"], aad)
                except TamperedRecord:
                    unopened += 1
                    continue
                new_aad = evidence_key_aad(tenant.tenant, row["key_id"], row["purpose"], new.epoch)
                moved[row["key_id"]] = key, new_aad
                keys.append(row["key_id"])
                before.append(row["wrapped"])
                wraps.append(wrap_key(new.cipher, key, new_aad))
            between()
            stored = await connection.fetch(
                tenant.sql("rewrap_evidence_keys"), keys, before, wraps, new.epoch
            )
            for row in stored:
                key, new_aad = moved[row["key_id"]]
                if unwrap_key(new.cipher, row["wrapped"], new_aad) != key:
                    raise KeyServiceUnavailable("a re-wrapped evidence key does not open to itself")
        if len(rows) < size:
            return unopened
        after = rows[-1]["key_id"]
