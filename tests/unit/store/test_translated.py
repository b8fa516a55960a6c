"""Whatever asyncpg raises when Postgres was killed is one error of ours, which is waited for: nobody ends because of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import asyncpg
import pytest

from contracts.errors import DatabaseUnavailable
from store import database
from store.lanes import database as lanes

KILLED = (
    asyncpg.ConnectionDoesNotExistError("x"),
    asyncpg.InterfaceError("connection is closed"),
    # Of a connection whose server died in the middle: "cannot switch to state 12; protocol is in the failed state".
    asyncpg.InternalClientError("cannot switch to state 12"),
    asyncpg.CannotConnectNowError("starting up"),
    asyncpg.CrashShutdownError("x"),
    ConnectionResetError(),
    TimeoutError(),
)


@pytest.mark.parametrize("exc", KILLED, ids=lambda exc: type(exc).__name__)
@pytest.mark.parametrize("translated", [database.translated, lanes.translated], ids=["plain", "lanes"])
def test_a_killed_server_is_unavailable(
    translated: Callable[[], AbstractContextManager[None]], exc: Exception
) -> None:
    with pytest.raises(DatabaseUnavailable), translated():
        raise exc
