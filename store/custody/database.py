"""The custodian's statements and the lock of whoever acts as the custodian."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from store.database import statements, translated

if TYPE_CHECKING:
    from store.database import Connection

NOTIFY_CHANNEL: Final = "mk_custodian"
CUSTODY_LOCK: Final = 0x6D6B_0002
"""The session advisory lock of whoever acts as the custodian."""

SQL: Final = statements(Path(__file__).with_name("queries.sql"))


@asynccontextmanager
async def custody(connection: Connection) -> AsyncIterator[bool]:
    """Hold the custodian's lock for one pass; False if another has it. It ends with the connection."""
    with translated():
        held = bool(await connection.fetchval(SQL["try_custody"], CUSTODY_LOCK))
    try:
        yield held
    finally:
        if held and not connection.is_closed():
            with translated():
                await connection.execute(SQL["end_custody"], CUSTODY_LOCK)
