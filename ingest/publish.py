"""Group commit: verified deliveries that wait at the same moment become one sealed record. DESIGN.md section 4.3 and 4.4.

No linger: a block leaves as soon as its partition has a free place at the producer; what arrives meanwhile forms the
next one. Must never resolve a delivery as durable before the broker's acknowledgement, nor publish what is not `Verified`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from contracts import topics
from contracts.block import Delivery, pack
from contracts.errors import (
    BrokerUnavailable,
    FatalError,
    InvalidSettings,
    Overloaded,
    PermanentError,
    TenantUnavailable,
)
from contracts.headers import MK_COUNT, MK_SIZE
from contracts.hybrid import HybridPublicKey
from contracts.sealing import CLOCK_SLACK_S, NO_TENANT
from ingest.block import Cause, Entry, Partitioner, PartitionQueue, QueueLimits
from ingest.counts import Counts
from ingest.signature import Verified
from runtime.epochs import EpochSource
from runtime.kafka.clients import acknowledged
from runtime.logging import get_logger

LARGE_BYTES: Final = 256 * 1024
"""From this size on, compression happens in a thread: it must not stall other requests."""
IN_FLIGHT: Final = 2
"""Blocks of one partition that the producer may hold: one on the wire, one ready behind it. With one, blocks are fuller
(30 deliveries against 23 at 256 connections) but the broker's round trip is idle time: 5-20 % more CPU a webhook, measured."""
LARGE_IN_FLIGHT: Final = 2
"""Large blocks of all partitions that are on their way at once: each is there seven times over (bodies, block, compressed,
sealed, in the client's batch and in its request)."""
_STUCK_S: Final = 2.0
_TICK_S: Final = 0.1

Recipient = Callable[[], tuple[HybridPublicKey, datetime] | None]


class NotPromised(Overloaded):
    """A 503: nothing was promised, for this cause."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.value)
        self.cause = cause


class RecordSender(Protocol):
    """The producer, as this module needs it. `runtime.kafka.clients.Producer` is one."""

    @property
    def alive(self) -> bool:
        """False when nothing that is sent now would ever be acknowledged."""

    async def rebuild(self) -> None:
        """Connect, or connect anew. Raises BrokerUnavailable."""

    async def partitions_of(self, topic: str) -> int:
        """Raises BrokerUnavailable."""

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> asyncio.Future[Any]:
        """Hand over one record; the future resolves at the broker's ack. Raises BrokerUnavailable."""


@dataclass(eq=False, slots=True)
class _Block:
    entries: list[Entry]
    size: int
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def oldest(self) -> float:
        return self.entries[0].enqueued_at

    def settle(self, cause: Cause | None) -> None:
        for entry in self.entries:
            entry.settle(cause)


@dataclass(eq=False, slots=True)
class _Lane:
    partition: int
    queue: PartitionQueue
    in_flight: list[_Block] = field(default_factory=list)
    scheduled: bool = False


