"""Numbered SQL migrations of the database cell: applied in order, each once, recorded with its SHA-256.

Only the custodian migrates; every process checks at start. Strict on purpose: a database with a migration that this
code does not know is refused, also a newer one, because nothing in a migration says yet whether older code can bear
it. Tenants' schemas are made by `store.custody.provision`, not here.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from contracts.errors import DatabaseUnavailable, SchemaIncompatible, ServiceError

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

MIGRATIONS: Final = Path(__file__).with_name("migrations")
FUNCTIONS: Final = Path(__file__).with_name("functions")
"""Functions that several migrations replace, each in one file as it is now."""
TENANT_MIGRATIONS: Final = Path(__file__).with_name("tenant_migrations")
LOCK_TIMEOUT_MS: Final = 5_000
STATEMENT_TIMEOUT_MS: Final = 60_000
_ADVISORY_LOCK: Final = 0x6D6B_0001
_FILE: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
INCLUDE: Final = re.compile(r"^-- include: ([a-z0-9_]+\.sql) ([0-9a-f]{16})$", re.MULTILINE)
"""A function's file, and the first half of its SHA-256 when the migration was written: a test holds the last one that
includes a file against it, so that nobody changes the file without a migration that brings the change."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `migrations/`. `sql`: with what it includes of `functions/`, as that is now; the digest is of the file alone.

    So a function has one text, whichever migration brings it: of several that include it the last one that a database lacks
    puts the present one there.
    """

    number: int
    name: str
    sql: str = field(repr=False)
    sha256: bytes


def known(folder: Path = MIGRATIONS) -> tuple[Migration, ...]:
    """The migrations of this code in order. Raises SchemaIncompatible if numbers are missing or double."""
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise SchemaIncompatible("a migration's file name is not <number>_<name>.sql")
        raw = path.read_bytes()
        sql = INCLUDE.sub(_included, raw.decode())
        found.append(Migration(int(match[1]), match[2], sql, hashlib.sha256(raw).digest()))
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise SchemaIncompatible("the migrations are not numbered 1, 2, 3, …")
    return tuple(found)


def _included(line: re.Match[str]) -> str:
    try:
        return (FUNCTIONS / line[1]).read_text()
    except OSError as exc:
        raise SchemaIncompatible("a migration includes a function that is not there") from exc


async def _applied(connection: Connection) -> dict[int, bytes]:
    if await connection.fetchval("SELECT to_regclass('mk.migration')") is None:
        return {}
    rows = await connection.fetch("SELECT number, sha256 FROM mk.migration ORDER BY number")
    return {row["number"]: row["sha256"] for row in rows}


def _require_same(applied: dict[int, bytes], migrations: tuple[Migration, ...]) -> None:
    by_number = {migration.number: migration for migration in migrations}
    for number, digest in applied.items():
        migration = by_number.get(number)
        if migration is None:
            raise SchemaIncompatible("the database has a migration that this code does not know")
        if migration.sha256 != digest:
            raise SchemaIncompatible("a migration was changed after it was applied")


async def check(connection: Connection, migrations: tuple[Migration, ...] | None = None) -> None:
    """Raises SchemaIncompatible unless the database's migrations are exactly those this code knows.

    Any login may call it: it reads `mk.migration` only.
    """
    expected = known() if migrations is None else migrations
    try:
        applied = await _applied(connection)
    except asyncpg.InsufficientPrivilegeError as exc:
        raise SchemaIncompatible("this login may not read the database's migrations") from exc
    _require_same(applied, expected)
    if len(applied) < len(expected):
        raise SchemaIncompatible("the database lacks a migration: start the custodian, or run store.migrate")


async def migrate(dsn: str, migrations: tuple[Migration, ...] | None = None) -> list[int]:
    """Apply what is missing, each migration in a transaction of its own; the numbers applied. Idempotent.

    `dsn`: mk_custodian's or a superuser's. Of two that migrate at once the second waits. Raises DatabaseUnavailable or
    SchemaIncompatible (nothing of the failed migration stays).
    """
    expected = known() if migrations is None else migrations
    try:
        connection = await asyncpg.connect(dsn, timeout=10)
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        TimeoutError,
    ) as exc:
        raise DatabaseUnavailable("Postgres does not let the custodian in") from exc
    try:
        await connection.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}")
        await connection.execute("SELECT pg_advisory_lock($1)", _ADVISORY_LOCK)
        await connection.execute(f"SET lock_timeout = {LOCK_TIMEOUT_MS}")
        applied = await _applied(connection)
        _require_same(applied, expected)
        missing = [migration for migration in expected if migration.number not in applied]
        for migration in missing:
            async with connection.transaction():
                await connection.execute("SET LOCAL ROLE mk_owner")
                await connection.execute(migration.sql)
                # The file may have reset the role; the record is the owner's.
                await connection.execute("SET LOCAL ROLE mk_owner")
                await connection.execute(
                    "INSERT INTO mk.migration (number, name, sha256) VALUES ($1, $2, $3)",
                    migration.number,
                    migration.name,
                    migration.sha256,
                )
    except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError) as exc:
        raise DatabaseUnavailable("a migration did not get its locks in time") from exc
    except (
        asyncpg.PostgresConnectionError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        asyncpg.OperatorInterventionError,
        OSError,
        TimeoutError,
    ) as exc:
        raise DatabaseUnavailable("Postgres went away during a migration") from exc
    except asyncpg.PostgresError as exc:
        raise SchemaIncompatible("a migration could not be applied") from exc
    finally:
        connection.terminate()
    return [migration.number for migration in missing]


def main(arguments: list[str] | None = None) -> int:
    """`python -m store.migrate`: exit 0 when the database is at this code's version."""
    parser = argparse.ArgumentParser(prog="python -m store.migrate", description=__doc__)
    parser.parse_args(arguments)
    dsn = os.environ.get("MKC_CUSTODIAN_DATABASE")
    if not dsn:
        sys.stderr.write("MKC_CUSTODIAN_DATABASE: is missing\n")
        return 2
    try:
        numbers = asyncio.run(migrate(dsn))
    except ServiceError as exc:
        sys.stderr.write(f"{exc.code}: {exc}\n")
        return 1
    sys.stdout.write(f"applied: {', '.join(map(str, numbers)) or 'nothing, it is up to date'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
