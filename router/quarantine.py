"""The quarantine record of one raw record: its sealed bytes as they were, with signed facts of what is bad and why. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

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

LARGEST_LIST: Final = 256 * 1024
"""Bytes of `q_items`: with the largest block it must fit the quarantine topic, and the raw topic when it is put back."""


def delivery_of(path: str) -> str:
    """The delivery that an item's path lies in."""
    return path.partition(".")[0]


def quarantine_record(
    record: RawRecord, origin: Origin, bad: Sequence[tuple[str, str]], signer: Signer
) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key (`topic:partition:offset` of the source), value and headers. `bad`: (item path, reason)."""
    facts = {
        Q_TOPIC: record.topic.encode(),
        Q_PARTITION: b"%d" % record.partition,
        Q_OFFSET: b"%d" % record.offset,
        Q_RECEIVED_AT: b"%d" % origin.received_at_ms,
        Q_ITEMS: _listed(bad),
        Q_REPLAY: b"%d" % origin.replay,
    }
    key = f"{record.topic}:{record.partition}:{record.offset}".encode()
    return key, record.value, add_q_facts(record.value, record.headers, facts, signer)


def _listed(bad: Sequence[tuple[str, str]]) -> bytes:
    """The items; where there are too many to name, the deliveries they lie in, once for each reason.

    Two million bad entries fit one body: a record that no topic takes would stop every router that reads it.
    """
    named = orjson.dumps(bad)
    if len(named) <= LARGEST_LIST:
        return named
    return orjson.dumps(list(dict.fromkeys((delivery_of(path), reason) for path, reason in bad)))
