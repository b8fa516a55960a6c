"""What the receiver counts: plain numbers on the hot path, carried over into the metrics when they are scraped."""

from __future__ import annotations

from collections import Counter as Tally

from contracts import metrics
from runtime.metrics import ProcessMetrics


class Counts:
    """Counts of one receiver. Incrementing a number costs a tenth of incrementing a metric (PERFORMANCE.md)."""

    def __init__(self, process: ProcessMetrics) -> None:
        self._process = process
        self._blocks = process.counter(metrics.INGEST_BLOCKS)
        self._block_deliveries = process.histogram(metrics.INGEST_BLOCK_DELIVERIES)
        self._ack_seconds = process.histogram(metrics.INGEST_ACK_SECONDS)
        self.accepted: Tally[str] = Tally()
        """Durable deliveries by app."""
        self.verified: Tally[tuple[str, str]] = Tally()
        """Verified deliveries by app and the id of the secret that matched."""
        self.rejected: Tally[str] = Tally()
        """Refusals by code; codes are of the declared set."""
        self.handshakes: Tally[str] = Tally()
        self.callbacks: Tally[tuple[str, str]] = Tally()
        """Callbacks by kind and by result: `accepted` or the code of the refusal."""

    def block(self, deliveries: int, oldest_s: float) -> None:
        """One acknowledged block; `oldest_s`: how long its oldest delivery waited for the acknowledgement."""
        self._blocks.inc()
        self._block_deliveries.observe(deliveries)
        self._ack_seconds.observe(oldest_s)

    def carry_over(self) -> None:
        """Move what was counted since the last call into the metrics."""
        process = self._process
        accepted, self.accepted = self.accepted, Tally()
        verified, self.verified = self.verified, Tally()
        rejected, self.rejected = self.rejected, Tally()
        handshakes, self.handshakes = self.handshakes, Tally()
        callbacks, self.callbacks = self.callbacks, Tally()
        for app, number in accepted.items():
            process.counter(metrics.INGEST_ACCEPTED, app).inc(number)
        for (app, secret_id), number in verified.items():
            process.counter(metrics.INGEST_SECRET_USED, app, secret_id).inc(number)
        for code, number in rejected.items():
            process.counter(metrics.INGEST_REJECTED, code).inc(number)
        for result, number in handshakes.items():
            process.counter(metrics.INGEST_HANDSHAKES, result).inc(number)
        for (kind, result), number in callbacks.items():
            process.counter(metrics.INGEST_CALLBACKS, kind, result).inc(number)
