"""Reads `mk.control.v1` from its start and then live, into a `ControlView`; knows when the view is up to date."""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Callable
from types import TracebackType

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts import topics
from contracts.control import ControlRecord, ControlView
from contracts.errors import PermanentError, broker_error
from contracts.metrics import CONTROL_APPLIED, CONTROL_REFUSED
from runtime import logging
from runtime.kafka.clients import consumer
from runtime.lifecycle import Supervisor
from runtime.metrics import ProcessMetrics

_PARTITION = TopicPartition(topics.CONTROL, 0)
REQUEST_INTERVAL_S = 1.0
"""At most one end-offset request in this time; it serves all that wait."""
FETCH_WAIT_MS = 100
"""The end-offset request waits behind an empty fetch: an item that waits for control must not wait for that too."""
Listener = Callable[[ControlRecord], None]


class ControlReader:
    """Owns the view of one process. `start` returns when everything written before it is applied."""

    def __init__(
        self,
        bootstrap: str,
        client_id: str,
        view: ControlView,
        metrics: ProcessMetrics | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.view = view
        self.listeners: list[Listener] = []
        """Called after each applied record that is not a removal."""
        self.refusals: list[Callable[[bytes], None]] = []
        """Called with the key of each record that was refused: compaction will keep that one, and drop what it displaced."""
        self.current_as_of = -math.inf
        """The view holds everything up to an end offset that was requested at this monotonic second."""
        self._bootstrap, self._client_id, self._tls = bootstrap, client_id, tls
        self._metrics = metrics
        self._consumer: AIOKafkaConsumer | None = None
        self._applied = 0
        self._moved = asyncio.Condition()
        self._pending: asyncio.Task[None] | None = None
        self._last_request = -REQUEST_INTERVAL_S
        self._task: asyncio.Task[None] | None = None

    async def start(self, supervisor: Supervisor | None = None) -> None:
        """Connect, read to the present end, then follow. Raises BrokerUnavailable."""
        self._consumer = consumer(
            self._bootstrap, self._client_id, group=None, tls=self._tls, fetch_max_wait_ms=FETCH_WAIT_MS
        )
        try:
            await self._consumer.start()
            self._consumer.assign([_PARTITION])
            beginning = await self._consumer.beginning_offsets([_PARTITION])
            self._consumer.seek(_PARTITION, beginning[_PARTITION])
            self._applied = beginning[_PARTITION]
        except KafkaError as exc:
            await self._consumer.stop()
            raise broker_error(exc, "control cannot be read") from exc
        follow = self._follow()
        self._task = supervisor.start("control", follow) if supervisor else asyncio.create_task(follow)
        await self.catch_up()

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    async def __aenter__(self) -> ControlReader:
        try:
            await self.start()
        except BaseException:
            # Connected and not caught up in time: nobody else would ever close it.
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def catch_up(self, timeout_s: float = 5.0) -> None:
        """Return when the view holds everything up to an end offset *requested after this call*.

        At most one request a second; all that wait share it (DESIGN.md section 4.5). Raises BrokerUnavailable after
        `timeout_s`.
        """
        if self._pending is None:
            self._pending = asyncio.create_task(self._reach_end())
        try:
            await asyncio.wait_for(asyncio.shield(self._pending), timeout_s)
        except (TimeoutError, KafkaError) as exc:
            raise broker_error(exc, "control cannot be read to its end") from exc

    async def _reach_end(self) -> None:
        assert self._consumer is not None
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._last_request + REQUEST_INTERVAL_S - loop.time()))
        self._last_request = loop.time()
        self._pending = None  # whoever calls from here on came after this request: it may be too old for them
        requested_at = time.monotonic()
        end = (await self._consumer.end_offsets([_PARTITION]))[_PARTITION]
        async with self._moved:
            await self._moved.wait_for(lambda: self._applied >= end)
        self.current_as_of = max(self.current_as_of, requested_at)

    async def _follow(self) -> None:
        assert self._consumer is not None
        log = logging.get_logger()
        while True:
            try:
                batches = await self._consumer.getmany(_PARTITION, timeout_ms=500)
                position = await self._consumer.position(_PARTITION)
            except KafkaError as exc:
                log.warning("control.unreadable", exc=exc)
                await asyncio.sleep(0.5)
                continue
            for record in batches.get(_PARTITION, ()):
                self._apply(record.key or b"", record.value, tuple(record.headers), record.offset)
            async with self._moved:
                self._applied = position
                self._moved.notify_all()

    def _apply(
        self, key: bytes, value: bytes | None, headers: tuple[tuple[str, bytes], ...], offset: int
    ) -> None:
        try:
            applied = self.view.apply(key, value, headers)
        except PermanentError as exc:
            logging.get_logger().error("control.refused", exc=exc, offset=offset)
            if self._metrics is not None:
                self._metrics.counter(CONTROL_REFUSED).inc()
            for refused in self.refusals:
                refused(key)
            return
        if self._metrics is not None:
            self._metrics.counter(CONTROL_APPLIED).inc()
        if applied is not None:
            for listener in self.listeners:
                listener(applied)
