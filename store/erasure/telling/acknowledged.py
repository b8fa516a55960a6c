"""Watches whether the readers who were told of erasures have passed the notices, and says so on the outcomes topic.

A durable job of its own beside the requests'. Nobody waits for it: `live_erased` and `answered` are said meanwhile, and
`answered` once more when a request's last reader is settled. Must never take a reader for one that has acknowledged
because Kafka could not be asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from contracts.erasure_metrics import ERASURE_READERS
from contracts.errors import BrokerUnavailable
from contracts.topics import tenant_events_topic
from runtime import logging
from store.database import translated
from store.erasure.equipment import Tools
from store.erasure.jobs import load_job
from store.erasure.telling.reader_groups import Committed, ReaderGroups
from store.erasure.telling.tell import tell_outcomes
from store.erasure.telling.told_readers import SQL, Notice, Settled, counts_of, judge, reached

if TYPE_CHECKING:
    from store.database import Connection

LOOK_EVERY_S: Final = 1.0
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class _Reader:
    """A grant with open notices. `is_over`: it has ended, or the tenant's topic has."""

    grant: UUID
    tenant: UUID
    name: str
    slot: str | None
    partitions: int | None
    is_over: bool


class Acknowledgements:
    """The job. `groups`: how readers' groups are asked."""

    def __init__(self, tools: Tools, groups: ReaderGroups) -> None:
        self._tools, self._groups = tools, groups

    async def run(self, connection: Connection) -> None:
        """Until cancelled. `connection`: its own, as mk_erasure. Raises DatabaseUnavailable."""
        while True:
            try:
                await self.look(connection)
            except BrokerUnavailable as exc:
                logging.get_logger().warning("readers.not_asked", exc=exc, wait_s=LOOK_EVERY_S)
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self, connection: Connection) -> None:
        """Once. Without open notices Kafka is asked nothing. Raises BrokerUnavailable or DatabaseUnavailable."""
        with translated():
            readers = [_Reader(*row) for row in await connection.fetch(SQL["waited_for"])]
            for reader in readers:
                if reader.is_over:
                    done = await connection.execute(SQL["settle_ended"], reader.grant)
                    self._count(Settled.ENDED, done)
        waited_for = [reader for reader in readers if not reader.is_over]
        if waited_for:
            committed = await self._groups.committed({reader.name for reader in waited_for})
            for reader in waited_for:
                try:
                    await self._settle(connection, reader, committed[reader.name])
                except BrokerUnavailable as exc:  # one tenant's topic holds up that tenant's readers
                    logging.get_logger().warning("reader.not_judged", exc=exc, tenant=str(reader.tenant))
        await self._report(connection)

    async def _settle(self, connection: Connection, reader: _Reader, groups: Sequence[Committed]) -> None:
        assert reader.slot is not None
        assert reader.partitions is not None
        topic = tenant_events_topic(reader.slot)
        come = reached([group.get(topic, {}) for group in groups], reader.partitions)
        firsts = await self._tools.log_ends.firsts(topic, reader.partitions)
        in_order = [firsts[number] for number in range(reader.partitions)]
        while True:
            with translated():
                rows = await connection.fetch(SQL["open"], reader.grant, _AT_ONCE)
                notices = [Notice(*row) for row in rows]
                judged = {notice.request: judge(notice.ends, come, in_order) for notice in notices}
                for how in (Settled.ACKNOWLEDGED, Settled.MISSED):
                    requests = [request for request, settled in judged.items() if settled is how]
                    if requests:
                        done = await connection.execute(SQL["settle"], reader.grant, requests, how.value)
                        self._count(how, done)
            # The oldest come first: where one of them is waited for, so is what was said later.
            if len(rows) < _AT_ONCE or None in judged.values():
                return

    async def _report(self, connection: Connection) -> None:
        """`answered` once more, with the counts that are final. Killed before it is noted, it is said again."""
        while True:
            with translated():
                rows = await connection.fetch(SQL["unreported"], _AT_ONCE)
                requests = [row["request_id"] for row in rows]
                told = [
                    (await load_job(connection, request)).outcome(await counts_of(connection, request))
                    for request in requests
                ]
            if not told:
                return
            await tell_outcomes(self._tools, told)
            with translated():
                await connection.execute(SQL["reported"], requests)

    def _count(self, how: Settled, done: str) -> None:
        """`done`: Postgres' word for how many rows were changed."""
        self._tools.metrics.counter(ERASURE_READERS, how.value).inc(int(done.rpartition(" ")[2]))
