"""After the executor: fences, announcements, and whether every lane of the tenant has passed. The same for all kinds.

`live_erased` is never said while a lane may still judge a record that was on the topic at the fence: a paused or
withdrawn tenant's request waits and shows; a slot that was removed for good counts as passed (PRIVACY.md section 3).
"""

from __future__ import annotations

from contracts.erasure_metrics import ERASURE_FENCES, ERASURE_READERS
from contracts.errors import TransientError
from contracts.topics import tenant_events_topic
from store.audit.log import AuditEntry, What, append
from store.erasure.equipment import Step, Tools
from store.erasure.jobs import Job, set_live_erased
from store.erasure.steps import (
    ErasureStep,
    note_waits,
    set_announced,
    set_fenced,
    steps_of,
    still_behind,
    waits_of,
)
from store.erasure.telling import tell
from store.erasure.telling.told_readers import note_readers
from store.erasure.tenants import TenantSchema, inside, leave


class LanesBehind(TransientError):
    """A lane of the tenant has not passed the end that was seen after the fence."""

    code = "lanes_behind"


async def finish(tools: Tools, job: Job, tenant: TenantSchema) -> None:
    """Bring an executed job to `live_erased`. Raises LanesBehind, TenantUnavailable, BrokerUnavailable or DatabaseUnavailable: then it is looked at again."""
    async with inside(tools.connection, tenant):
        steps = await steps_of(tools.connection, tenant, job.request_id)
        waits = await waits_of(tools.connection, tenant, job.request_id)
    await _fence(tools, job, tenant, steps)
    await _announce(tools, job, tenant, steps)
    if not tenant.is_retired and not waits:
        if tenant.slot is not None:
            ends = await tools.log_ends.ends(tenant_events_topic(tenant.slot), tenant.partitions)
            told = 0
            async with inside(tools.connection, tenant):
                await note_waits(tools.connection, tenant, job.request_id, ends)
                await leave(tools.connection)
                if any(step.fence is not None and step.fence.pseudonyms for step in steps):
                    told = await note_readers(tools.connection, job.request_id, tenant.tenant, ends)
            tools.metrics.counter(ERASURE_READERS, "told").inc(told)
        tools.reached(job.request_id, Step.WAITING)
    async with inside(tools.connection, tenant):
        waits = await waits_of(tools.connection, tenant, job.request_id)
        await leave(tools.connection)
        behind = await still_behind(tools.connection, waits)
    if behind:
        raise LanesBehind("a lane has not passed the fence")
    async with inside(tools.connection, tenant):
        steps = await steps_of(tools.connection, tenant, job.request_id)
        await leave(tools.connection)
        if await set_live_erased(tools.connection, job.request_id):
            await append(
                tools.connection,
                AuditEntry(
                    What.ERASURE_LIVE_ERASED,
                    tools.signer.name,
                    request=job.request_id,
                    tenant=tenant.tenant,
                    numbers={"steps": len(steps), "rows": sum(step.rows_deleted for step in steps)},
                ),
            )
    tools.reached(job.request_id, Step.LIVE_ERASED)


async def is_waiting(tools: Tools, job: Job, tenant: TenantSchema) -> bool:
    """Whether the ends that lanes must pass are noted: then everything before that is done."""
    async with inside(tools.connection, tenant):
        return bool(await waits_of(tools.connection, tenant, job.request_id))


async def _fence(tools: Tools, job: Job, tenant: TenantSchema, steps: list[ErasureStep]) -> None:
    due = [step for step in steps if step.fence is not None and step.fence_published_at is None]
    if due:
        await tell.append_fences(
            tools.producer, tools.signer, [step.fence_record for step in due if step.fence_record is not None]
        )
        async with inside(tools.connection, tenant):
            await set_fenced(tools.connection, tenant, job.request_id, [step.subject_id for step in due])
        tools.metrics.counter(ERASURE_FENCES, "published").inc(len(due))
    tools.reached(job.request_id, Step.FENCED)


async def _announce(tools: Tools, job: Job, tenant: TenantSchema, steps: list[ErasureStep]) -> None:
    # A slot that is gone for good has no readers; a message has nobody's pseudonyms to forget.
    due = [
        (step.subject_id, step.fence)
        for step in steps
        if step.fence is not None and step.fence.pseudonyms and step.announced_at is None
    ]
    if due and not tenant.is_retired:
        await tell.announce(tools, tenant, [tell.notice_of(fence) for _, fence in due])
        async with inside(tools.connection, tenant):
            await set_announced(tools.connection, tenant, job.request_id, [subject for subject, _ in due])
    tools.reached(job.request_id, Step.ANNOUNCED)
