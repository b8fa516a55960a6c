"""Reads `mk.erasure.requests.v1` into job rows: row, position, audit entry in one transaction, `received` acknowledged first.

A record that cannot be believed or read is counted and has an audit entry with its offset, and reading goes on. One whose
private half or pseudonym key is not here yet stops its own partition until it is. Must never execute anything.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts import topics
from contracts.erasure_metrics import ERASURE_LAG, ERASURE_RECEIVED, ERASURE_TRANSITIONS
from contracts.errors import (
    ContractViolation,
    KeyNotYetKnown,
    PermanentError,
    TransientError,
    broker_error,
)
from runtime import logging
from runtime.kafka.clients import consumer
from runtime.kafka.control import ControlReader
from store.audit.log import AuditEntry, What, append
from store.database import translated
from store.erasure.equipment import Step, Tools
from store.erasure.jobs import SQL
from store.erasure.requests.admit import Admitted, admitted, insert
from store.erasure.requests.opening import RequestOpener, WrongRecipient
from store.erasure.telling.tell import tell_outcomes

if TYPE_CHECKING:
    from store.database import Connection

_TOPIC: Final = topics.ERASURE_REQUESTS
_AT_ONCE: Final = 200
_RETRY_S: Final = 1.0


class PositionMoved(TransientError):
    """Another process read on: this one begins again where the database says."""

    code = "position_moved"


@dataclass(slots=True)
class _Partition:
    """One partition: what the database says is the next offset, and when a stopped one is tried again."""

    recorded: int
    retry_at_s: float = 0.0


@dataclass(slots=True)
class _Read:
    """What a stretch of records is."""

    next_offset: int
    rows: list[tuple[int, Admitted]] = field(default_factory=list)
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    """Offset and the error's code."""
    stopped: bool = False


