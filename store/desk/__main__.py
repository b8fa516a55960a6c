"""`python -m store.desk`: the public status page of erasures. Settings are `MKC_DESK_*`."""

from __future__ import annotations

import asyncio
import errno
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import asyncpg

from contracts.errors import DatabaseUnavailable, InvalidSettings
from runtime.http.health import HealthServer
from runtime.lifecycle import Supervisor, run
from runtime.logging import get_logger
from runtime.metrics import ProcessMetrics
from runtime.settings import load
from store.database import translated
from store.desk.requests import SQL
from store.desk.serve import DeskServer
from store.desk.settings import DeskSettings
from store.migrate import check

if TYPE_CHECKING:
    from store.desk.requests import Pool

_LOOK_S: Final = 2.0
_DRAIN_S: Final = 3.0


@asynccontextmanager
async def _pool(dsn: str) -> AsyncIterator[Pool]:
    """Connections that are made when they are needed: the page stands also while Postgres is away."""
    pool = asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=4,
        timeout=3,
        command_timeout=5,
        max_inactive_connection_lifetime=60,
        server_settings={"application_name": "mk-desk", "default_transaction_read_only": "on"},
    )
    async with pool:
        yield pool


async def _look(pool: Pool, state: dict[str, bool]) -> None:
    """Keep `state` true to whether Postgres answers with the schema of this code. Raises SchemaIncompatible."""
    checked = False
    while True:
        try:
            with translated():
                async with pool.acquire(timeout=3) as connection:
                    if not checked:
                        await check(connection)  # type: ignore[arg-type]  # a pool's proxy of a connection
                        checked = True
                    await connection.fetchval(SQL["alive"])
            state["database"] = True
        except DatabaseUnavailable:
            state["database"] = False
        await asyncio.sleep(_LOOK_S)


async def _main(supervisor: Supervisor) -> None:
    settings = load(DeskSettings)
    process, state = ProcessMetrics("desk"), {"database": False}
    health = HealthServer(settings.health_host, settings.health_port, process, lambda: state)
    async with health, _pool(settings.database) as pool:
        server = DeskServer(
            pool,
            process,
            pages_per_minute=settings.pages_per_minute,
            trusted_proxies=settings.trusted_proxies,
            max_connections=settings.max_connections,
        )
        try:
            listener = await asyncio.get_running_loop().create_server(server, settings.host, settings.port)
        except OSError as exc:
            if exc.errno == errno.EADDRINUSE:
                raise InvalidSettings(
                    f"MKC_DESK_PORT: port {settings.port} is in use; choose another"
                ) from exc
            raise InvalidSettings("MKC_DESK_HOST, MKC_DESK_PORT: cannot listen there") from exc
        supervisor.start("database", _look(pool, state))
        get_logger().info("desk.started", **settings.summary())
        await supervisor.stopping.wait()
        listener.close()
        await server.shutdown(_DRAIN_S)
        # Before the pool closes: what looks at it holds one of its connections.
        await supervisor.cancel_all()


if __name__ == "__main__":
    sys.exit(run("desk", _main))
