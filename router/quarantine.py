"""The quarantine record of one raw record: its sealed bytes as they were, with signed facts of what is bad and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from contracts.headers import (
    Q_ITEMS,
    Q_OFFSET,
    Q_PARTITION,
    Q_RECEIVED_AT,
    Q_REPLAY,
    Q_TOPIC,
    add_q_facts,
)
from contracts.signing import Signer
from router.open import Origin, RawRecord


def quarantine_record(
    record: RawRecord, origin: Origin, bad: Sequence[tuple[str, str]], signer: Signer
) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key (`topic:partition:offset` of the source), value and headers. `bad`: (item path, reason)."""
    facts = {
        Q_TOPIC: record.topic.encode(),
        Q_PARTITION: b"%d" % record.partition,
        Q_OFFSET: b"%d" % record.offset,
        Q_RECEIVED_AT: b"%d" % origin.received_at_ms,
        Q_ITEMS: orjson.dumps([list(pair) for pair in bad]),
        Q_REPLAY: b"%d" % origin.replay,
    }
    key = f"{record.topic}:{record.partition}:{record.offset}".encode()
    return key, record.value, add_q_facts(record.value, record.headers, facts, signer)
