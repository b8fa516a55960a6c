"""The sealed export of the key tables: hourly and after each re-wrap, in two places outside the database, kept 8 days.

An export counts only once both copies were read back and opened, and a cell of each tenant was read with the keys in it
and nothing else (PRIVACY.md section 2). It dies with the root epoch that seals it. Must never be part of a backup.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import KeyServiceUnavailable, TamperedRecord
from runtime.files import sync_folder
from store.custody.database import SQL as CUSTODY
from store.custody.epochs.copied_rows import RowFinder, all_rows, int_of
from store.custody.epochs.sealed_file import Header, SealedWriter, export_aad, read_sections
from store.custody.epochs.sql import SQL, current_tenants
from store.database import translated
from store.keys.cells import CellBinding, decrypt_cell, kek_aad, open_dek
from store.keys.provider import KeyProvider

if TYPE_CHECKING:
    from store.database import Connection

KEPT: Final = timedelta(days=8)
EVERY: Final = timedelta(hours=1)
SUFFIX: Final = ".mkexport"
SUBJECT_FIELDS: Final = 12
"""Columns of `export_subjects`."""
ROOTS: Final = "roots"
TABLES: Final = ("epochs", "pseudonym_key", "evidence_keys", "subjects")
_COPY_TIMEOUT_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A cell that the export must be able to open."""

    tenant: UUID
    schema: str
    subject: UUID
    generation: int
    row: UUID
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Written:
    """An export as it lies in the places."""

    name: str
    root_epoch: int
    begun_at: datetime
    sha256: bytes
    bytes: int
    subjects: int
    samples: tuple[Sample, ...]


async def export_keys(connection: Connection, provider: KeyProvider, places: Sequence[Path]) -> Written:
    """Write, read back, open, read a cell of every tenant, and only then record it.

    Raises KeyServiceUnavailable, DatabaseUnavailable, or TamperedRecord if what was written does not open.
    """
    written = await _write(connection, provider, places)
    cells = [await verify(provider, place / written.name, written) for place in places]
    with translated():
        async with connection.transaction():
            await connection.execute(
                SQL["record_export"],
                written.name,
                written.root_epoch,
                written.begun_at,
                written.sha256,
                written.bytes,
                written.subjects,
                min(cells),
            )
            await connection.execute(SQL["export_requests_done"], written.begun_at)
    return written


async def _write(connection: Connection, provider: KeyProvider, places: Sequence[Path]) -> Written:
    with translated():
        root = await connection.fetchval(CUSTODY["current_root_epoch"])
    if root is None:
        raise KeyServiceUnavailable("there is no root epoch to seal an export under")
    key = os.urandom(32)
    header = Header(root, await provider.wrap(root, key, export_aad(root)))
    tenants = await current_tenants(connection)
    samples: list[Sample] = []
    subjects = 0
    with translated():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            begun_at: datetime = await connection.fetchval(SQL["clock"])
            name = f"keys-{begun_at:%Y%m%dt%H%M%S%f}-{os.urandom(4).hex()}{SUFFIX}"
            with _new_files(places, name) as files:
                writer = SealedWriter(files, key, header)
                await connection.execute(CUSTODY["become_owner"])
                await _copy(connection, writer, ROOTS, SQL["export_roots"])
                for tenant in tenants:
                    for table in TABLES:
                        section = f"{tenant.tenant}/{tenant.schema}/{table}"
                        count = await _copy(connection, writer, section, tenant.sql(f"export_{table}"))
                        subjects += count if table == "subjects" else 0
                    cell = await connection.fetchrow(tenant.sql("sample_cell"))
                    if cell is not None:
                        samples.append(
                            Sample(
                                tenant.tenant,
                                tenant.schema,
                                cell["subject_id"],
                                cell["generation"],
                                cell["id"],
                                cell["body"],
                            )
                        )
                digest = writer.end()
    return Written(name, root, begun_at, digest, writer.bytes, subjects, tuple(samples))


async def _copy(connection: Connection, writer: SealedWriter, section: str, query: str) -> int:
    writer.section(section)
    tag = await connection.copy_from_query(
        query, output=writer.write, format="binary", timeout=_COPY_TIMEOUT_S
    )
    return int(tag.rsplit(" ", 1)[-1])


