"""One tenant's outbox: seals its events and sends them in order, one round at a time, and keeps what it could not send.

When its output has failed for a minute while others' succeeded, its items are set aside as `tenant_unavailable`
(DESIGN.md section 8). Must never drop an item: each ends in its record's endings.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from aiokafka.structs import RecordMetadata

from contracts.control import AccountRecord, ControlView, TenantRecord, tenant_recipient
from contracts.errors import KeyNotYetKnown, TenantUnavailable, TransientError
from contracts.sealing import NONCE_BYTES
from contracts.topics import MIB, tenant_events_topic
from router.endings import RecordEndings
from router.events import Event, EventMaker, Types, partition_of
from router.pacing import MOST_STUCK, InFlight, backoff_s
from router.requests import ErasureRequests, Kind, request_kind
from router.split.item import Item
from runtime import logging
from runtime.clock import Clock
from runtime.epochs import EpochSource
from runtime.kafka.batch import headers as written
from runtime.kafka.clients import BatchRecord, Producer, RecordTooLarge, acknowledged
from runtime.secrets import Secrets

ROUND_ITEMS: Final = 256
ROUND_BYTES: Final = 900 * 1024
ATTEMPT_S: Final = 10.0
"""A round that is not acknowledged in this time has failed as far as `tenant_unavailable` is concerned."""
LARGEST_EVENT: Final = 6 * MIB - 8 * 1024
"""Of `max.message.bytes` of a tenant's topic, less the batch's own frame."""


@dataclass(slots=True)
class Posted:
    """One item on its way to a tenant: the record and number under which it ends."""

    endings: RecordEndings
    number: int
    path: str
    account: AccountRecord
    item: Item | None = field(repr=False)
    """None once its event is made."""
    event: Event | None = field(repr=False, default=None)
    requests: Kind | None = None
    left: bool = False
    """It needs its outbox no longer: acknowledged, or set aside."""


@dataclass(slots=True)
class _Sealed:
    """What goes to one partition in one round: items and their records, in the same order."""

    items: list[Posted] = field(default_factory=list)
    records: list[BatchRecord] = field(default_factory=list, repr=False)


@dataclass(slots=True)
class OutboxParts:
    """What all outboxes work with."""

    producer: Producer
    view: ControlView
    secrets: Secrets
    epochs: EpochSource
    clock: Clock
    requests: ErasureRequests
    types: Types
    in_flight: InFlight
    unavailable_after_s: float
    on_published: Callable[[int], None]
    on_recovered: Callable[[UUID], None]
    _succeeded: dict[UUID, float] = field(default_factory=dict)

    def succeeded(self, tenant: UUID) -> None:
        """The tenant's output was acknowledged just now."""
        self._succeeded[tenant] = self.clock.monotonic()

    def others_succeed(self, tenant: UUID, since: float) -> bool:
        """True if another tenant's output was acknowledged after `since` (monotonic seconds)."""
        return any(at > since for other, at in self._succeeded.items() if other != tenant)


def _let_go(future: asyncio.Future[RecordMetadata]) -> None:
    if not future.cancelled():
        future.exception()


