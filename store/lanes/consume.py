"""Reads the tenants' topics in one group and feeds the lanes: subscription, assignment, back-pressure, gaps.

Must never take Kafka's committed offset for a position: it is a copy for lag tools (DESIGN.md section 4.6).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Collection, Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError, OffsetOutOfRangeError

from contracts.control import ControlRecord, ControlView, SlotRecord
from contracts.errors import BrokerUnavailable
from contracts.topics import slot_of, tenant_events_topic
from runtime import logging
from runtime.kafka.clients import consumer as make_consumer
from store.lanes.lane import Buffered, Lane, Limits, Stage
from store.lanes.workers import Rounds

POLL_MS: Final = 200
_RECORDS_PER_POLL: Final = 2_000
_TOPICS_EVERY_S: Final = 5.0
_TOPICS_AGAIN_S: Final = 0.5
"""While control has a slot whose topic is not seen yet."""
_SPARE_SLOTS_WAIT_S: Final = 30.0
"""How long new spare slots wait for company before the group is told."""
_COMMIT_EVERY_S: Final = 5.0
_REBUILD_AFTER_S: Final = 10.0
"""A consumer that has only failed for this long is replaced."""
_FETCH_BYTES: Final = 1 << 20
_FETCH_WAIT_MS: Final = 100


class LaneConsumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Owns the consumer and the lanes of this process."""

    def __init__(
        self,
        bootstrap: str,
        group: str,
        view: ControlView,
        rounds: Rounds,
        limits: Limits,
        buffer_bytes: int,
        tls: ssl.SSLContext | None = None,
        on_unplaced: Callable[[], None] = lambda: None,
    ) -> None:
        self.lanes: dict[TopicPartition, Lane] = {}
        self.is_joined = False
        self.is_stopping = False
        self._bootstrap, self._group, self._tls = bootstrap, group, tls
        self._view = view
        self._rounds = rounds
        self._limits = limits
        self._buffer_bytes = buffer_bytes
        self._buffered = Buffered()
        self.on_unplaced = on_unplaced
        """Called when a lane must be placed."""
        self._consumer: AIOKafkaConsumer | None = None
        self._inquirer: AIOKafkaConsumer | None = None
        self._topics: frozenset[str] = frozenset()
        self._look_again_s = 0.0
        self._differs_since_s: float | None = None
        self._commit_s = 0.0
        self._committed: dict[TopicPartition, int] = {}
        self._failing_since_s: float | None = None
        self._log = logging.get_logger()

    @property
    def is_ready(self) -> bool:
        """True once the group has given out its partitions, or control has no slot to read yet."""
        has_slots = any(slot.state != "retired" for slot in self._view.slots.values())
        return self._consumer is not None and (self.is_joined or not has_slots)

    async def run(self) -> None:
        """Poll until `is_stopping`. Raises nothing that Kafka's absence causes."""
        loop = asyncio.get_running_loop()
        while not self.is_stopping:
            try:
                await self._step(loop.time())
                self._failing_since_s = None
            except (KafkaError, BrokerUnavailable, TimeoutError) as exc:
                await self._survive(exc, loop.time())
        await self._commit()

    async def close(self) -> None:
        """Leave the group."""
        clients, self._consumer, self._inquirer = (self._consumer, self._inquirer), None, None
        for client in clients:
            if client is not None:
                await client.stop()

    def control_applied(self, record: ControlRecord) -> None:
        """A slot may be new, bound or gone; a tenant may be paused."""
        if isinstance(record, SlotRecord):
            self._look_again_s = 0.0
        for lane in self.lanes.values():
            self._mind_pause(lane)
        self.on_unplaced()

    def lane_changed(self, lane: Lane) -> None:
        """A worker is done with the lane: resume its partition below the low-water mark, place it anew if it must be."""
        if lane.gap is not None and not lane.waiting:
            lane.unplace()
        if lane.stage is Stage.UNPLACED:
            self.on_unplaced()
        elif lane.is_low and lane.gap is None:
            self._resume(lane)

    # What the placing needs of the log.

    async def bounds(self, lanes: Sequence[Lane]) -> dict[Lane, tuple[int, int]]:
        """First offset that still exists, and the offset after the last, of each. Raises BrokerUnavailable."""
        partitions = {lane: TopicPartition(lane.topic, lane.partition) for lane in lanes}
        # Not the consumer's own connection: there the question would wait behind a fetch that the broker holds back.
        if self._inquirer is None:
            raise BrokerUnavailable("not connected to Kafka")
        try:
            # All topics at once: aiokafka would learn of them one by one, 100 ms each.
            await self._inquirer._client.set_topics(self._topics | {lane.topic for lane in lanes})
            first = await self._inquirer.beginning_offsets(list(partitions.values()))
            end = await self._inquirer.end_offsets(list(partitions.values()))
        except (KafkaError, TimeoutError) as exc:
            raise BrokerUnavailable("Kafka does not say what a log holds") from exc
        return {lane: (first[at], end[at]) for lane, at in partitions.items()}

    def read_from(self, lane: Lane, offset: int) -> None:
        """Seek there and resume."""
        partition = TopicPartition(lane.topic, lane.partition)
        if self._consumer is None or self.lanes.get(partition) is not lane:
            return
        try:
            self._consumer.seek(partition, offset)
        except IllegalStateError:
            return  # revoked this moment
        self._mind_pause(lane)
        self._resume(lane)

    # aiokafka's callbacks.

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Pause at once and give each partition an explicit place: none is read before its position is known."""
        consumer = self._consumer
        assert consumer is not None
        # No await before this loop has ended: the fetcher must not see a partition without a place.
        for partition in assigned:
            consumer.pause(partition)
            consumer.seek(partition, 0)
        for partition in assigned:
            slot = slot_of(partition.topic)
            if slot is not None:
                self.lanes[partition] = Lane(
                    partition.topic, slot, partition.partition, self._limits, self._buffered
                )
                self._mind_pause(self.lanes[partition])
        self.is_joined = True
        self._log.info("lanes.assigned", count=len(assigned))
        self.on_unplaced()

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Let go at once: what a worker still writes fails on the position if another was faster."""
        for partition in list(self.lanes):
            self.lanes.pop(partition).revoke()
        self._committed.clear()
        if revoked:
            self._log.info("lanes.revoked", count=len(revoked))

    # One round.

    async def _step(self, now_s: float) -> None:
        if self._consumer is None:
            await self._connect()
        consumer = self._consumer
        assert consumer is not None
        if now_s >= self._look_again_s:
            await self._subscribe(consumer, now_s)
        if not self._topics:
            await asyncio.sleep(0.05)
            return
        try:
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=_RECORDS_PER_POLL)
        except OffsetOutOfRangeError as exc:
            self._replace_gone(exc)
            return
        for partition, records in batches.items():
            lane = self.lanes.get(partition)
            if lane is None:
                continue
            lane.offer(records)
            if lane.gap is not None:
                self._log.error("lane.gap_found", slot=lane.slot, partition=lane.partition)
                if not lane.is_busy:
                    self.lane_changed(lane)
            if lane.waiting:
                self._rounds.wake(lane)
            if lane.is_full or self._is_crowded() or lane.gap is not None:
                consumer.pause(partition)
        if now_s - self._commit_s > _COMMIT_EVERY_S:
            self._commit_s = now_s
            await self._commit()

    async def _connect(self) -> None:
        consumer = make_consumer(
            self._bootstrap,
            "mk-store",
            group=self._group,
            tls=self._tls,
            assignors=[RoundRobinPartitionAssignor],
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
        )
        inquirer = make_consumer(self._bootstrap, "mk-store-offsets", group=None, tls=self._tls)
        try:
            await consumer.start()
            await inquirer.start()
        except KafkaError:
            await consumer.stop()
            await inquirer.stop()
            raise
        self._consumer, self._inquirer = consumer, inquirer
        self._topics = frozenset()
        self._look_again_s = 0.0

    async def _subscribe(self, consumer: AIOKafkaConsumer, now_s: float) -> None:
        slots = {
            tenant_events_topic(slot.slot): slot
            for slot in self._view.slots.values()
            if slot.state != "retired"
        }
        # One missing topic in a subscription stops the whole group for 40 s: only those that exist.
        topics = frozenset(slots.keys() & await consumer.topics())
        self._look_again_s = now_s + (_TOPICS_EVERY_S if len(topics) == len(slots) else _TOPICS_AGAIN_S)
        if topics == self._topics or not topics:
            self._differs_since_s = None
            return
        if self._differs_since_s is None:
            self._differs_since_s = now_s
        if self._is_urgent(slots, topics) or now_s - self._differs_since_s > _SPARE_SLOTS_WAIT_S:
            self._differs_since_s = None
            self._topics = topics
            consumer.subscribe(topics=sorted(topics), listener=self)
            self._log.info("lanes.subscribed", topics=len(topics))

    def _is_urgent(self, slots: dict[str, SlotRecord], topics: frozenset[str]) -> bool:
        """False while what is new are spare slots and others are subscribed: a new subscription stops the whole group,
        and the one for a tenant's successor slot would come just when the tenant's first events do."""
        if any(slots[topic].state != "free" for topic in topics - self._topics):
            return True
        spare = {slots[topic].partitions for topic in topics & self._topics if slots[topic].state == "free"}
        return any(slots[topic].partitions not in spare for topic in topics - self._topics)

    def _replace_gone(self, exc: OffsetOutOfRangeError) -> None:
        gone = exc.args[0] if exc.args and isinstance(exc.args[0], dict) else {}
        for partition in gone:
            lane = self.lanes.get(partition)
            if lane is not None and self._consumer is not None:
                self._consumer.pause(partition)
                lane.unplace()
                self._log.warning("lane.offset_gone", slot=lane.slot, partition=lane.partition)
        self.on_unplaced()

    async def _survive(self, exc: BaseException, now_s: float) -> None:
        if self._failing_since_s is None:
            self._failing_since_s = now_s
            self._log.warning("kafka.unreadable", exc=exc)
        elif now_s - self._failing_since_s > _REBUILD_AFTER_S and self._consumer is not None:
            self._failing_since_s = now_s
            self._log.error("kafka.consumer_replaced", exc=exc)
            await self.on_partitions_revoked(list(self.lanes))
            await asyncio.wait([asyncio.ensure_future(self._close_quietly())], timeout=5)
            self._consumer = self._inquirer = None
        await asyncio.sleep(0.25)

    async def _commit(self) -> None:
        """A lazy copy of the positions, for lag tools only."""
        moved = {
            partition: lane.position
            for partition, lane in self.lanes.items()
            if lane.stage is Stage.READY and self._committed.get(partition) != lane.position
        }
        if not moved or self._consumer is None:
            return
        try:
            await self._consumer.commit(moved)
        except (KafkaError, IllegalStateError) as exc:
            self._log.warning("positions.not_copied", exc=exc)
            return
        self._committed.update(moved)

    def _is_crowded(self) -> bool:
        return self._buffered.total >= self._buffer_bytes

    def _mind_pause(self, lane: Lane) -> None:
        slot = self._view.slots.get(lane.slot)
        tenant = self._view.tenants.get(slot.tenant) if slot is not None and slot.tenant is not None else None
        was_paused = lane.is_tenant_paused
        lane.is_tenant_paused = tenant is not None and tenant.state == "paused"
        if was_paused and not lane.is_tenant_paused:
            self._rounds.wake(lane)

    def _resume(self, lane: Lane) -> None:
        partition = TopicPartition(lane.topic, lane.partition)
        if self._consumer is None or self.lanes.get(partition) is not lane or lane.stage is not Stage.READY:
            return
        if lane.waiting and self._is_crowded():
            return
        if partition in self._consumer.paused():
            self._consumer.resume(partition)

    async def _close_quietly(self) -> None:
        try:
            await self.close()
        except Exception:  # they are being thrown away because they fail
            return
