"""The metrics of one process, made from `contracts.metrics`. Children are looked up once and kept (PERFORMANCE.md)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from contracts.metric_spec import MetricSpec
from contracts.metrics import METRICS
from runtime.logging import dropped_keys


class ProcessMetrics:
    """Counters, gauges and histograms of `process`; asking for another process's metric is a KeyError."""

    def __init__(self, process: str) -> None:
        self.process = process
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        self._closed: dict[str, tuple[tuple[str, ...], ...]] = {}
        for spec in METRICS:
            if spec.process in (process, "all"):
                self._make(spec)

    def _make(self, spec: MetricSpec) -> None:
        labels = tuple(spec.labels)
        self._closed[spec.name] = tuple(spec.labels.values())
        if spec.kind == "counter":
            self._counters[spec.name] = Counter(spec.name, spec.help, labels, registry=self.registry)
        elif spec.kind == "gauge":
            self._gauges[spec.name] = Gauge(spec.name, spec.help, labels, registry=self.registry)
        else:
            self._histograms[spec.name] = Histogram(
                spec.name,
                spec.help,
                labels,
                registry=self.registry,
                buckets=spec.buckets or Histogram.DEFAULT_BUCKETS,
            )

    def _check(self, spec: MetricSpec, values: tuple[str, ...]) -> None:
        for value, allowed in zip(values, self._closed[spec.name], strict=True):
            if allowed and value not in allowed:
                raise ValueError("a label value outside its declared set")

    def counter(self, spec: MetricSpec, *values: str) -> Counter:
        """The counter, or its child for these label values (in the declared order). Keep what you get."""
        metric = self._counters[spec.name]
        self._check(spec, values)
        return metric.labels(*values) if values else metric

    def gauge(self, spec: MetricSpec, *values: str) -> Gauge:
        """The gauge, or its child."""
        metric = self._gauges[spec.name]
        self._check(spec, values)
        return metric.labels(*values) if values else metric

    def histogram(self, spec: MetricSpec, *values: str) -> Histogram:
        """The histogram, or its child."""
        metric = self._histograms[spec.name]
        self._check(spec, values)
        return metric.labels(*values) if values else metric

    def exposition(self) -> bytes:
        """Prometheus' text format."""
        counter = self._counters["mk_log_keys_dropped_total"]
        missing = sum(dropped_keys.values()) - counter._value.get()
        if missing > 0:
            counter.inc(missing)
        return generate_latest(self.registry)


def observe_many(histogram: Histogram, amounts: Sequence[float]) -> None:
    """`histogram.observe` for each, at a tenth of its price: a lock for each bucket touched, not for each amount."""
    bounds = histogram._upper_bounds
    for at, count in Tally([bisect_left(bounds, amount) for amount in amounts]).items():
        histogram._buckets[at].inc(count)
    histogram._sum.inc(sum(amounts))
