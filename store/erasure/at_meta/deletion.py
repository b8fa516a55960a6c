"""Asks Meta to forget an erased person, for each number of the tenant that has a token. META.md section 14.

Meta keeps the mapping of phone and BSUID otherwise. A durable job of its own beside the request's: asked again with
growing pauses until Meta says yes or the time is over, and the receipt says which. The BSUID is kept encrypted until then
and not a moment longer. Must never hold up the shred or `live_erased`, nor log whom or with what it asks.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

import orjson

from contracts.control import ControlView, IdKind
from contracts.erasure_metrics import ERASURE_AT_META
from contracts.errors import InvalidSettings, KeyServiceUnavailable, PermanentError
from runtime import logging
from runtime.clock import Clock
from runtime.metrics import ProcessMetrics
from store.database import statements, translated
from store.erasure.at_meta.details import DetailKeys
from store.erasure.at_meta.graph import Asked, GraphApi, Tokens

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("deletion.sql"))
GIVEN_UP_AFTER: Final = timedelta(days=6)
"""While the key of the request's details lives for sure (`store.erasure.at_meta.details`)."""
USELESS_ATTEMPTS: Final = 3
"""So often a refusal is believed to be a passing one."""
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 3_600.0
_LOOK_EVERY_S: Final = 2.0
_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class DeletionAtMeta:
    """How one of a request's deletions ended; not deleted: given up."""

    is_deleted: bool
    ended_at: datetime


async def deletions_of(connection: Connection, request: UUID) -> list[DeletionAtMeta]:
    """Those of a request that have ended; empty where none was asked for."""
    rows = await connection.fetch(SQL["ended"], request)
    return [DeletionAtMeta(row["is_deleted"], row["ended_at"]) for row in rows]


def bsuids_detail(bsuids: list[str]) -> bytes:
    """What is encrypted into a request's details."""
    return orjson.dumps({"bsuid": bsuids})


def pause_s(attempts: int, asked: Asked) -> float:
    """Until it is asked again, after `attempts` before this one: doubling, or as long as Meta says if that is longer."""
    own = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(attempts, 16))
    return min(_LONGEST_PAUSE_S, max(own, asked.retry_after_s or 0.0))


@dataclass(frozen=True, slots=True)
class AtMeta:
    """The job. `view`: says which numbers are a tenant's."""

    details: DetailKeys
    tokens: Tokens
    graph: GraphApi
    view: ControlView
    clock: Clock
    metrics: ProcessMetrics

    async def kept(self, request: UUID, tenant: UUID, bsuids: list[str], now: datetime) -> bytes | None:
        """What a request's row keeps until Meta was asked; None where nobody will be: nothing is kept in reserve.

        Raises KeyServiceUnavailable.
        """
        if not bsuids or not self._numbers(tenant):
            return None
        return await self.details.encrypt(request, bsuids_detail(bsuids), now)

    async def run(self, connection: Connection) -> None:
        """Until cancelled. Raises DatabaseUnavailable."""
        while True:
            with suppress(KeyServiceUnavailable):
                await self.details.destroy_ended(self.clock.now())
            await self.look(connection)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def look(self, connection: Connection) -> None:
        """Ask what is due, once."""
        with translated():
            await connection.execute(SQL["forget_refused"])
            rows = await connection.fetch(SQL["requests"], _AT_ONCE)
        for row in rows:
            await self._tend(connection, row["request_id"], row["tenant_id"], row["details"])

    async def _tend(self, connection: Connection, request: UUID, tenant: UUID, cell: bytes) -> None:
        try:
            bsuids: list[str] = orjson.loads(await self.details.decrypt(request, cell))["bsuid"]
        except KeyServiceUnavailable:
            return
        except PermanentError as exc:
            logging.get_logger().error("details.lost", exc=exc)
            with translated():
                await connection.execute(SQL["all_given_up"], request)
            bsuids = []
        numbers = self._numbers(tenant) if bsuids else []
        with translated():
            await connection.execute(SQL["begin"], request, numbers, len(bsuids))
            due = await connection.fetch(SQL["due"], request)
        for row in due:
            number, ordinal = row["phone_number_id"], row["ordinal"]
            asked = await self._ask(number, bsuids[ordinal])
            self._count(asked)
            statement, more = "again", [pause_s(row["attempts"], asked)]
            if asked.is_deleted:
                statement, more = "deleted", []
            elif row["asked_for"] >= GIVEN_UP_AFTER or (
                asked.is_useless and row["attempts"] + 1 >= USELESS_ATTEMPTS
            ):
                statement, more = "given_up", []
                self.metrics.counter(ERASURE_AT_META, "given_up").inc()
                logging.get_logger().error("meta.given_up", status=asked.status, attempt=row["attempts"] + 1)
            with translated():
                await connection.execute(SQL[statement], request, number, ordinal, asked.status, *more)
        with translated():
            if await connection.fetchval(SQL["forget"], request) is not None:
                await connection.execute(SQL["wake"])

    async def _ask(self, number: str, bsuid: str) -> Asked:
        try:
            access = self.tokens.access(number)
        except InvalidSettings as exc:
            logging.get_logger().error("meta.no_token", exc=exc)
            return Asked(None, is_deleted=False)
        return await self.graph.delete_contact(number, bsuid, access)

    def _numbers(self, tenant: UUID) -> list[str]:
        """The tenant's numbers with a token, also of accounts that are disconnected: Meta does not forget with them."""
        return sorted(
            {
                one.value
                for account in self.view.accounts.values()
                if account.tenant == tenant
                for one in account.ids
                if one.kind is IdKind.PHONE_NUMBER and self.tokens.has(one.value)
            }
        )

    def _count(self, asked: Asked) -> None:
        self.metrics.counter(ERASURE_AT_META, "deleted" if asked.is_deleted else "failed").inc()
