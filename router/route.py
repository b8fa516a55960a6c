"""Routes one raw record: opens it, splits it, finds each item's tenant and hands it on. Every item ends exactly once.

An exception in one item's code sets that item aside as `defect` (type and frames only) and its neighbours go on; an
exception anywhere else stops the process without committing. Must never commit: see `router.consume`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from contracts.block import Delivery
from contracts.control import ControlView
from contracts.errors import (
    KeyNotYetKnown,
    PermanentError,
    ReplayLimit,
    TamperedRecord,
    TimeOutOfRange,
    TransientError,
)
from contracts.events.registry import UNKNOWN
from contracts.sealing import RecordOpener
from router.endings import RecordEndings
from router.open import REPLAYS_ALLOWED, Origin, RawRecord, SignerNotYetKnown, Signers, open_block, origin_of
from router.outbox import Posted
from router.pacing import InFlight, backoff_s
from router.resolve import Destination, Refused, Resolution, Resolver
from router.split.item import AccountKey, BadItem, Item
from router.time_guard import TimeGuard
from runtime import logging
from runtime.clock import Clock

BREATH_ITEMS: Final = 128
"""After so many items the event loop gets its turn: heartbeats and acknowledgements wait behind a large block."""

AT_ONCE_BYTES: Final = 256 * 1024
"""A larger body is split beside the event loop: 4 MiB of empty entries take longer than Kafka waits for a heartbeat."""

Splitter = Callable[[bytes], Sequence[Item | BadItem]]


class Control(Protocol):
    """The control plane as the router follows it."""

    view: ControlView
    current_as_of: float
    """The view holds everything up to an end offset that was requested at this monotonic second."""

    async def catch_up(self, timeout_s: float = 5.0) -> None:
        """Return when the view holds everything up to an end offset requested after this call."""


class Post(Protocol):
    """Where routed items go."""

    def put(self, tenant: Any, posted: Posted) -> None:
        """Queue one item for a tenant."""


@dataclass(slots=True)
class Deferred:
    """An item whose answer control may still change."""

    number: int
    path: str
    app: str
    item: Item = field(repr=False)


@dataclass(slots=True)
class Underway:
    """What one raw partition has under way, shared with whoever shows it, waits for it or drops it."""

    held: bool = False
    """It waits: for a key, or because far too many items have an impossible time."""
    accounts: Counter[AccountKey] = field(default_factory=Counter)
    """Accounts with deferred items: later items of theirs queue behind, so their order holds."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    endings: dict[int, RecordEndings] = field(default_factory=dict)
    """By offset, from the moment a record has items until it is finished."""


def selected(path: str, only: Sequence[tuple[str, str]] | None) -> bool:
    """Whether a replay routes this item: it is listed, or inside a listed part, or around one."""
    if only is None:
        return True
    return any(_within(path, listed) or _within(listed, path) for listed, _ in only)


def _within(path: str, outer: str) -> bool:
    return outer == "" or path == outer or (path.startswith(outer) and path[len(outer)] in ".[")


