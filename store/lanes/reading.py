"""What the reading commands share: who asks, the access record around each read, the reader's role, the decryption.

Every read of personal data has a purpose and is on record before anything is shown (Decreto 8.771/2016 art. 13). Must
never decrypt outside `recorded`.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from contracts.errors import InvalidSettings, KeyNotYetKnown, ServiceError, TamperedRecord
from store.audit.log import AuditEntry, What, append
from store.keys.cells import CellBinding, decrypt_cell, open_dek
from store.keys.provider import KeyProvider
from store.lanes.database import Connection, connect, execute, fetch, fetch_row, translated
from store.lanes.keks import TenantKeks, WrappedKek
from store.lanes.queries import TenantStatements, fixed, tenant_statements
from store.settings import ReaderSettings

_PAGE: Final = 500


class NoSuchTenant(ServiceError):
    """No tenant of that name or id exists."""

    code = "no_such_tenant"


@dataclass(frozen=True, slots=True)
class Tenant:
    """The tenant that is read."""

    tenant: UUID
    name: str
    statements: TenantStatements


class AccessCounter:
    """How many rows were shown."""

    def __init__(self) -> None:
        self.rows = 0


def whoever() -> str:
    """The person at the terminal, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError) as exc:
        raise InvalidSettings("--who: the system does not know who you are, say it") from exc


@asynccontextmanager
async def connected(settings: ReaderSettings) -> AsyncIterator[Connection]:
    """A connection as `mk_reader`. Raises DatabaseUnavailable."""
    connection = await connect(settings.database.get_secret_value())
    try:
        yield connection
    finally:
        await connection.close()


async def find_tenant(connection: Connection, name: str) -> Tenant:
    """By name or id. Raises NoSuchTenant."""
    row = await fetch_row(connection, fixed("find_tenant"), name)
    if row is None:
        raise NoSuchTenant("mkc tenant list shows all tenants")
    if row["state"] == "requested":
        raise NoSuchTenant("the tenant is asked for and not made yet: does the custodian run?")
    return Tenant(row["tenant_id"], row["name"], tenant_statements(row["schema_name"]))


@asynccontextmanager
async def recorded(
    connection: Connection, tenant: Tenant, who: str, purpose: str, what: str
) -> AsyncIterator[AccessCounter]:
    """The access record: committed before the first row is shown, closed with their number after the last."""
    with translated():
        async with connection.transaction():
            row = await fetch_row(connection, fixed("open_access_record"), tenant.tenant, who, purpose, what)
            assert row is not None
            numbers = {"access_record": row["id"]}
            entry = AuditEntry(What.DATA_READ, "mk_reader", tenant=tenant.tenant, numbers=numbers)
            await append(connection, entry)
    counter = AccessCounter()
    try:
        yield counter
    finally:
        await execute(connection, fixed("close_access_record"), row["id"], counter.rows)


class CellReader:
    """Decrypts a tenant's cells; an erased person's read as erased, which is a normal value."""

    def __init__(self, tenant: Tenant, provider: KeyProvider, epochs: list[WrappedKek]) -> None:
        self._tenant = tenant
        self._keks = TenantKeks(provider)
        self._epochs = {row.epoch: row for row in epochs}
        self._binding = CellBinding(tenant.tenant, "message", "body")

    async def read(self, row: asyncpg.Record) -> bytes | None:
        """The payload, or None if its key was erased. Raises TamperedRecord."""
        subject, generation = row["subject_id"], row["generation"]
        if row["wrapped_dek"] is not None and generation == row["living_generation"]:
            wrapped, number = row["wrapped_dek"], row["dek_epoch"]
        elif row["rekey_from"] is not None and generation == row["rekey_from_gen"]:
            # Under rekey: this cell has not been rewritten yet.
            wrapped, number = row["rekey_from"], row["rekey_from_epoch"]
        else:
            return None
        epoch = self._epochs.get(number)
        if epoch is None:
            raise KeyNotYetKnown("the tenant has no such epoch")
        kek = await self._keks.cipher(self._tenant.tenant, epoch)
        dek = open_dek(kek, wrapped, self._tenant.tenant, subject, generation, number)
        return decrypt_cell(dek, self._binding, subject, generation, row["id"], row["body"])


async def read_messages(
    connection: Connection,
    tenant: Tenant,
    provider: KeyProvider,
    conversation: bytes | None,
    limit: int | None,
    show: Callable[[dict[str, Any]], None],
) -> None:
    """Show each message, newest first, decrypted. Rows come in pages: memory stays flat."""
    async with connection.transaction(readonly=True):
        await execute(connection, tenant.statements.enter_reader())
        epochs = [
            WrappedKek(row["epoch"], row["root_epoch"], row["wrapped_kek"])
            for row in await fetch(connection, tenant.statements.read_epochs)
        ]
        cells = CellReader(tenant, provider, epochs)
        cursor = connection.cursor(tenant.statements.read_messages, conversation, limit, prefetch=_PAGE)
        async for row in cursor:
            show(await _described(cells, row))


async def _described(cells: CellReader, row: asyncpg.Record) -> dict[str, Any]:
    described: dict[str, Any] = {
        "id": str(row["id"]),
        "type": row["event_type"],
        "direction": row["direction"],
        "account": str(row["account_id"]),
        "conversation": row["conversation"].hex(),
        "received_at": row["received_at"].isoformat(timespec="milliseconds"),
        "stored_at": row["stored_at"].isoformat(timespec="milliseconds"),
    }
    try:
        payload = await cells.read(row)
    except TamperedRecord:
        return {**described, "tampered": True}
    if payload is None:
        return {**described, "erased": True}
    return {**described, "data": orjson.loads(payload)}


def say(text: str) -> None:
    """One line on standard output."""
    sys.stdout.write(text + "\n")


def text_of(data: object) -> str:
    """The words of an event for a terminal, on one line and without control characters; empty if it has none."""
    found = _find(data, "text")
    line = "".join(character if character.isprintable() else " " for character in found)
    return line if len(line) <= 80 else line[:79] + "…"


def _find(node: object, name: str) -> str:
    if isinstance(node, dict):
        if isinstance(node.get(name), str):
            return str(node[name])
        return next(
            (found for key, value in node.items() if key != "fragment" and (found := _find(value, name))), ""
        )
    if isinstance(node, list):
        return next((found for value in node if (found := _find(value, name))), "")
    return ""
