"""Sets a tenant's record aside: original sealing, signed facts, durable acknowledgement. PRIVACY.md section 2.

Must never open what it sets aside, and never return before the broker has acknowledged.
"""

from __future__ import annotations

from typing import Final

import orjson

from contracts import headers as h
from contracts.errors import TransientError
from contracts.metrics import STORE_QUARANTINED
from contracts.signing import Signer
from contracts.topics import QUARANTINE_TENANT
from runtime import logging
from runtime.clock import Clock
from runtime.kafka.clients import Producer, acknowledged
from runtime.metrics import ProcessMetrics
from store.lanes.opening import Opened, TenantRecord

_WHOLE_RECORD: Final = ""
MOST_PER_MINUTE: Final = 1_000
"""Records of one partition; more than anyone could look at: the lane pauses and pages, it never drops."""


class QuarantineTooFast(TransientError):
    """A partition's quarantine grows too fast: its lane waits."""

    code = "quarantine_too_fast"


class Quarantine:
    """The way onto `mk.quarantine.tenant.v1`."""

    def __init__(self, producer: Producer, signer: Signer, metrics: ProcessMetrics, clock: Clock) -> None:
        self._producer = producer
        self._signer = signer
        self._metrics = metrics
        self._clock = clock
        self._minutes: dict[tuple[str, int], tuple[float, int]] = {}

    async def set_aside(self, record: TenantRecord, opened: Opened) -> None:
        """Returns when it is durable. Raises BrokerUnavailable or QuarantineTooFast."""
        self._count(record)
        reason = opened.reason
        assert reason is not None
        facts = {
            h.Q_TOPIC: record.topic.encode(),
            h.Q_PARTITION: str(record.partition).encode(),
            h.Q_OFFSET: str(record.offset).encode(),
            h.Q_RECEIVED_AT: str(record.timestamp).encode(),
            h.Q_REPLAY: b"0",
        }
        # A replayed record keeps its first source and its count: it is the same record, not a new one.
        facts.update((name, content) for name, content in opened.facts.items() if name in facts)
        facts[h.Q_ITEMS] = orjson.dumps([[_WHOLE_RECORD, reason]])
        value = record.value or b""
        headers = h.add_q_facts(value, record.headers, facts, self._signer)
        source = b":".join((facts[h.Q_TOPIC], facts[h.Q_PARTITION], facts[h.Q_OFFSET]))
        await acknowledged(await self._producer.send(QUARANTINE_TENANT, value, key=source, headers=headers))
        self._metrics.counter(STORE_QUARANTINED, reason).inc()
        logging.get_logger().warning(
            "record.quarantined",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=reason,
        )

    def _count(self, record: TenantRecord) -> None:
        now_s = self._clock.monotonic()
        partition = (record.topic, record.partition)
        since_s, count = self._minutes.get(partition, (now_s, 0))
        if now_s - since_s >= 60:
            since_s, count = now_s, 0
        if count >= MOST_PER_MINUTE:
            raise QuarantineTooFast("a partition's quarantine grows too fast")
        self._minutes[partition] = (since_s, count + 1)
