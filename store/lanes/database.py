"""asyncpg behind our own errors: one connection for each worker, translated here and nowhere else.

Must never let an asyncpg error's text out: its DETAIL carries row values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import asyncpg

from contracts.errors import DatabaseUnavailable, PartitionMissing, TransientError
from store.lanes.queries import Sql, fixed

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
CONNECT_TIMEOUT_S: Final = 5.0
COMMAND_TIMEOUT_S: Final = 30.0
STATEMENTS_KEPT: Final = 512
"""Prepared statements a connection keeps, two or three for each tenant, unless the settings say otherwise. Measured over 20
tenants in one transaction: kept ones 9.0 k rows/s at 20 rows a tenant, one set for all by `search_path` 5.8 k (planned anew
for each tenant), none kept 5.2 k. Each costs 0.15 MB in the backend, beside 0.15 MB a tenant that is there anyhow."""
_SETTINGS: Final = {
    "application_name": "mk-store",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "search_path": "pg_catalog",
    "statement_timeout": "20s",
    "idle_in_transaction_session_timeout": "30s",
}


class LockTimeout(TransientError):
    """Another transaction holds the tenant's lock, or a row, for longer than this one may wait."""

    code = "lock_timeout"


class WriteConflict(TransientError):
    """Another writer made the same alias or generation first, or both waited for each other: read again."""

    code = "write_conflict"


async def connect(dsn: str, statements_kept: int = STATEMENTS_KEPT) -> Connection:
    """One connection with the lanes' settings. Raises DatabaseUnavailable."""
    try:
        with translated():
            return await asyncpg.connect(
                dsn,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                statement_cache_size=statements_kept,
                max_cached_statement_lifetime=0,
                server_settings=_SETTINGS,
            )
    except DatabaseFault as exc:  # the database or login is not there yet, or no longer: both may come back
        raise DatabaseUnavailable("Postgres lets nobody in") from exc


async def make_clean(connection: Connection) -> bool:
    """End a transaction that an error left open; False if the connection cannot be used again."""
    if connection.is_closed():
        return False
    if not connection.is_in_transaction():
        return True
    try:
        await connection.execute(fixed("rollback"), timeout=5)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        connection.terminate()
        return False
    return True


async def fetch(connection: Connection, statement: Sql, *arguments: Any) -> list[asyncpg.Record]:
    """Rows. Raises our errors."""
    with translated():
        return await connection.fetch(statement, *arguments)


async def fetch_row(connection: Connection, statement: Sql, *arguments: Any) -> asyncpg.Record | None:
    """The first row or None. Raises our errors."""
    with translated():
        return await connection.fetchrow(statement, *arguments)


async def execute(connection: Connection, statement: Sql, *arguments: Any) -> None:
    """A statement whose rows nobody needs. Without arguments it may hold several. Raises our errors."""
    with translated():
        await connection.execute(statement, *arguments)


class DatabaseFault(Exception):
    """The database refused a statement for a reason that nobody here foresaw: faults the lane. `sqlstate` only, no text."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(f"sqlstate {sqlstate}")
        self.sqlstate = sqlstate


@contextmanager
def translated() -> Iterator[None]:
    """Turn asyncpg's errors into ours."""
    try:
        yield
    except asyncpg.LockNotAvailableError as exc:
        raise LockTimeout("another transaction holds a lock") from exc
    except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError) as exc:
        raise WriteConflict("two transactions waited for each other") from exc
    except asyncpg.CheckViolationError as exc:
        if exc.constraint_name is None:  # a check has a name; a row that fits no partition has none
            raise PartitionMissing("no table partition for these events yet") from exc
        raise DatabaseFault(exc.sqlstate) from exc
    except (
        asyncpg.PostgresConnectionError,
        asyncpg.CannotConnectNowError,
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
        asyncpg.TooManyConnectionsError,
        asyncpg.QueryCanceledError,
        asyncpg.IdleInTransactionSessionTimeoutError,
        asyncpg.InsufficientResourcesError,
        asyncpg.ReadOnlySQLTransactionError,
        asyncpg.InternalClientError,
        OSError,
        TimeoutError,
        asyncio.IncompleteReadError,
    ) as exc:
        raise DatabaseUnavailable("Postgres does not answer") from exc
    except asyncpg.InterfaceError as exc:
        if isinstance(
            exc, ValueError
        ):  # an argument of ours that asyncpg cannot encode: a bug, not an outage
            raise DatabaseFault("argument") from exc
        raise DatabaseUnavailable("the connection to Postgres is gone") from exc
    except asyncpg.PostgresError as exc:
        raise DatabaseFault(getattr(exc, "sqlstate", None) or "unknown") from exc