class RequestConsumer:
    """All partitions in one process: whoever acts reads."""

    def __init__(
        self,
        bootstrap: str,
        tools: Tools,
        opener: RequestOpener,
        control: ControlReader,
        offer: Callable[[Iterable[UUID]], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._bootstrap, self._tls = bootstrap, tls
        self._tools, self._opener, self._control, self._offer = tools, opener, control, offer
        self._partitions: dict[TopicPartition, _Partition] = {}
        self.is_reading = False

    async def run(self, connection: Connection) -> None:
        """Until cancelled. Raises BrokerUnavailable, DatabaseUnavailable or PositionMoved: then it is run again."""
        client = consumer(self._bootstrap, "mk-erasure-requests", group=None, tls=self._tls)
        try:
            await client.start()
            await self._place(client, connection)
            self.is_reading = True
            while True:
                await self._round(client, connection)
        except KafkaError as exc:
            raise broker_error(exc, "requests cannot be read") from exc
        finally:
            self.is_reading = False
            await client.stop()

    async def _place(self, client: AIOKafkaConsumer, connection: Connection) -> None:
        await client._client.add_topic(_TOPIC)
        numbers = client.partitions_for_topic(_TOPIC) or set()
        parts = [TopicPartition(_TOPIC, number) for number in sorted(numbers)]
        client.assign(parts)
        starts, ends = await client.beginning_offsets(parts), await client.end_offsets(parts)
        self._partitions = {}
        for part in parts:
            with translated():
                recorded = await connection.fetchval(SQL["position"], part.partition)
            at = recorded or 0
            if not starts[part] <= at <= ends[part]:
                # Before the log: what was lost unread is said. After it: another topic, whose requests are read anew,
                # since a request that is a row already is the same request.
                if at > 0:
                    logging.get_logger().error(
                        "requests.position_lost", partition=part.partition, position=at, offset=starts[part]
                    )
                at = starts[part]
            self._partitions[part] = _Partition(recorded or 0)
            client.seek(part, at)

    async def _round(self, client: AIOKafkaConsumer, connection: Connection) -> None:
        now_s = asyncio.get_running_loop().time()
        for part in client.paused():
            if self._partitions[part].retry_at_s <= now_s:
                client.resume(part)
        batches = await client.getmany(timeout_ms=500, max_records=_AT_ONCE)
        for part, records in batches.items():
            read = await self._read(connection, records)
            if read.next_offset > records[0].offset:
                await self._admit(connection, part, read)
            if read.stopped:
                client.pause(part)
                client.seek(part, read.next_offset)
                self._partitions[part].retry_at_s = asyncio.get_running_loop().time() + _RETRY_S
        behind = [
            max(0, (client.highwater(part) or 0) - state.recorded) for part, state in self._partitions.items()
        ]
        self._tools.metrics.gauge(ERASURE_LAG).set(sum(behind))

    async def _read(self, connection: Connection, records: Sequence[Any]) -> _Read:
        read = _Read(records[0].offset)
        for record in records:
            try:
                row = await self._row(connection, record)
            except TransientError as exc:
                logging.get_logger().warning(
                    "request.waited", exc=exc, partition=record.partition, offset=record.offset
                )
                read.stopped = True
                break
            except asyncpg.PostgresError as exc:
                # A right or a table that is not there yet is never the record's fault: skipped, a request would be lost.
                logging.get_logger().error(
                    "request.held_up", exc=exc, partition=record.partition, offset=record.offset
                )
                read.stopped = True
                break
            except PermanentError as exc:
                read.unreadable.append((record.offset, exc.code))
            except (
                Exception
            ) as exc:  # a defect in reading one record must not end the others: type and frames only
                logging.get_logger().error(
                    "request.defect_found", exc=exc, partition=record.partition, offset=record.offset
                )
                read.unreadable.append((record.offset, "defect"))
            else:
                read.rows.append((record.offset, row))
            read.next_offset = record.offset + 1
        return read

    async def _row(self, connection: Connection, record: Any) -> Admitted:
        value, headers = record.value or b"", tuple(record.headers)
        try:
            opened = await self._opener.open(value, headers, record.timestamp)
        except KeyNotYetKnown:
            if self._opener.is_published(value):
                raise
            await self._control.catch_up()
            if self._opener.is_published(value):
                raise
            raise WrongRecipient("sealed to a key that is not erasure's") from None
        return await admitted(connection, self._tools.keks, opened, record.timestamp, self._tools.at_meta)

    async def _admit(self, connection: Connection, part: TopicPartition, read: _Read) -> None:
        state = self._partitions[part]
        new: list[Admitted] = []
        unreadable = list(read.unreadable)
        with translated():
            async with connection.transaction():
                moved = await connection.fetchval(
                    SQL["move_position"], part.partition, read.next_offset, state.recorded
                )
                if moved is None:
                    raise PositionMoved("another process reads the requests")
                for offset, row in read.rows:
                    try:
                        if await insert(connection, row):
                            new.append(row)
                    except ContractViolation as exc:
                        unreadable.append((offset, exc.code))
                await tell_outcomes(self._tools, [row.outcome() for row in new])
                for entry in _entries(self._tools.signer.name, part.partition, new, unreadable):
                    await append(connection, entry)
        state.recorded = read.next_offset
        self._offer([row.request_id for row in new])
        for row in new:
            self._tools.reached(row.request_id, Step.ADMITTED)
        self._count(new, len(read.rows) - len(new), part.partition, unreadable)

    def _count(
        self, new: list[Admitted], known: int, partition: int, unreadable: list[tuple[int, str]]
    ) -> None:
        metrics = self._tools.metrics
        results = ERASURE_RECEIVED.labels["result"]
        metrics.counter(ERASURE_RECEIVED, "new").inc(len(new))
        metrics.counter(ERASURE_RECEIVED, "repeated").inc(max(0, known))
        for row in new:
            metrics.counter(ERASURE_TRANSITIONS, row.kind, "received").inc()
        for offset, code in unreadable:
            metrics.counter(ERASURE_RECEIVED, code if code in results else "other").inc()
            logging.get_logger().error("request.refused", code=code, partition=partition, offset=offset)


def _entries(
    by: str, partition: int, new: list[Admitted], unreadable: list[tuple[int, str]]
) -> list[AuditEntry]:
    received = [
        AuditEntry(What.ERASURE_RECEIVED, row.asked_by, request=row.request_id, tenant=row.tenant_id)
        for row in new
    ]
    refused = [
        AuditEntry(
            What.ERASURE_UNREADABLE, by, reason=code, numbers={"partition": partition, "offset": offset}
        )
        for offset, code in unreadable
    ]
    return received + refused
