"""Reads `mk.raw.v1`: one worker per assigned partition, back-pressure, rebalances, commits.

The committed offset never passes an unfinished record. Never skips an offset in silence: what retention removed is a
ledger line before the position moves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from contracts import topics
from contracts.errors import BrokerUnavailable, TransientError
from contracts.ledger import ExpiredLine
from router.endings import RecordEndings
from router.open import RawRecord
from router.pacing import InFlight, backoff_s
from router.partition import RawPartition
from router.route import RecordRouter
from runtime import logging
from runtime.clock import Clock
from runtime.kafka.clients import Producer, acknowledged
from runtime.lifecycle import Supervisor

POLL_MS: Final = 500
POLL_RECORDS: Final = 2_000
COMMIT_S: Final = 1.0
ASK_S: Final = 4.0
REVOKE_S: Final = 1.5
"""A revoked partition may take this long to finish what is nearly done: its successor waits for us."""


class RawConsumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """The router's consumer loop. `run` returns when it has drained after `stopping` was set."""

    def __init__(
        self,
        make_consumer: Callable[[], AIOKafkaConsumer],
        producer: Producer,
        router: RecordRouter,
        supervisor: Supervisor,
        clock: Clock,
        *,
        in_flight: InFlight,
        drain_s: float,
        on_finished: Callable[[RecordEndings], None],
        on_assigned: Callable[[frozenset[int]], None],
    ) -> None:
        self._make_consumer, self._producer, self._router = make_consumer, producer, router
        self._consumer: Any = None
        self._supervisor, self._clock, self._drain_s = supervisor, clock, drain_s
        self._on_finished, self._on_assigned = on_finished, on_assigned
        self._in_flight = in_flight
        self.partitions: dict[int, RawPartition] = {}
        self.answered_at = 0.0
        """When Kafka last answered a question (monotonic seconds): an empty poll says nothing, it is silent too when Kafka is away."""
        self._finished = asyncio.Event()

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""
        consumer = self._make_consumer()
        try:
            await consumer.start()
        except KafkaError as exc:
            await consumer.stop()
            raise BrokerUnavailable("the consumer cannot reach Kafka") from exc
        self._consumer = consumer

    async def stop(self) -> None:
        """Leave the group."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def watch(self) -> None:
        """Ask Kafka something every few seconds, for `answered_at`."""
        while True:
            try:
                async with asyncio.timeout(ASK_S):
                    await self._consumer.end_offsets([TopicPartition(topics.RAW, 0)])
                self.answered_at = self._clock.monotonic()
            except (KafkaError, TimeoutError):
                pass  # readiness shows it
            await asyncio.sleep(ASK_S)

    async def run(self) -> None:
        """Consume until the supervisor stops; then finish what was begun, commit and leave."""
        self._consumer.subscribe([topics.RAW], listener=self)
        committed_at = self._clock.monotonic()
        attempt = 0
        while not self._supervisor.stopping.is_set():
            try:
                await self._poll()
                attempt = 0
            except (KafkaError, TransientError) as exc:
                if attempt in (0, 10):
                    logging.get_logger().warning("raw.unreadable", exc=exc)
                await asyncio.sleep(backoff_s(attempt))
                attempt += 1
            if self._clock.monotonic() - committed_at >= COMMIT_S:
                await self._commit(self.partitions.values())
                committed_at = self._clock.monotonic()
        if self._supervisor.failure is None:
            await self._release(list(self.partitions.values()), self._drain_s)

    async def _poll(self) -> None:
        try:
            batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=POLL_RECORDS)
        except NoOffsetForPartitionError as exc:
            await self._place(exc.args[0], 0)
            return
        except OffsetOutOfRangeError as exc:
            for at, offset in exc.args[0].items():
                await self._place(at, offset)
            return
        now = self._clock.monotonic()
        for at, records in batches.items():
            partition = self.partitions.get(at.partition)
            if partition is not None:
                partition.add(_fetched(record, now) for record in records)
        self._pace()

    async def _place(self, at: TopicPartition, expected: int) -> None:
        """Go to the log's start, after a ledger line for what is missing before it."""
        start = (await self._consumer.beginning_offsets([at]))[at]
        if start > expected:
            line = ExpiredLine(
                topic=at.topic, partition=at.partition, first_offset=expected, next_offset=start
            )
            future = await self._producer.send(topics.LEDGER, line.model_dump_json().encode(), key=line.key)
            await acknowledged(future)
            logging.get_logger().error(
                "offsets.expired",
                topic=at.topic,
                partition=at.partition,
                first_offset=expected,
                next_offset=start,
            )
        if at in self._consumer.assignment():
            self._consumer.seek(at, start)

    def _pace(self) -> None:
        for partition in self.partitions.values():
            at = TopicPartition(topics.RAW, partition.number)
            if partition.full and not partition.paused:
                self._consumer.pause(at)
                partition.paused = True
            elif partition.paused and partition.low:
                self._consumer.resume(at)
                partition.paused = False

    async def _work(self, partition: RawPartition) -> None:
        while True:
            record = await partition.next()
            await self._in_flight.room()
            if partition.leaving:
                return
            partition.begin(record)
            self._in_flight.took_up(record.size)
            await self._router.route(record, partition.underway)

    def finished(self, endings: RecordEndings) -> None:
        """The record's every output is acknowledged: its offset may move."""
        record = endings.record
        partition = self.partitions.get(record.partition)
        if partition is None or record.offset not in partition.begun:
            return
        del partition.begun[record.offset]
        partition.underway.endings.pop(record.offset, None)
        partition.tracker.finish(record.offset)
        self._in_flight.let_go(record.size + endings.opened_bytes)
        self._on_finished(endings)
        self._finished.set()

    async def _commit(self, partitions: Iterable[RawPartition]) -> None:
        offsets = {
            TopicPartition(topics.RAW, partition.number): partition.tracker.commit
            for partition in partitions
            if partition.tracker.commit is not None and partition.tracker.commit != partition.committed
        }
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except (KafkaError, IllegalStateError) as exc:
            # Not ours any more, or Kafka is away: the records count again, with the same ids and the same lines.
            logging.get_logger().warning("offsets.uncommitted", exc=exc)
            return
        for at, offset in offsets.items():
            if (partition := self.partitions.get(at.partition)) is not None:
                partition.committed = offset

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Fresh state for every partition; aiokafka resumes at the committed offset."""
        for at in assigned:
            partition = RawPartition(at.partition)
            self.partitions[at.partition] = partition
            partition.task = self._supervisor.start("raw", self._work(partition))
        for partition in self.partitions.values():
            partition.share(len(self.partitions))
        self._on_assigned(frozenset(self.partitions))
        logging.get_logger().info("partitions.assigned", partitions=sorted(self.partitions))

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Let go within two seconds: finish what is nearly done, commit, drop the rest for the successor."""
        leaving = [self.partitions[at.partition] for at in revoked if at.partition in self.partitions]
        await self._release(leaving, REVOKE_S)

    async def _release(self, leaving: Sequence[RawPartition], timeout_s: float) -> None:
        for partition in leaving:
            partition.leave()
        deadline = self._clock.monotonic() + timeout_s
        while any(partition.begun for partition in leaving):
            self._finished.clear()
            try:
                await asyncio.wait_for(self._finished.wait(), deadline - self._clock.monotonic())
            except TimeoutError:
                break
        tasks = [partition.task for partition in leaving if partition.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._commit(leaving)
        for partition in leaving:
            for task in partition.underway.tasks:
                task.cancel()
            for offset, record in partition.begun.items():
                endings = partition.underway.endings.get(offset)
                if endings is None:
                    self._in_flight.let_go(record.size)
                else:
                    self._in_flight.let_go(record.size + endings.opened_bytes, endings.unended)
                    endings.dropped = True
            partition.begun.clear()
            self.partitions.pop(partition.number, None)
        self._on_assigned(frozenset(self.partitions))


def _fetched(record: ConsumerRecord, now: float) -> RawRecord:
    headers: Any = tuple(record.headers)
    return RawRecord(
        record.topic, record.partition, record.offset, record.timestamp, record.value or b"", headers, now
    )