class BlockPublisher:
    """Takes verified deliveries and resolves each one's own future: None once durable, else the Cause of the 503."""

    def __init__(
        self,
        sender: RecordSender,
        epochs: EpochSource,
        recipient: Recipient,
        counts: Counts,
        *,
        partitions: int,
        limits: QueueLimits,
        fail: Callable[[BaseException], None],
    ) -> None:
        """`recipient`: the key to seal to now and its end. `fail` stops the process on an unknown exception."""
        self._loop = asyncio.get_running_loop()
        self._sender = sender
        self._epochs = epochs
        self._recipient = recipient
        self._counts = counts
        self._limits = limits
        self._fail = fail
        self._partitioner = Partitioner(partitions)
        self._lanes = [_Lane(number, PartitionQueue(limits)) for number in range(partitions)]
        self._large = asyncio.Semaphore(LARGE_IN_FLIGHT)
        self.large_blocks = 0
        """Large blocks that wait or are on their way."""
        self._connected = False
        self._lost = asyncio.Event()
        self._ticking = False

    # What the receiver calls.

    def offer(self, app: str, verified: Verified) -> asyncio.Future[Cause | None]:
        """Let a delivery wait for its block. Raises NotPromised when it would not be durable in time."""
        if not self._connected:
            raise NotPromised(Cause.BROKER)
        if self._recipient() is None:
            raise NotPromised(Cause.NO_KEY)
        body = verified.body
        lane = self._lanes[self._partitioner.partition_of(app, body)]
        now = self._loop.time()
        in_flight = lane.in_flight
        if in_flight and now - in_flight[0].oldest > _STUCK_S:
            raise NotPromised(Cause.BROKER)
        waiter: asyncio.Future[Cause | None] = self._loop.create_future()
        entry = Entry(Delivery(app, time.time_ns() // 1_000_000, body), waiter, now)
        if (cause := lane.queue.refusal(entry.size, now)) is not None:
            raise NotPromised(cause)
        lane.queue.add(entry)
        if not lane.scheduled and len(in_flight) < IN_FLIGHT:
            # In the next turn of the loop: whoever else arrived in this one comes along.
            lane.scheduled = True
            self._loop.call_soon(self._launch, lane)
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(_TICK_S, self._tick)
        return waiter

    def available(self) -> bool:
        """True while the broker takes blocks in time."""
        now = self._loop.time()
        return self._connected and not any(
            block.oldest + _STUCK_S < now for lane in self._lanes for block in lane.in_flight
        )

    def oldest_age_s(self) -> float:
        """Age of the oldest delivery that waits for its block."""
        now = self._loop.time()
        return max(lane.queue.age_s(now) for lane in self._lanes)

    # The connection.

    async def run(self) -> None:
        """Keep a live producer until cancelled. Raises InvalidSettings if the topic has other partitions than we think."""
        log = get_logger()
        while True:
            await self._connect()
            self._lost.clear()
            self._connected = True
            log.info("kafka.connected")
            await self._lost.wait()
            log.warning("kafka.lost")

    async def _connect(self) -> None:
        wait_s = 0.2
        while True:
            try:
                await self._sender.rebuild()
                found = await self._sender.partitions_of(topics.RAW)
            except BrokerUnavailable:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 1.6, 2.0)
                continue
            if found != len(self._lanes):
                raise InvalidSettings(
                    f"MKC_INGEST_RAW_PARTITIONS: {topics.RAW} has {found} partitions, which is what to set"
                )
            return

    def _lose(self) -> None:
        """The producer is dead: nothing in flight will ever be acknowledged. Not promised, all of it."""
        self._connected = False
        for lane in self._lanes:
            blocks, lane.in_flight = lane.in_flight, []
            for block in blocks:
                block.settle(Cause.BROKER)
                if block.task is not None:
                    block.task.cancel()
            lane.queue.refuse_all(Cause.BROKER)
        self._lost.set()

    async def drain(self, timeout_s: float) -> bool:
        """Wait until nothing waits and nothing is in flight; False if that took longer."""
        deadline = self._loop.time() + timeout_s
        while any(lane.in_flight or len(lane.queue) for lane in self._lanes):
            if self._loop.time() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    # Blocks.

    def _launch(self, lane: _Lane) -> None:
        lane.scheduled = False
        while len(lane.in_flight) < IN_FLIGHT and len(lane.queue):
            entries = lane.queue.take(self._loop.time())
            if not entries:
                return
            block = _Block(entries, sum(entry.size for entry in entries))
            lane.in_flight.append(block)
            block.task = self._loop.create_task(self._publish(lane, block))

    async def _publish(self, lane: _Lane, block: _Block) -> None:
        cause: Cause | None = Cause.BROKER
        try:
            cause = await self._send(lane.partition, block)
        except Exception as exc:  # unknown, so not promised: the process stops rather than guess
            self._fail(exc)
            return
        finally:
            # Also when cancelled, by us or because the client gave up a record: the lane must never stay taken.
            block.settle(cause)
            if block in lane.in_flight:
                lane.in_flight.remove(block)
        if cause is None:
            self._counts.block(len(block.entries), self._loop.time() - block.oldest)
        elif cause is Cause.BROKER and self._connected and not self._sender.alive:
            self._lose()
        self._launch(lane)

    async def _send(self, partition: int, block: _Block) -> Cause | None:
        deliveries = [entry.delivery for entry in block.entries]
        if block.size <= LARGE_BYTES:
            return await self._seal_and_send(partition, deliveries, *pack(deliveries))
        self.large_blocks += 1
        try:
            async with self._large:
                packed, size = await asyncio.to_thread(pack, deliveries)
                return await self._seal_and_send(partition, deliveries, packed, size)
        finally:
            self.large_blocks -= 1

    async def _seal_and_send(
        self, partition: int, deliveries: Sequence[Delivery], packed: bytes, size: int
    ) -> Cause | None:
        facts = [(MK_COUNT, str(len(deliveries)).encode()), (MK_SIZE, str(size).encode())]
        try:
            value, headers = self._epochs.seal(topics.RAW, NO_TENANT, self._recipient(), packed, facts)
            sealed_at = time.time()
            handed = await self._sender.send(topics.RAW, value, headers=headers, partition=partition)
            taken_at = (await acknowledged(handed)).timestamp / 1000
        except TenantUnavailable:
            return Cause.NO_KEY
        except BrokerUnavailable:
            return Cause.BROKER
        except PermanentError as exc:
            # Cannot be: a block holds 1 MiB or one delivery of at most 4, and the topic takes 5. Never a 200 for it.
            get_logger().error("block.refused", exc=exc, bytes=size)
            return Cause.BROKER
        if sealed_at - taken_at > CLOCK_SLACK_S:
            # Nobody could open it, now or later: the epoch begins after the broker took the record. Never a 200 for it.
            self._fail(
                FatalError("this host's clock is more than five minutes ahead of Kafka's: set it right")
            )
            return Cause.BROKER
        return None

    def _tick(self) -> None:
        """One timer for all deadlines, running only while something waits."""
        if self._connected and not self._sender.alive:
            self._lose()
        now = self._loop.time()
        expired_before = now - self._limits.deadline_s
        busy = False
        for lane in self._lanes:
            lane.queue.expire(now)
            for block in lane.in_flight:
                if block.oldest <= expired_before:
                    # The block may still be published: it then counts as received. 503 means not promised.
                    for entry in block.entries:
                        if entry.enqueued_at > expired_before:
                            break
                        entry.settle(Cause.BROKER)
            busy = busy or bool(lane.in_flight) or len(lane.queue) > 0
        self._ticking = busy
        if busy:
            self._loop.call_later(_TICK_S, self._tick)
