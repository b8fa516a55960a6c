"""Says on Kafka what was done: outcomes, fences, `subject.erased` on every partition. Returns after every acknowledgement.

Saying it again says the same: keys, ids and values are made from the row. Must never say a state that the row has not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aiokafka.structs import RecordMetadata

from contracts import fences, outcomes, topics
from contracts.control import tenant_recipient
from contracts.erasure_metrics import ERASURE_CLOCK_BOUND, ERASURE_CLOCK_DIFFERENCE
from contracts.errors import TenantUnavailable
from contracts.fences import Fence
from contracts.outcomes import Outcome
from contracts.signing import Signer
from contracts.subject_erased import SubjectErased, announcement
from runtime.kafka.clients import Producer, acknowledged
from store.erasure.equipment import Tools
from store.erasure.jobs import database_time
from store.erasure.tenants import TenantSchema

_LONGEST_FENCE: Final = 900_000
"""Bytes; the topic takes 1 MiB. Only ids of undated rows and refs can be so many."""
_IDS_IN_A_PART: Final = 12_000
"""Of undated rows, and as many refs."""


async def tell_outcomes(tools: Tools, told: list[Outcome]) -> list[RecordMetadata]:
    """One record each, and what the broker said of each. Raises BrokerUnavailable."""
    sent = []
    for outcome in told:
        key, value, headers = outcomes.encode(outcome, tools.signer)
        sent.append(await tools.producer.send(topics.ERASURE_OUTCOMES, value, key=key, headers=headers))
    return [await acknowledged(future) for future in sent]


async def measure_clocks(tools: Tools, outcome: Outcome) -> None:
    """Tell an outcome, and how far database and broker are apart by it. Raises BrokerUnavailable or DatabaseUnavailable."""
    await tools.producer.partitions_of(
        topics.ERASURE_OUTCOMES
    )  # a first look at the topic is no part of the round trip
    before = await database_time(tools.connection)
    (told,) = await tell_outcomes(tools, [outcome])
    after = await database_time(tools.connection)
    seen = tools.clocks.hear(before, told, after, tools.clock.monotonic())
    if seen is not None:
        tools.metrics.gauge(ERASURE_CLOCK_DIFFERENCE).set((seen.low + seen.high).total_seconds() / 2)
        tools.metrics.gauge(ERASURE_CLOCK_BOUND).set(seen.uncertainty.total_seconds() / 2)


async def append_fences(producer: Producer, signer: Signer, records: list[bytes]) -> None:
    """The records that are kept, signed now, under their tenant; one of very many ids in parts. Raises BrokerUnavailable.

    A kept record may be of a signing key that is not believed any more: every store believes the present one.
    """
    sent = []
    for record in records:
        for key, value, headers in _parts(signer, record):
            sent.append(await producer.send(topics.ERASURE_FENCES, value, key=key, headers=headers))
    for future in sent:
        await acknowledged(future)


def _parts(signer: Signer, record: bytes) -> Iterator[tuple[bytes, bytes, list[tuple[str, bytes]]]]:
    key, value, headers = fences.signed_again(record, signer)
    if len(value) <= _LONGEST_FENCE:
        yield key, value, headers
        return
    fence = Fence.model_validate_json(value)
    # One at least: it may be long of names alone.
    for first in range(0, max(1, len(fence.undated), len(fence.refs)), _IDS_IN_A_PART):
        end = first + _IDS_IN_A_PART
        part = fence.model_copy(update={"undated": fence.undated[first:end], "refs": fence.refs[first:end]})
        yield fences.encode(part, signer)


def notice_of(fence: Fence) -> SubjectErased:
    """What readers are told of an erased subject: all that its fence says, without counts."""
    assert fence.watermark_s is not None
    return SubjectErased(
        request=fence.request,
        tenant=fence.tenant,
        pseudonyms=tuple(sorted(fence.pseudonyms)),
        watermark_s=fence.watermark_s,
        # Rounded up: what was received in the same millisecond was received no later than the execution.
        executed_at_ms=-(-fence.executed_at_us // 1000),
    )


async def announce(tools: Tools, tenant: TenantSchema, erased: list[SubjectErased]) -> None:
    """Each on every partition of the tenant's topic, sealed to the tenant; key is the request id.

    Raises TenantUnavailable without a key to seal to, BrokerUnavailable.
    """
    if tenant.slot is None:
        raise TenantUnavailable("the tenant has no topic")
    topic = topics.tenant_events_topic(tenant.slot)
    recipient = tools.view.sealing_key(tenant_recipient(tenant.tenant), tools.clock.now())
    sent = []
    for one in erased:
        key, headers, plaintext = announcement(one)
        for partition in range(tenant.partitions):
            value, sealed = tools.epochs.seal(topic, tenant.tenant, recipient, plaintext, headers)
            sent.append(await tools.producer.send(topic, value, key=key, headers=sealed, partition=partition))
    for future in sent:
        await acknowledged(future)
