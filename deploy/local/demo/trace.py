"""Follows each posted webhook through Kafka into Postgres, by what stands in the clear: offsets, headers, ledger lines, ids.

Opens nothing: it holds no key. What it shows of a row is ciphertext; reading it back is `mkc messages`' business.
"""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts import topics
from contracts.ledger import RawLine
from deploy.local.demo.samples import Sample
from runtime.kafka.clients import consumer

_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class RawRecord:
    """Where a block lies on raw, when the broker took it (ms), and how many bytes it has."""

    partition: int
    offset: int
    at_ms: int
    size: int


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event on a tenant's topic, as its headers say."""

    topic: str
    partition: int
    offset: int
    event_id: str
    event_type: str
    tenant: str
    received_at_ms: int


@dataclass(slots=True)
class Trace:
    """What became of one sample so far."""

    sample: Sample
    status: int = 0
    raw: RawRecord | None = None
    line: RawLine | None = None
    events: list[EventRecord] = field(default_factory=list)
    rows: dict[str, bytes] = field(default_factory=dict)
    """Ciphertext by event id."""

    def complete(self) -> bool:
        """Whether nothing more is expected to happen to it."""
        if self.sample.expected == "rejected" or self.raw is None:
            return self.status != 0
        if self.line is None:
            return False
        wanted = sum(counts.events for counts in self.line.tenants.values())
        return len(self.events) >= wanted and len(self.rows) >= wanted


class Tracer:
    """Reads raw, ledger and the tenants' topics from their present ends on. Use `open`."""

    def __init__(self, reader: AIOKafkaConsumer, database: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._reader = reader
        self._database = database
        self._raw: asyncio.Queue[RawRecord] = asyncio.Queue()
        self._lines: dict[tuple[int, int], RawLine] = {}
        self._events: list[EventRecord] = []
        self._schemas: dict[str, str] = {}

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        kafka: str,
        dsn: str,
        schemas: dict[str, str],
        slots: list[str],
        tls: ssl.SSLContext | None = None,
    ) -> "AsyncIterator[Tracer]":
        """`schemas`: tenant id to schema name; `slots`: the tenants' slots."""
        reader = consumer(kafka, "demo-trace", group=None, tls=tls)
        await reader.start()
        connection = await asyncpg.connect(dsn)
        try:
            tracer = cls(reader, connection)
            tracer._schemas = schemas
            await tracer._seek([topics.RAW, topics.LEDGER, *map(topics.tenant_events_topic, slots)])
            follow = asyncio.create_task(tracer._follow())
            yield tracer
            follow.cancel()
            await asyncio.gather(follow, return_exceptions=True)
        finally:
            await reader.stop()
            await connection.close()

    async def _seek(self, names: list[str]) -> None:
        parts = [
            TopicPartition(name, number)
            for name in names
            for number in range(topics.BY_NAME[name].local_partitions if name in topics.BY_NAME else 1)
        ]
        self._reader.assign(parts)
        for part, offset in (await self._reader.end_offsets(parts)).items():
            self._reader.seek(part, offset)

    async def _follow(self) -> None:
        while True:
            batches = await self._reader.getmany(timeout_ms=100)
            for part, records in batches.items():
                for record in records:
                    self._take(part, record)

    def _take(self, part: TopicPartition, record: Any) -> None:
        if part.topic == topics.RAW:
            self._raw.put_nowait(
                RawRecord(part.partition, record.offset, record.timestamp, len(record.value))
            )
        elif part.topic == topics.LEDGER:
            if b'"kind":"raw"' in record.value:
                line = RawLine.model_validate_json(record.value)
                self._lines[line.partition, line.offset] = line
        else:
            headers = {name: value.decode("ascii", "replace") for name, value in record.headers}
            self._events.append(
                EventRecord(
                    part.topic,
                    part.partition,
                    record.offset,
                    headers["ce_id"],
                    headers["ce_type"],
                    headers["ce_tenant"],
                    int(headers["mk_received_at"]),
                )
            )

    async def next_raw(self, trace: Trace, timeout_s: float = 5) -> None:
        """Wait for the block of the delivery that was just accepted; deliveries are posted one after the other."""
        async with asyncio.timeout(timeout_s):
            trace.raw = await self._raw.get()

    async def settle(self, traces: list[Trace], timeout_s: float) -> bool:
        """Follow until every trace is complete; False if some are not after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            for trace in traces:
                if not trace.complete():
                    await self._update(trace)
            if all(trace.complete() for trace in traces):
                return True
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_POLL_S)

    async def _update(self, trace: Trace) -> None:
        if trace.raw is None:
            return
        trace.line = self._lines.get((trace.raw.partition, trace.raw.offset))
        trace.events = [event for event in self._events if event.received_at_ms == trace.raw.at_ms]
        missing: dict[str, list[str]] = {}
        for event in trace.events:
            if event.event_id not in trace.rows:
                missing.setdefault(event.tenant, []).append(event.event_id)
        for tenant, ids in missing.items():
            # The schema's name comes from the cell's own table, never from outside.
            query = f"SELECT id::text, body FROM {self._schemas[tenant]}.message WHERE id = ANY($1::uuid[])"
            for row in await self._database.fetch(query, ids):
                trace.rows[row["id"]] = row["body"]