@contextmanager
def _new_files(places: Sequence[Path], name: str) -> Iterator[list[Any]]:
    """The file in every place, under its name only once it is whole and on the disk in all of them."""
    drafts = [place / f".{name}.part" for place in places]
    try:
        with ExitStack() as stack:
            files = []
            for draft in drafts:
                handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                files.append(stack.enter_context(os.fdopen(handle, "wb")))
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        for draft, place in zip(drafts, places, strict=True):
            draft.rename(place / name)
            sync_folder(place)
    except OSError as exc:
        raise KeyServiceUnavailable("a place for exports cannot be written to") from exc
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)


async def open_file(provider: KeyProvider, header: Header) -> bytes:
    """The file key. Raises KeyNotYetKnown if its root epoch is destroyed, TamperedRecord or KeyServiceUnavailable."""
    return await provider.unwrap(header.root_epoch, header.wrapped_key, export_aad(header.root_epoch))


async def verify(provider: KeyProvider, path: Path, written: Written) -> int:
    """Read one copy as recovery would, with the provider and nothing else; how many cells it opened.

    Raises TamperedRecord if the copy is not what was written, or does not hold the key of a sampled cell.
    """
    try:
        with path.open("rb") as file:
            header = Header.read(file)
        key = await open_file(provider, header)
        found = await asyncio.to_thread(_find, path, key, header, written)
    except OSError as exc:
        raise KeyServiceUnavailable("an export cannot be read back") from exc
    for sample in written.samples:
        epochs, subject = found[sample.tenant]
        if subject is None or subject[3] is None:
            raise TamperedRecord("an export lacks the key of a cell")
        epoch = int_of(subject[4])
        root_epoch, wrapped_kek = epochs[epoch]
        aad = kek_aad(sample.tenant, epoch)
        kek = AESGCM(await provider.unwrap(root_epoch, wrapped_kek, aad))
        dek = open_dek(kek, subject[3], sample.tenant, sample.subject, sample.generation, epoch)
        # The content is looked at by nobody: that it opens is all that is asked.
        binding = CellBinding(sample.tenant, "message", "body")
        decrypt_cell(dek, binding, sample.subject, sample.generation, sample.row, sample.body)
    return len(written.samples)


_Found = dict[UUID, tuple[dict[int, tuple[int, bytes]], tuple[bytes | None, ...] | None]]


def _find(path: Path, key: bytes, header: Header, written: Written) -> _Found:
    """Of every sampled tenant: its epochs and the sampled subject's row, out of the file itself."""
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").digest() != written.sha256:
            raise TamperedRecord("a copy of an export is not what was written")
        file.seek(len(header.raw))
        finders = {one.tenant: RowFinder(one.subject.bytes, SUBJECT_FIELDS) for one in written.samples}
        epochs: dict[UUID, bytearray] = {tenant: bytearray() for tenant in finders}
        for section, piece in read_sections(file, key, header):
            owner, _, table = section.partition("/")
            if section == ROOTS or (tenant := UUID(owner)) not in finders:
                continue
            if table.endswith("/epochs"):
                epochs[tenant] += piece
            elif table.endswith("/subjects"):
                finders[tenant].feed(piece)
    return {
        tenant: (
            {int_of(row[0]): (int_of(row[1]), row[2] or b"") for row in all_rows(bytes(epochs[tenant]))},
            finder.row,
        )
        for tenant, finder in finders.items()
    }


async def remove_old(connection: Connection, places: Sequence[Path]) -> int:
    """Remove exports older than 8 days, and drafts that a kill left; how many. Raises KeyServiceUnavailable."""
    with translated():
        rows = await connection.fetch(SQL["old_exports"], KEPT)
    try:
        for place in places:
            for draft in place.glob(f".keys-*{SUFFIX}.part"):
                draft.unlink(missing_ok=True)
        for row in rows:
            for place in places:
                (place / row["name"]).unlink(missing_ok=True)
    except OSError as exc:
        raise KeyServiceUnavailable("a place for exports cannot be written to") from exc
    with translated():
        await connection.executemany(SQL["export_removed"], [(row["name"],) for row in rows])
    return len(rows)


def prepare_places(places: Sequence[Path]) -> None:
    """Make the folders, 0700. Raises KeyServiceUnavailable."""
    try:
        for place in places:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise KeyServiceUnavailable("a place for exports cannot be made") from exc
