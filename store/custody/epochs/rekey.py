"""Subjects marked `rekey`: their remaining cells are rewritten under generation g+1, and the old DEK dies with its epoch.

After one message was erased the person's DEK still opens old copies of its cell (PRIVACY.md section 3). The old wrap
waits in `rekey_from` until the transaction that rewrites the last cell; erasure nulls both. It is never re-wrapped: the
rewriting is finished before the old epoch may be destroyed. Must never bring a nulled key back: every step is a
compare-and-set on the bytes it read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from uuid import UUID

from contracts.errors import TamperedRecord
from store.custody.epochs.rewrap import Kek
from store.custody.epochs.sql import TenantSchema, under_lock
from store.keys.cells import CellBinding, decrypt_cell, encrypt_cell, new_dek, open_dek

if TYPE_CHECKING:
    from store.database import Connection

CELLS: Final = 500
"""Cells in one transaction."""
SUBJECTS: Final = 200
"""Subjects in one step."""


async def rekey_some(connection: Connection, tenant: TenantSchema, keks: Mapping[int, Kek], new: Kek) -> bool:
    """Carry some subjects on; True if none is due any more. Raises DatabaseUnavailable or TamperedRecord."""
    async with under_lock(connection, tenant, alone=False):
        due = [
            row["subject_id"] for row in await connection.fetch(tenant.sql("rekey_due"), new.epoch, SUBJECTS)
        ]
    for subject in due:
        await _begin(connection, tenant, keks, new, subject)
        while not await _rewrite(connection, tenant, keks, subject):
            pass
    return len(due) < SUBJECTS


async def _begin(
    connection: Connection, tenant: TenantSchema, keks: Mapping[int, Kek], new: Kek, subject: UUID
) -> None:
    """The new generation, alone under the tenant's lock: no writer goes on with the old one."""
    async with under_lock(connection, tenant, alone=True):
        row = await connection.fetchrow(tenant.sql("rekey_subjects"), subject)
        if row is None or not row["rekey"] or row["rekey_from"] is not None or row["wrapped_dek"] is None:
            return
        _, wrapped = new_dek(new.cipher, tenant.tenant, subject, row["generation"] + 1, new.epoch)
        await connection.execute(tenant.sql("begin_rekey"), subject, row["wrapped_dek"], wrapped, new.epoch)


async def _rewrite(
    connection: Connection, tenant: TenantSchema, keks: Mapping[int, Kek], subject: UUID
) -> bool:
    """One batch of cells; True once none of the old generation is left and `rekey_from` is null."""
    async with under_lock(connection, tenant, alone=False):
        row = await connection.fetchrow(tenant.sql("rekey_subjects"), subject)
        if row is None or row["rekey_from"] is None or row["wrapped_dek"] is None:
            return True
        generation, old_generation = row["generation"], row["rekey_from_gen"]
        cells = await connection.fetch(tenant.sql("cells_of_generation"), subject, old_generation, CELLS)
        if cells:
            from_epoch = row["rekey_from_epoch"]
            before = open_dek(
                keks[from_epoch].cipher, row["rekey_from"], tenant.tenant, subject, old_generation, from_epoch
            )
            after = open_dek(
                keks[row["dek_epoch"]].cipher,
                row["wrapped_dek"],
                tenant.tenant,
                subject,
                generation,
                row["dek_epoch"],
            )
            binding = CellBinding(tenant.tenant, "message", "body")
            bodies: list[bytes] = []
            for cell in cells:
                try:
                    plain = decrypt_cell(before, binding, subject, old_generation, cell["id"], cell["body"])
                except TamperedRecord:
                    # It read as tampered before and does so after: no reason to keep the old key for it.
                    bodies.append(cell["body"])
                else:
                    bodies.append(encrypt_cell(after, binding, subject, generation, cell["id"], plain))
            await connection.execute(
                tenant.sql("rewrite_cells"),
                [cell["id"] for cell in cells],
                [cell["body"] for cell in cells],
                bodies,
                generation,
                old_generation,
            )
        if len(cells) == CELLS:
            return False
        if await connection.fetchrow(tenant.sql("cells_of_generation"), subject, old_generation, 1):
            return False
        await connection.execute(tenant.sql("end_rekey"), subject, row["rekey_from"])
    return True
