"""Consumes one tenant's topic in a group: opens, de-duplicates, and commits what its owner has handled.

At-least-once: a batch is committed when the next one is asked for, never before. A place that the log does not have
any more is a `Gap`, never silence. Must never commit by itself, skip a record, or log.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Self
from uuid import UUID

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    KafkaError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import ConsumerRecord

from contracts.errors import BrokerUnavailable, KeyNotYetKnown, PermanentError, broker_error
from contracts.reader.open import EventOpener
from contracts.reader.readings import Erased, Event, Gap, Reading, Refused
from contracts.reader.seen import RecentIds, SeenIds
from contracts.subject_erased import SubjectErased

FETCH_BYTES: Final = 1 << 20
FETCH_WAIT_MS: Final = 100
"""A question about offsets waits behind an empty fetch for at most so long."""
POLL_MS: Final = 200
KEY_RETRY_S: Final = 1.0
PLACE_RETRY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Placed:
    """A reading and where it lay. A `Gap` lies at its first missing offset."""

    partition: int
    offset: int
    value: Reading | Refused | Gap = field(repr=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """What was read at once, in the order of each partition. `repeated`: records left out, since their ids were handled before."""

    placed: tuple[Placed, ...]
    repeated: int
    _next: dict[TopicPartition, int] = field(repr=False)
    _ids: dict[int, list[UUID]] = field(repr=False)


class TenantReader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """`async with TenantReader(…) as reader: async for batch in reader: …`.

    The next step of the loop commits the batch before it; `commit` does so at once. An exception inside the loop
    leaves the batch uncommitted, and the group's next reader is given it again.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        group: str,
        opener: EventOpener,
        *,
        seen: SeenIds | None = None,
        begin: Literal["start", "end"] = "start",
        tls: ssl.SSLContext | None = None,
        client_id: str = "mk-reader",
        max_records: int = 500,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`begin`: where a group reads first that has committed nothing yet. `clock`: Unix seconds."""
        self._topic, self._begin = topic, begin
        self._opener = opener
        self._seen: SeenIds = RecentIds() if seen is None else seen
        self._max_records = max_records
        self._clock = clock
        self._handing: Batch | None = None
        self._reading: asyncio.Task[Batch] | None = None
        self._unplaced: set[TopicPartition] = set()
        self._waiting: dict[TopicPartition, float] = {}
        """Partitions whose next record needs a key that is not here yet: when to try again."""
        self._place_s = 0.0
        self._released: set[int] = set()
        arguments: dict[str, Any] = {
            "bootstrap_servers": bootstrap,
            "client_id": client_id,
            "group_id": group,
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "isolation_level": "read_committed",
            "max_partition_fetch_bytes": FETCH_BYTES,
            "fetch_max_wait_ms": FETCH_WAIT_MS,
            "security_protocol": "SSL" if tls else "PLAINTEXT",
            "ssl_context": tls,
        }
        self._arguments = arguments
        self._consumer: AIOKafkaConsumer | None = None

    async def __aenter__(self) -> Self:
        """Join the group. Raises BrokerUnavailable; AccessRefused (one of them) without an active grant."""
        consumer = AIOKafkaConsumer(**self._arguments)
        try:
            await consumer.start()
            # Of a topic that it may not see the client would hand out nothing, without a word.
            await consumer._client.add_topic(self._topic)
            if self._topic in consumer._client.cluster.unauthorized_topics:
                raise TopicAuthorizationFailedError(self._topic)
        except KafkaError as exc:
            await consumer.stop()
            raise broker_error(exc, "the reader cannot reach Kafka") from exc
        consumer.subscribe(topics=[self._topic], listener=self)
        self._consumer = consumer
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the group; what was handed out last stays uncommitted unless `commit` was called."""
        reading, self._reading, self._handing = self._reading, None, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        """Commit the batch before, then wait for the next that is not empty. Raises BrokerUnavailable."""
        while True:
            await self.commit()
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            # A caller that stops waiting loses nothing: what was taken from Kafka meanwhile is the next caller's batch.
            await asyncio.wait([self._reading])
            reading, self._reading = self._reading, None
            self._handing = batch = reading.result()
            if batch.placed:
                return batch

    async def commit(self) -> None:
        """The batch in hand has been handled. Raises BrokerUnavailable; the batch then stays in hand."""
        batch = self._handing
        if batch is None:
            return
        consumer = self._connected()
        for partition, ids in batch._ids.items():
            await self._seen.handled(partition, ids)
        mine = {at: offset for at, offset in batch._next.items() if at in consumer.assignment()}
        try:
            if mine:
                await consumer.commit(mine)
        except (CommitFailedError, IllegalStateError):
            pass  # the group has given the partition away: its next reader is given the batch again
        except (KafkaError, TimeoutError) as exc:
            raise broker_error(exc, "Kafka did not take the commit") from exc
        self._handing = None

    # aiokafka's callbacks.

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Nothing of a partition is read before its place is known."""
        consumer = self._consumer
        if consumer is None:
            return  # leaving
        # No await before this loop has ended: the fetcher must not see a partition without a place.
        for at in assigned:
            consumer.pause(at)
            consumer.seek(at, 0)
        self._unplaced = set(assigned)
        self._waiting.clear()
        self._place_s = 0.0

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """What is kept of these partitions may be out of date when they come back."""
        self._unplaced.clear()
        self._released |= {at.partition for at in revoked}

    # One round.

    async def _read(self) -> Batch:
        consumer = self._connected()
        placed: list[Placed] = []
        next_offsets: dict[TopicPartition, int] = {}
        for partition in self._released:
            await self._seen.released(partition)
        self._released.clear()
        now_s = self._clock()
        if self._unplaced and now_s >= self._place_s:
            self._place_s = now_s + PLACE_RETRY_S
            placed += await self._place(consumer, next_offsets)
        for at in [at for at, when_s in self._waiting.items() if now_s >= when_s]:
            del self._waiting[at]
            self._quietly(consumer.resume, at)
        try:
            found = await consumer.getmany(timeout_ms=POLL_MS, max_records=self._max_records)
        except OffsetOutOfRangeError as exc:
            lost = exc.args[0] if exc.args and isinstance(exc.args[0], dict) else {}
            self._unplaced |= set(lost) or set(consumer.assignment())
            for at in self._unplaced:
                self._quietly(consumer.pause, at)
            found = {}
        except KafkaError as exc:
            raise broker_error(exc, "the tenant's topic cannot be read") from exc
        for at, records in found.items():
            if at in consumer.assignment() and at not in self._unplaced:
                placed += self._open(consumer, at, records, next_offsets)
        for one in placed:
            if isinstance(one.value, Gap):
                at = TopicPartition(self._topic, one.partition)
                next_offsets[at] = max(one.value.next, next_offsets.get(at, 0))
        return await self._without_repeated(placed, next_offsets)

    async def _place(
        self, consumer: AIOKafkaConsumer, next_offsets: dict[TopicPartition, int]
    ) -> list[Placed]:
        """Seek each unplaced partition to where the group left off, and say what is gone from there."""
        gaps: list[Placed] = []
        every = sorted(self._unplaced)
        try:
            first = await consumer.beginning_offsets(every)
            end = await consumer.end_offsets(every)
            committed = {at: await consumer.committed(at) for at in every}
        except (KafkaError, TimeoutError):
            return []  # asked again
        for at in every:
            if at not in self._unplaced:
                continue  # revoked meanwhile
            left_off = committed[at]
            if left_off is None:
                # Committed with this batch: a group that fell before its first commit would else begin later, in silence.
                next_offsets[at] = left_off = first[at] if self._begin == "start" else end[at]
            place = left_off if first[at] <= left_off <= end[at] else first[at]
            if place != left_off:
                gaps.append(Placed(at.partition, left_off, Gap(left_off, place)))
            try:
                consumer.seek(at, place)
                consumer.resume(at)
            except IllegalStateError:
                continue
            self._unplaced.discard(at)
        return gaps

    def _open(
        self,
        consumer: AIOKafkaConsumer,
        at: TopicPartition,
        records: Sequence[ConsumerRecord],
        next_offsets: dict[TopicPartition, int],
    ) -> list[Placed]:
        placed: list[Placed] = []
        for record in records:
            try:
                value = self._read_one(record)
            except KeyNotYetKnown:
                self._waiting[at] = self._clock() + KEY_RETRY_S
                self._quietly(consumer.pause, at)
                self._quietly(lambda at=at, offset=record.offset: consumer.seek(at, offset))
                break
            placed.append(Placed(at.partition, record.offset, value))
            next_offsets[at] = record.offset + 1
        return placed

    def _read_one(self, record: ConsumerRecord) -> Reading | Refused:
        try:
            return self._opener.open(
                record.topic,
                record.value,
                record.headers,
                record.timestamp / 1000,
                key=record.key,
                now_s=self._clock(),
            )
        except PermanentError as exc:
            return Refused(exc.code)

    async def _without_repeated(
        self, placed: Sequence[Placed], next_offsets: dict[TopicPartition, int]
    ) -> Batch:
        ids: dict[int, list[UUID]] = {}
        for one in placed:
            identity = _identity(one)
            if identity is not None:
                ids.setdefault(one.partition, []).append(identity)
        seen = {partition: set(await self._seen.seen(partition, some)) for partition, some in ids.items()}
        kept: list[Placed] = []
        for one in placed:
            identity = _identity(one)
            if identity is not None:
                if identity in seen[one.partition]:
                    continue
                seen[one.partition].add(identity)
            kept.append(one)
        return Batch(tuple(kept), len(placed) - len(kept), next_offsets, ids)

    def _connected(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise BrokerUnavailable("the reader is not connected: use `async with`")
        return self._consumer

    @staticmethod
    def _quietly(act: Callable[..., object], *arguments: TopicPartition) -> None:
        try:
            act(*arguments)
        except IllegalStateError:
            return  # revoked this moment


def _identity(placed: Placed) -> UUID | None:
    match placed.value:
        case Event() | Erased():
            return placed.value.id
        case SubjectErased():
            return placed.value.notice_id
        case _:
            return None
