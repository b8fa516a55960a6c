"""Reads the books: positions first, then the ledger topic to its end, then the topics' ends (DESIGN.md section 8).

In this order a line that is missing below a position is missing for good. Takes no part in any consumer group.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from pydantic import TypeAdapter, ValidationError

from contracts import topics
from contracts.errors import broker_error
from contracts.ledger import ExpiredLine, RawLine
from runtime.kafka.clients import consumer
from store.custody.balance import IN_FLIGHT_S, OUTCOMES, REPLAYS, Followed, OutcomeRange, TenantBook
from store.custody.database import SQL
from store.database import translated, with_names

if TYPE_CHECKING:
    import asyncpg

    from store.database import Connection

ROUTER_GROUP: Final = "mk.router.v1"
_LINE: Final[TypeAdapter[RawLine | ExpiredLine]] = TypeAdapter(RawLine | ExpiredLine)


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that `balance` takes. `unreadable`: lines that are not of this version's form."""

    raw: Sequence[Followed]
    lines: Sequence[RawLine]
    expired: Sequence[ExpiredLine]
    tenants: Sequence[TenantBook]
    unreadable: int


@dataclass(frozen=True, slots=True)
class _Lanes:
    tenant: asyncpg.Record
    positions: dict[int, int]
    ranges: list[OutcomeRange]


async def read_books(
    bootstrap: str, connection: Connection, tenant: str | None = None, tls: ssl.SSLContext | None = None
) -> Books:
    """The books of one tenant (name or id) or of all. Raises BrokerUnavailable or DatabaseUnavailable."""
    cut_ms = int((time.time() - IN_FLIGHT_S) * 1000)
    async with ledger_reader(bootstrap, tls) as reader:
        committed = await committed_offsets(reader)
        lanes = await _read_lanes(connection, tenant)
        lines, expired, unreadable = await _read_lines(reader)
        raw = await followed(reader, committed, cut_ms)
        books = []
        for one in lanes:
            topic = topics.tenant_events_topic(one.tenant["slot"])
            positions = {
                TopicPartition(topic, partition): one.positions.get(partition, 0)
                for partition in range(one.tenant["partitions"])
            }
            books.append(
                TenantBook(
                    one.tenant["tenant_id"],
                    one.tenant["name"],
                    await followed(reader, positions, cut_ms),
                    one.ranges,
                )
            )
    return Books(raw, lines, expired, books, unreadable)


async def overdue_records(bootstrap: str, connection: Connection, tls: ssl.SSLContext | None = None) -> int:
    """Records older than 60 s that neither the router nor a lane has ended: from positions alone, without the lines.

    Raises BrokerUnavailable or DatabaseUnavailable.
    """
    cut_ms = int((time.time() - IN_FLIGHT_S) * 1000)
    positions: dict[TopicPartition, int] = {}
    with translated():
        for row in await connection.fetch(SQL["tenants_with_lanes"], None):
            topic = topics.tenant_events_topic(row["slot"])
            positions |= {TopicPartition(topic, partition): 0 for partition in range(row["partitions"])}
            async with connection.transaction(readonly=True):
                await connection.execute(SQL["become_owner"])
                for lane in await connection.fetch(with_names(SQL["lanes"], schema=row["schema_name"])):
                    # Kafka is asked for partitions that there are: of others it says nothing until the time is up.
                    if (place := TopicPartition(topic, lane["partition"])) in positions:
                        positions[place] = lane["position"]
    async with ledger_reader(bootstrap, tls) as reader:
        raw = await followed(reader, await committed_offsets(reader), cut_ms)
        lanes = await followed(reader, positions, cut_ms)
    return sum(one.overdue for one in (*raw, *lanes))


@asynccontextmanager
async def ledger_reader(bootstrap: str, tls: ssl.SSLContext | None = None) -> AsyncIterator[AIOKafkaConsumer]:
    """A client that may ask for the router's committed offsets but never joins its group or commits."""
    reader = consumer(bootstrap, "mk-ledger", group=ROUTER_GROUP, tls=tls, fetch_max_wait_ms=20)
    try:
        await reader.start()
        yield reader
    except KafkaError as exc:
        raise broker_error(exc, "the ledger cannot be read") from exc
    finally:
        await reader.stop()


async def _partitions(reader: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    # The client knows only topics that it was asked about.
    await reader._client.add_topic(topic)
    return [
        TopicPartition(topic, partition) for partition in sorted(reader.partitions_for_topic(topic) or ())
    ]


async def committed_offsets(reader: AIOKafkaConsumer) -> dict[TopicPartition, int]:
    """How far the router has come on each raw partition; 0 where it has not committed yet."""
    return {
        partition: await reader.committed(partition) or 0
        for partition in await _partitions(reader, topics.RAW)
    }


async def followed(reader: AIOKafkaConsumer, done: dict[TopicPartition, int], cut_ms: int) -> list[Followed]:
    """Log ends of the partitions in `done`; `cut_ms`: records from then on (Unix ms) are young."""
    if not done:
        return []
    for topic in {partition.topic for partition in done}:
        await _partitions(reader, topic)
    starts = await reader.beginning_offsets(list(done))
    young = await reader.offsets_for_times(dict.fromkeys(done, cut_ms))
    ends = await reader.end_offsets(list(done))
    return [
        Followed(
            topic=partition.topic,
            partition=partition.partition,
            log_start=starts[partition],
            log_end=ends[partition],
            done=offset,
            young_from=found.offset if (found := young[partition]) is not None else ends[partition],
        )
        for partition, offset in done.items()
    ]


async def _read_lanes(connection: Connection, tenant: str | None) -> list[_Lanes]:
    read: list[_Lanes] = []
    with translated():
        for row in await connection.fetch(SQL["tenants_with_lanes"], tenant):
            # One snapshot: a lane's position and its outcomes move in one transaction.
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await connection.execute(SQL["become_owner"])
                positions = await connection.fetch(with_names(SQL["lanes"], schema=row["schema_name"]))
                outcomes = await connection.fetch(with_names(SQL["lane_outcomes"], schema=row["schema_name"]))
            read.append(
                _Lanes(
                    row,
                    {lane["partition"]: lane["position"] for lane in positions},
                    [
                        OutcomeRange(
                            part["partition"],
                            part["first_offset"],
                            part["next_offset"],
                            {name: part[name] for name in (*OUTCOMES, REPLAYS)},
                        )
                        for part in outcomes
                    ],
                )
            )
    return read


async def _read_lines(reader: AIOKafkaConsumer) -> tuple[list[RawLine], list[ExpiredLine], int]:
    """The last line of each key, and how many could not be read."""
    partitions = await _partitions(reader, topics.LEDGER)
    reader.assign(partitions)
    starts = await reader.beginning_offsets(partitions)
    ends = await reader.end_offsets(partitions)
    for partition in partitions:
        reader.seek(partition, starts[partition])
    last: dict[bytes, RawLine | ExpiredLine] = {}
    unreadable = 0
    left = {partition for partition in partitions if starts[partition] < ends[partition]}
    while left:
        for partition, records in (await reader.getmany(*left, timeout_ms=500)).items():
            for record in records:
                if record.offset >= ends[partition]:
                    continue
                try:
                    last[record.key or b""] = _LINE.validate_json(record.value or b"")
                except ValidationError:
                    unreadable += 1
        left = {partition for partition in left if await reader.position(partition) < ends[partition]}
    raw = [line for line in last.values() if isinstance(line, RawLine)]
    expired = [line for line in last.values() if isinstance(line, ExpiredLine)]
    return raw, expired, unreadable
