"""Disaster recovery: a restored database gets its keys back from an export. Runs while the custodian and stores are down.

Any base backup, plus WAL, plus the newest export (PRIVACY.md section 2): what the WAL did not bring under a living epoch
is taken from the export, what the restored database knows better stays. Must never undo an erasure: neither one that only
the export knows nor one that only the database knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import unpack
from typing import TYPE_CHECKING, Final
from uuid import UUID

from contracts.errors import KeyServiceUnavailable, TamperedRecord
from store.custody.database import SQL as CUSTODY
from store.custody.epochs.copied_rows import all_rows, int_of
from store.custody.epochs.export import ROOTS, SUFFIX, open_file
from store.custody.epochs.sealed_file import Header, read_sections
from store.custody.epochs.sql import SQL, TenantSchema, under_lock
from store.database import translated
from store.keys.provider import KeyProvider

if TYPE_CHECKING:
    from store.database import Connection

_POSTGRES_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_TABLES: Final = {
    "epochs": "recovered_epoch",
    "pseudonym_key": "recovered_pseudonym_key",
    "evidence_keys": "recovered_evidence_key",
    "subjects": "recovered_subject",
}


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery did. `lost`: keys that no living epoch opens although the export was read."""

    root_epoch: int
    tenants: int
    subjects: int
    lost: int


def newest_export(places: tuple[Path, ...]) -> Path:
    """By its name, which holds its time. Raises KeyServiceUnavailable if no place has one."""
    found = [path for place in places if place.is_dir() for path in place.glob(f"keys-*{SUFFIX}")]
    if not found:
        raise KeyServiceUnavailable("there is no export in any place")
    return max(found, key=lambda path: path.name)


async def recover(connection: Connection, provider: KeyProvider, path: Path) -> Recovered:
    """Take from the export what the database lacks, a transaction for each tenant; repeatable.

    Raises TamperedRecord, KeyNotYetKnown if the export's root epoch is destroyed, KeyServiceUnavailable,
    DatabaseUnavailable.
    """
    with path.open("rb") as file:
        header = Header.read(file)
        key = await open_file(provider, header)
        start = file.tell()
        # The whole file first: nothing of an export that was changed or cut off is believed.
        await asyncio.to_thread(lambda: [None for _ in read_sections(file, key, header)])
        file.seek(start)
        sections = _Sections(read_sections(file, key, header))
        if sections.name != ROOTS:
            raise TamperedRecord("an export without root epochs")
        roots = all_rows(b"".join([piece async for piece in sections.rows()]))
        tenants = subjects = 0
        while sections.name:
            tenant_id, schema, _ = sections.name.split("/")
            tenant = TenantSchema(UUID(tenant_id), schema)
            with translated():
                exists = await connection.fetchval(SQL["has_schema"], schema)
            if not exists:  # made after the point to which the database was restored
                while sections.name.startswith(tenant_id):
                    _ = [None async for _piece in sections.rows()]
                continue
            subjects += await _recover_tenant(connection, tenant, sections)
            tenants += 1
    living = list((await provider.status()).epochs)
    await _recover_roots(connection, [(int_of(row[0]), row[1] or b"", row[2]) for row in roots], living)
    return Recovered(header.root_epoch, tenants, subjects, await _lost(connection, living))


class _Sections:
    """The sections of an export, each read as a stream of pieces. `name`: the one whose rows come next, empty at the end."""

    def __init__(self, pieces: Iterator[tuple[str, bytes]]) -> None:
        self._pieces = pieces
        self.name = ""
        self._next()

    def _next(self) -> bytes:
        piece = next(self._pieces, None)
        if piece is None:
            self.name = ""
            return b""
        self.name = piece[0]
        return piece[1]

    async def rows(self) -> AsyncIterator[bytes]:
        """The rows of the section; afterwards `name` is the next one's."""
        while self.name and (content := self._next()):
            yield content


async def _recover_tenant(connection: Connection, tenant: TenantSchema, sections: _Sections) -> int:
    async with under_lock(connection, tenant, alone=True):
        await connection.execute(tenant.sql("make_recovered"))
        while sections.name.startswith(f"{tenant.tenant}/"):
            table = sections.name.rsplit("/", 1)[1]
            await connection.copy_to_table(
                _TABLES[table],
                schema_name=tenant.schema,
                source=sections.rows(),
                format="binary",
                timeout=600,
            )
        await connection.execute(tenant.sql("recover_demote"))
        await connection.execute(tenant.sql("recover_epochs"))
        await connection.execute(tenant.sql("recover_pseudonym_key"))
        await connection.execute(tenant.sql("recover_evidence_keys"))
        tag = await connection.execute(tenant.sql("recover_subjects"))
        await connection.execute(tenant.sql("drop_recovered"))
    return int(tag.rsplit(" ", 1)[-1])


async def _recover_roots(
    connection: Connection, roots: list[tuple[int, bytes, bytes | None]], living: list[int]
) -> None:
    current = max(epoch for epoch, state, _ in roots if state == b"current")
    with translated():
        tenants = [
            TenantSchema(row["tenant_id"], row["schema_name"])
            for row in await connection.fetch(SQL["tenants"])
        ]
        async with connection.transaction():
            await connection.execute(SQL["recover_demote_root"], current)
            for epoch, state, created in roots:
                await connection.execute(SQL["recover_root"], epoch, state.decode(), _moment(created))
            await connection.execute(SQL["roots_gone"], living)
            await connection.execute(CUSTODY["become_owner"])
            for tenant in tenants:
                await connection.execute(tenant.sql("epochs_gone"), living)


async def _lost(connection: Connection, living: list[int]) -> int:
    lost = 0
    with translated():
        tenants = await connection.fetch(SQL["tenants"])
        async with connection.transaction():
            await connection.execute(CUSTODY["become_owner"])
            for row in tenants:
                tenant = TenantSchema(row["tenant_id"], row["schema_name"])
                lost += await connection.fetchval(tenant.sql("lost_keys"), living)
    return lost


def _moment(raw: bytes | None) -> datetime:
    if raw is None or len(raw) != 8:
        raise TamperedRecord("a root epoch without its time")
    return _POSTGRES_EPOCH + timedelta(microseconds=unpack(">q", raw)[0])
