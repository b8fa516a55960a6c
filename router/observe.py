"""The router's metrics: children looked up once, incremented per record. Never labels with an id."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Counter

from contracts import metrics as declared
from contracts.ledger import Refusal
from router.endings import RecordEndings
from router.partition import RawPartition
from router.split.item import Item
from router.split.requests import unknown_label
from runtime.clock import Clock
from runtime.metrics import ProcessMetrics


class Observer:
    """Counts what the parts report."""

    def __init__(self, metrics: ProcessMetrics, clock: Clock) -> None:
        self._clock = clock
        self._blocks = metrics.counter(declared.ROUTER_BLOCKS)
        self._deliveries = metrics.counter(declared.ROUTER_DELIVERIES)
        self._events = metrics.counter(declared.ROUTER_EVENTS)
        self._seconds = metrics.histogram(declared.ROUTER_SECONDS)
        self._oldest = metrics.gauge(declared.ROUTER_OLDEST)
        self._lag = metrics.gauge(declared.ROUTER_LAG)
        self._paused = metrics.gauge(declared.ROUTER_PAUSED)
        self._quarantined: dict[str, Counter] = {
            reason: metrics.counter(declared.ROUTER_QUARANTINED, reason)
            for reason in declared.QUARANTINE_REASONS
        }
        self._refused: dict[str, Counter] = {
            reason.value: metrics.counter(declared.ROUTER_REFUSED, reason.value) for reason in Refusal
        }
        self._unknown: dict[tuple[str, str], Counter] = {}
        self._metrics = metrics
        self._requests = {
            kind: metrics.counter(declared.ROUTER_REQUESTS, kind) for kind in ("message", "account")
        }

    def events_published(self, count: int) -> None:
        """So many events were acknowledged."""
        self._events.inc(count)

    def unknown_routed(self, item: Item) -> None:
        """An item whose kind has no type of its own: a new field of Meta's shows the day it arrives."""
        label = unknown_label(item)
        counter = self._unknown.get(label)
        if counter is None:
            counter = self._unknown[label] = self._metrics.counter(declared.ROUTER_UNKNOWN, *label)
        counter.inc()

    def request_written(self, kind: str) -> None:
        """A deletion event was acknowledged."""
        self._requests[kind].inc()

    def record_finished(self, endings: RecordEndings) -> None:
        """A raw record has its ledger line."""
        self._blocks.inc()
        self._deliveries.inc(endings.deliveries)
        for counts in endings.tenants.values():
            for reason, count in counts.quarantined.items():
                self._quarantined[reason].inc(count)
            for reason, count in counts.refused.items():
                self._refused[reason].inc(count)
        if endings.events:
            age_s = self._clock.now().timestamp() - endings.record.timestamp_ms / 1000
            self._seconds.observe(max(0.0, age_s))

    def look_at(self, partitions: Iterable[RawPartition]) -> None:
        """Set the gauges that are computed."""
        now_ms = self._clock.now().timestamp() * 1000
        lag = paused = 0
        oldest_ms = now_ms
        for partition in partitions:
            lag += len(partition.queue) + len(partition.begun)
            paused += partition.paused or partition.underway.held
            if partition.oldest_ms is not None:
                oldest_ms = min(oldest_ms, partition.oldest_ms)
        self._lag.set(lag)
        self._paused.set(paused)
        self._oldest.set(max(0.0, (now_ms - oldest_ms) / 1000))
