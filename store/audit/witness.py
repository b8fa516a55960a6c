"""What receipts say of the audit log's tree: each names an anchored head, and stands on the outcomes topic.

That is a second place outside the database: a log that was put back together with an emptied checkpoints topic is found
by it. Reads only, from the end of the topic back to the newest receipt of each partition.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from aiokafka.structs import ConsumerRecord
from pydantic import ValidationError

from contracts.errors import TamperedRecord
from contracts.outcomes import decode
from contracts.receipts import SignedReceipt
from contracts.signing import SignerLookup
from runtime.kafka.topic_log import TopicLog

_BACK: Final = 64


@dataclass(frozen=True, slots=True)
class Witness:
    """A head that was anchored by `at_ms` (Unix milliseconds): hex of its root."""

    tree_size: int
    root: str
    at_ms: int


async def newest_witness(outcomes: TopicLog, signers: SignerLookup) -> Witness | None:
    """The largest tree among each partition's newest receipts; None while nothing was answered. Raises BrokerUnavailable."""
    bounds, newest = await outcomes.bounds(), list[Witness]()
    for partition, (first, end) in bounds.partitions.items():
        upper, back = end, _BACK
        found = list[Witness]()
        while not found and upper > first:
            lower = max(first, upper - back)
            async with aclosing(outcomes.read(partition, lower, upper)) as records:
                found = [seen async for record in records if (seen := _seen(record, signers)) is not None]
            upper, back = lower, back * 8
        newest += found
    return max(newest, key=lambda one: one.tree_size, default=None)


def _seen(record: ConsumerRecord, signers: SignerLookup) -> Witness | None:
    try:
        outcome = decode(record.key or b"", record.value or b"", tuple(record.headers), signers)
        if outcome.receipt is None:
            return None
        receipt = SignedReceipt.model_validate_json(outcome.receipt).receipt
    except (TamperedRecord, ValidationError):  # what erasure did not say is no witness
        return None
    return Witness(receipt.audit.tree_size, receipt.audit.root, receipt.issued_at_ms)