class Outbox:
    """One tenant's queue and its retry state; `run` sends it."""

    def __init__(self, tenant: UUID, shared: OutboxParts) -> None:
        self._tenant = tenant
        self._shared = shared
        self._queue: deque[Posted] = deque()
        self._wake = asyncio.Event()
        self._maker: EventMaker | None = None
        self._failing_since: float | None = None
        self.unavailable = False
        """Its items are set aside."""
        self._stuck = 0

    def put(self, posted: Posted) -> None:
        """Queue one item. Its event is made at once while it can be: the parsed item takes more memory, and is warm."""
        if self._maker is not None and not self._make(posted, self._maker):
            return  # It has ended.
        self._queue.append(posted)
        self._wake.set()
        if self._failing_since is not None:
            self._count_stuck()

    def _make(self, posted: Posted, maker: EventMaker) -> bool:
        """False if the item turned out to be a defect; it has ended then."""
        item = posted.item
        if item is None:
            return True
        try:
            posted.event = maker.make(item, posted.account, posted.endings.origin.received_at_ms)
            posted.requests = request_kind(item)
        except Exception as exc:  # a defect sets one item aside, the record goes on
            logging.get_logger().error("item.defective", exc=exc)
            posted.left = True
            posted.endings.set_aside(posted.number, posted.path, "defect", self._tenant)
            return False
        posted.item = None
        return True

    def _count_stuck(self) -> None:
        """While it fails, what waits here does not count against the other tenants' room."""
        waiting = len(self._queue) if self._failing_since is not None else 0
        self._shared.in_flight.stuck += waiting - self._stuck
        self._stuck = waiting
        self._shared.in_flight.moved()

    async def run(self) -> None:
        """Send rounds for as long as the process lives; an exception that is not transient stops the process."""
        attempt = 0
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            round_ = self._take()
            try:
                await self._send(round_)
            except (TransientError, TimeoutError) as exc:
                self._failed(exc, attempt)
                await asyncio.sleep(backoff_s(attempt))
                attempt += 1
            else:
                attempt = 0
                self._worked()

    def _take(self) -> list[Posted]:
        taken: list[Posted] = []
        while self._queue and len(taken) < ROUND_ITEMS:
            posted = self._queue.popleft()
            if not posted.endings.dropped:
                taken.append(posted)
        return taken

    def _failed(self, exc: BaseException, attempt: int) -> None:
        now = self._shared.clock.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if attempt in (0, 10):
            logging.get_logger().warning("tenant.unreachable", exc=exc, tenant=str(self._tenant))
        waited_s = now - self._failing_since
        since = max(self._failing_since, now - self._shared.unavailable_after_s)
        patience_ended = (
            self.unavailable
            or waited_s >= self._shared.unavailable_after_s
            # A busy tenant fills the room of the stuck before its time is up: it must not hold the raw partitions.
            or self._shared.in_flight.stuck >= MOST_STUCK
        )
        if patience_ended and self._shared.others_succeed(self._tenant, since):
            if not self.unavailable:
                logging.get_logger().error(
                    "tenant.unavailable", tenant=str(self._tenant), items=len(self._queue)
                )
            self.unavailable = True
            while self._queue:
                posted = self._queue.popleft()
                if not posted.endings.dropped:
                    posted.endings.set_aside(posted.number, posted.path, TenantUnavailable.code, self._tenant)
        self._count_stuck()

    def _worked(self) -> None:
        if self._failing_since is not None:
            self._failing_since = None
            self._count_stuck()
        self._shared.succeeded(self._tenant)
        if self.unavailable:
            self.unavailable = False
            self._shared.on_recovered(self._tenant)

    async def _send(self, taken: list[Posted]) -> None:
        """Send one round. What was not acknowledged is back at the head of the queue when this raises."""
        try:
            tenant = self._shared.view.tenants[self._tenant]
            topic, by_partition = self._seal(taken, tenant, await self._maker_for(tenant))
            for partition, sealed in by_partition.items():
                await self._send_partition(topic, partition, sealed)
        finally:
            self._queue.extendleft([posted for posted in reversed(taken) if not posted.left])

    def _seal(
        self, taken: Sequence[Posted], tenant: TenantRecord, maker: EventMaker
    ) -> tuple[str, dict[int, _Sealed]]:
        shared = self._shared
        topic = tenant_events_topic(tenant.slot)
        now = shared.clock.now()
        recipient = shared.view.sealing_key(tenant_recipient(self._tenant), now)
        now_s = now.timestamp()
        epoch = shared.epochs.current(topic, self._tenant, recipient)
        carried = written(epoch.headers)
        by_partition: dict[int, _Sealed] = {}
        size = 0
        nonces = os.urandom(NONCE_BYTES * len(taken))
        for at, posted in enumerate(taken):
            if size > ROUND_BYTES:
                break
            if posted.item is not None and not self._make(posted, maker):
                continue
            event = posted.event
            assert event is not None
            if epoch.exhausted(now_s):
                epoch = shared.epochs.current(topic, self._tenant, recipient)
                carried = written(epoch.headers)
            nonce = nonces[NONCE_BYTES * at : NONCE_BYTES * (at + 1)]
            value = epoch.seal_digested(event.plaintext, event.digest, nonce)
            if len(value) + len(event.headers) + len(carried) > LARGEST_EVENT:
                posted.left = True
                posted.endings.set_aside(posted.number, posted.path, RecordTooLarge.code, self._tenant)
                continue
            size += len(value)
            partition = partition_of(event.key, tenant.partitions)
            sealed = by_partition.get(partition)
            if sealed is None:
                sealed = by_partition[partition] = _Sealed()
            sealed.items.append(posted)
            count = event.header_count + len(epoch.headers)
            sealed.records.append((event.key, value, (event.headers, carried), count))
        return topic, by_partition

    async def _send_partition(self, topic: str, partition: int, sealed: _Sealed) -> None:
        items, records = sealed.items, sealed.records
        while items:
            async with asyncio.timeout(ATTEMPT_S):
                count, future = await self._shared.producer.send_batch(topic, partition, records)
            records = records[count:]  # The client has its own copy of what went in.
            sealed.records = records
            await self._acknowledged(future)
            self._end(items[:count])
            items = items[count:]

    async def _acknowledged(self, future: asyncio.Future[RecordMetadata]) -> None:
        # The client goes on trying by itself, and a batch given up here may still arrive: only a tenant that is
        # unavailable while others are not is given up.
        while True:
            done, _ = await asyncio.wait((future,), timeout=ATTEMPT_S)
            if done:
                await acknowledged(future)
                return
            self._failed(TimeoutError(), attempt=0)
            if self.unavailable:
                future.add_done_callback(_let_go)
                raise TimeoutError

    def _end(self, acked: Sequence[Posted]) -> None:
        numbers: list[int] = []
        endings: RecordEndings | None = None
        for posted in acked:
            posted.left = True
            kind, event = posted.requests, posted.event
            if kind is not None:
                assert event is not None
                self._shared.requests.put(
                    kind, posted.endings, posted.number, self._tenant, posted.account, event
                )
                continue
            if posted.endings is not endings:  # Those of one record mostly stand together.
                if endings is not None:
                    endings.published(numbers, self._tenant)
                endings, numbers = posted.endings, []
            numbers.append(posted.number)
        if endings is not None:
            endings.published(numbers, self._tenant)
        self._shared.on_published(len(acked))

    async def _maker_for(self, tenant: TenantRecord) -> EventMaker:
        """Raises KeyNotYetKnown or KeyServiceUnavailable for a key that was not read yet; one that was is kept."""
        if self._maker is not None and self._maker.tenant is not tenant:
            # Another state or slot of the tenant; its key never changes.
            self._maker = self._maker.renewed(tenant)
        if self._maker is None:
            key = await self._shared.secrets.get_secret(f"pseudonym-{self._tenant}")
            if len(key) != 32:
                raise KeyNotYetKnown("the pseudonym key is not complete yet")
            self._maker = EventMaker(tenant, key, self._shared.types)
        return self._maker
