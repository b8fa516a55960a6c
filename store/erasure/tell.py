"""Says on Kafka what was done: outcomes, fences, `subject.erased` on every partition. Returns after every acknowledgement.

Saying it again says the same: keys, ids and values are made from the row. Must never say a state that the row has not.
"""

from __future__ import annotations

from contracts import fences, outcomes, topics
from contracts.control import tenant_recipient
from contracts.errors import TenantUnavailable
from contracts.fences import Fence
from contracts.outcomes import Outcome
from contracts.subject_erased import SubjectErased, announcement
from runtime.kafka.clients import acknowledged
from store.erasure.tenants import TenantSchema
from store.erasure.tools import Tools


async def tell_outcomes(tools: Tools, told: list[Outcome]) -> None:
    """One record each. Raises BrokerUnavailable."""
    sent = []
    for outcome in told:
        key, value, headers = outcomes.encode(outcome, tools.signer)
        sent.append(await tools.producer.send(topics.ERASURE_OUTCOMES, value, key=key, headers=headers))
    for future in sent:
        await acknowledged(future)


async def append_fences(tools: Tools, appended: list[Fence]) -> None:
    """One record each, under its tenant. Raises BrokerUnavailable."""
    sent = []
    for fence in appended:
        key, value, headers = fences.encode(fence, tools.signer)
        sent.append(await tools.producer.send(topics.ERASURE_FENCES, value, key=key, headers=headers))
    for future in sent:
        await acknowledged(future)


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
