"""What erasure does by itself, without a request: joins that lanes asked for, what a restored database has left over, and
suppression data whose time is over.

Lanes say at once that a join waits (`NOTIFY`); a pass over all tenants finds what was said to nobody. Must never hold up
requests: it has a connection of its own and goes tenant by tenant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg

from contracts.errors import DatabaseUnavailable
from runtime import logging
from store.database import statements, translated
from store.erasure.equipment import Tools
from store.erasure.execution import joins
from store.erasure.expiry import expire_requests, expire_tenant
from store.erasure.recovery.leftovers import delete_leftovers
from store.erasure.tenants import find_tenant

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("upkeep.sql"))
JOINS_CHANNEL: Final = "mk_erasure_joins"
LOOK_EVERY_S: Final = 60.0
EXPIRE_EVERY_S: Final = 3_600.0


class Upkeep:
    """`run` goes on until cancelled. `offer`: told of the jobs that it makes. `tools`: its connection is replaced by `run`'s."""

    def __init__(self, offer: Callable[[Iterable[UUID]], None], tools: Tools) -> None:
        self._offer, self._tools = offer, tools
        self._schemas: set[str] = set()
        self._wake = asyncio.Event()

    async def run(self, connection: Connection) -> None:
        """`connection`: its own, as mk_erasure. Raises DatabaseUnavailable when it is lost."""
        loop = asyncio.get_running_loop()
        expired_at = -EXPIRE_EVERY_S + loop.time()
        with translated():
            await connection.add_listener(JOINS_CHANNEL, self._notified)
        while True:
            expires = loop.time() - expired_at >= EXPIRE_EVERY_S
            await self._pass_over_all(connection, expires=expires)
            if expires:
                expired_at = loop.time()
            until = loop.time() + LOOK_EVERY_S
            while (left_s := until - loop.time()) > 0:
                try:
                    await asyncio.wait_for(self._wake.wait(), left_s)
                except TimeoutError:
                    break
                await self._take_said(connection)

    def _notified(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        self._schemas.add(str(payload))
        self._wake.set()

    async def _take_said(self, connection: Connection) -> None:
        said, self._schemas = self._schemas, set()
        self._wake.clear()
        with translated():
            rows = await connection.fetch(SQL["tenants_of"], sorted(said))
        for row in rows:
            await self._tend(connection, row["tenant_id"], expires=False)

    async def _pass_over_all(self, connection: Connection, *, expires: bool) -> None:
        with translated():
            rows = await connection.fetch(SQL["tenants"])
        for row in rows:
            await self._tend(connection, row["tenant_id"], expires=expires)
        if expires:
            await expire_requests(connection)

    async def _tend(self, connection: Connection, tenant_id: UUID, *, expires: bool) -> None:
        """A tenant that cannot be tended now is tended next time; only a lost connection ends the whole."""
        try:
            tenant = await find_tenant(connection, tenant_id)
            if tenant is None:
                return
            while admitted := await joins.admit(connection, tenant, self._tools.signer.name):
                self._offer(admitted)
            if expires:
                finished = await delete_leftovers(replace(self._tools, connection=connection), tenant)
                if finished:
                    logging.get_logger().warning("leftovers.deleted", tenant=str(tenant_id), count=finished)
                gone = await expire_tenant(connection, tenant)
                if gone.tombstones or gone.steps or gone.forgotten or gone.lifted:
                    logging.get_logger().info(
                        "suppression.expired",
                        tenant=str(tenant_id),
                        count=gone.forgotten + gone.lifted,
                        items=gone.tombstones + gone.steps,
                    )
        except DatabaseUnavailable as exc:
            if connection.is_closed():
                raise
            logging.get_logger().warning("upkeep.waited", tenant=str(tenant_id), exc=exc)
        except asyncpg.PostgresError as exc:
            # A table, column or right that is not there yet: the custodian migrates one tenant after the other.
            logging.get_logger().error("upkeep.held_up", tenant=str(tenant_id), exc=exc, reason=exc.sqlstate)