class RecordRouter:
    """Routes records of any raw partition."""

    def __init__(
        self,
        *,
        control: Control,
        opener: RecordOpener,
        signers: Signers,
        reload_keys: Callable[[], Awaitable[None]],
        split: Splitter,
        scope_of: Callable[[Item], str],
        routing_key: Callable[[], bytes],
        outboxes: Post,
        clock: Clock,
        start: Callable[[str, Coroutine[Any, Any, None]], asyncio.Task[None]],
        in_flight: InFlight,
        on_complete: Callable[[RecordEndings], None],
        on_unknown: Callable[[Item], None] = lambda _item: None,
    ) -> None:
        self._on_unknown = on_unknown
        self._guard = TimeGuard()
        self._in_flight = in_flight
        self._control, self._opener, self._signers, self._reload_keys = control, opener, signers, reload_keys
        self._split = split
        self._resolver = Resolver(control.view, scope_of, routing_key)
        self._outboxes, self._clock, self._start, self._on_complete = outboxes, clock, start, on_complete

    async def route(self, record: RawRecord, underway: Underway) -> None:
        """Take the record up; its endings complete later. Waits while a key or signer is not known yet."""
        await self._reasonable_times(underway)
        origin = Origin(record.timestamp_ms)
        try:
            origin = await self._patiently(lambda: origin_of(record, self._signers), underway)
            if origin.replay > REPLAYS_ALLOWED:
                raise ReplayLimit("replayed too often")
            deliveries = await self._patiently(
                lambda: open_block(
                    record, origin, self._opener, self._signers, self._clock.now().timestamp()
                ),
                underway,
            )
        except PermanentError as exc:
            self._unopened(record, origin, exc, underway)
            return
        endings = underway.endings[record.offset] = RecordEndings(
            record, origin, self._in_flight, self._on_complete
        )
        endings.deliveries = len(deliveries)
        endings.opened_bytes = sum([len(delivery.body) for delivery in deliveries])
        self._in_flight.opened(endings.opened_bytes)
        deferred = await self._items(endings, deliveries, underway)
        if deferred:
            self._defer(endings, deferred, underway)
        endings.close()

    async def _reasonable_times(self, underway: Underway) -> None:
        while (left_s := self._guard.held_s(self._clock.monotonic())) > 0:
            if not underway.held:
                logging.get_logger().error(
                    "times.implausible", wait_s=round(left_s), count=self._guard.tripped
                )
            underway.held = True
            await asyncio.sleep(min(left_s, 1.0))
        underway.held = False

    def _unopened(self, record: RawRecord, origin: Origin, exc: PermanentError, underway: Underway) -> None:
        """A block that cannot be opened is one item; of a replay, the items it was to route."""
        endings = underway.endings[record.offset] = RecordEndings(
            record, origin, self._in_flight, self._on_complete
        )
        logging.get_logger().error(
            "block.refused", exc=exc, topic=record.topic, partition=record.partition, offset=record.offset
        )
        for path, _ in origin.only or (("", ""),):
            endings.set_aside(endings.begin(), path, exc.code)
        endings.close()

    async def _patiently(self, attempt_once: Callable[[], Any], underway: Underway) -> Any:
        """Repeat until it succeeds or fails for good. A signer unknown after a catch-up is tampering."""
        attempt = 0
        caught_up = False
        while True:
            try:
                result = attempt_once()
            except SignerNotYetKnown:
                if caught_up:
                    raise TamperedRecord("sealed by nobody we know") from None
                await self._catch_up()
                caught_up = True
            except KeyNotYetKnown as exc:
                await self._reload()
                if attempt > 0:
                    underway.held = True
                    if attempt == 1:
                        logging.get_logger().error("key.missing", exc=exc)
                    await asyncio.sleep(backoff_s(attempt))
                attempt += 1
            else:
                underway.held = False
                return result

    async def _reload(self) -> None:
        try:
            await self._reload_keys()
        except TransientError as exc:  # what is held goes on; what lacks is asked for again
            logging.get_logger().warning("keys.waiting", exc=exc)

    async def _catch_up(self) -> None:
        attempt = 0
        while True:
            try:
                await self._control.catch_up()
                return
            except TransientError as exc:
                if attempt == 0:
                    logging.get_logger().warning("control.waiting", exc=exc)
                await asyncio.sleep(backoff_s(attempt))
                attempt += 1

    async def _items(
        self, endings: RecordEndings, deliveries: Sequence[Delivery], underway: Underway
    ) -> list[Deferred]:
        deferred: list[Deferred] = []
        only = endings.origin.only
        accounts = underway.accounts
        routed = breath = 0
        for position, delivery in enumerate(deliveries):
            prefix = f"deliveries[{position}]"
            app, body = delivery.app, delivery.body
            parts = self._parts(body) if len(body) <= AT_ONCE_BYTES else await self._parts_aside(body)
            for found in parts:
                path = f"{prefix}.{found.path}" if found.path else prefix
                if only is not None and not selected(path, only):
                    continue
                routed += 1
                if routed - breath >= BREATH_ITEMS:
                    breath = routed
                    await asyncio.sleep(0)
                number = endings.begin()
                if isinstance(found, BadItem):
                    endings.set_aside(number, path, found.reason)
                    if found.frames:
                        logging.get_logger().error("item.defective", frames=list(found.frames))
                    continue
                if not (accounts and found.account in accounts):
                    resolution = self._resolve(found, app, endings)
                    if (
                        isinstance(resolution, Destination)
                        or resolution is None
                        or resolution.settled
                        # Or strangers, each of whom waits for control, would fill the room of everybody.
                        or endings.record.fetched_at <= self._control.current_as_of
                    ):
                        self._end(number, path, found, resolution, endings)
                        continue
                deferred.append(Deferred(number, path, app, found))
                if found.account is not None:
                    # At once: control may be applied while we breathe, and the account's next item must not overtake.
                    accounts[found.account] += 1
        if only is not None and routed == 0:
            # What was to be replayed is not there any more: it must still end.
            for path, _ in only:
                endings.set_aside(endings.begin(), path, "contract_violation")
        return deferred

    async def _parts_aside(self, body: bytes) -> Sequence[Item | BadItem]:
        return await asyncio.to_thread(self._parts, body)

    def _parts(self, body: bytes) -> Sequence[Item | BadItem]:
        try:
            parts = self._split(body)
        except Exception as exc:  # a defect sets one body aside, the record goes on
            return (BadItem("", "defect", None, (type(exc).__name__, *logging.frames_of(exc))),)
        # A delivery in which nothing was found is evidence too.
        return parts or (BadItem("", "contract_violation"),)

    def _resolve(self, item: Item, app: str, endings: RecordEndings) -> Resolution | None:
        """None: a defect, logged."""
        try:
            return self._resolver.resolve(item, app, endings.origin.received_at_ms)
        except Exception as exc:  # a defect sets one item aside
            logging.get_logger().error("item.defective", exc=exc)
            return None

    def _end(
        self, number: int, path: str, item: Item, resolution: Resolution | None, endings: RecordEndings
    ) -> None:
        if resolution is None:
            endings.set_aside(number, path, "defect")
        elif isinstance(resolution, Destination):
            self._guard.inside()
            if item.event_type == UNKNOWN:
                self._on_unknown(item)
            self._outboxes.put(
                resolution.tenant.tenant, Posted(endings, number, path, resolution.account, item)
            )
        elif isinstance(resolution, Refused):
            endings.refused(number, resolution.reason, resolution.tenant)
        else:
            if resolution.reason == TimeOutOfRange.code and resolution.tenant is not None:
                self._guard.outside(resolution.tenant)
            endings.set_aside(number, path, resolution.reason, resolution.tenant)

    def _defer(self, endings: RecordEndings, deferred: list[Deferred], underway: Underway) -> None:
        accounts = [one.item.account for one in deferred if one.item.account is not None]

        async def settle() -> None:
            await self._catch_up()
            for one in deferred:
                resolution = self._resolve(one.item, one.app, endings)
                self._end(one.number, one.path, one.item, resolution, endings)
            underway.accounts.subtract(accounts)
            underway.accounts += Counter()  # keeps only those above zero

        task = self._start("settle", settle())
        underway.tasks.add(task)
        task.add_done_callback(underway.tasks.discard)
