"""Every process's plain way to Postgres: named statements from .sql files, a connection with time-outs, errors translated once.

The lanes have their own (`store.lanes.database`): there each statement is prepared and counted. Must never interpolate
anything into a statement but names and bounds that our own code made (`with_names`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg

from contracts.errors import DatabaseUnavailable

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_NAME_LINE: Final = re.compile(r"^-- name: ([a-z_]+)\s*$", re.MULTILINE)
_SAFE: Final = re.compile(r"[a-z0-9_-]{1,63}")


def statements(path: Path) -> dict[str, str]:
    """The statements of a file by the name in the `-- name:` line above each."""
    parts = _NAME_LINE.split(path.read_text())
    return dict(zip(parts[1::2], (text.strip() for text in parts[2::2]), strict=True))


def with_names(statement: str, **names: str) -> str:
    """`statement` with `{name}` replaced. Raises ValueError for anything that is not a plain name or a UUID."""
    for name, value in names.items():
        if not _SAFE.fullmatch(value):
            raise ValueError("a name that our own code did not make")
        statement = statement.replace("{" + name + "}", value)
    return statement


@contextmanager
def translated() -> Iterator[None]:
    """Translate what says that Postgres is away or busy; anything else of Postgres' stays a defect."""
    try:
        yield
    except (
        asyncpg.PostgresConnectionError,
        asyncpg.InterfaceError,
        # What asyncpg raises from a connection whose server was killed, until it notices that it is closed.
        asyncpg.InternalClientError,
        asyncpg.OperatorInterventionError,
        asyncpg.InsufficientResourcesError,
        OSError,
        TimeoutError,
    ) as exc:
        raise DatabaseUnavailable("Postgres does not answer") from exc
    except (
        asyncpg.LockNotAvailableError,
        asyncpg.DeadlockDetectedError,
        asyncpg.SerializationError,
    ) as exc:
        raise DatabaseUnavailable("a lock was not free in time") from exc


@asynccontextmanager
async def connected(dsn: str, name: str) -> AsyncIterator[Connection]:
    """A connection with time-outs; `name` is shown by Postgres. Raises DatabaseUnavailable."""
    try:
        connection = await asyncpg.connect(
            dsn,
            timeout=5,
            command_timeout=60,
            server_settings={
                "application_name": name,
                "lock_timeout": "5000",
                "idle_in_transaction_session_timeout": "60000",
            },
        )
    except (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        OSError,
        TimeoutError,
    ) as exc:
        # Also a database that is not there: it may be just being put back from a backup.
        raise DatabaseUnavailable("Postgres lets nobody in") from exc
    try:
        yield connection
    finally:
        connection.terminate()
