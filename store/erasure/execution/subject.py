"""Erases a person: PRIVACY.md section 3, steps 1 to 4. One short transaction alone under the tenant's lock, then deletes.

All of the request's subjects take effect in one transaction, each once: a step row that exists already is no effect.
Must never read anything before the lock, nor delete what a later generation wrote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from contracts.erasure_metrics import ERASURE_SHRED_SECONDS
from contracts.fences import Fence
from contracts.ids import first_id_at
from contracts.signing import Signer
from runtime.metrics import ProcessMetrics
from store.audit.log import AuditEntry, What, append
from store.database import statements, with_names
from store.erasure.clocks import Difference
from store.erasure.equipment import Step, Tools
from store.erasure.jobs import Job, set_executing
from store.erasure.steps import name_refs, signed_fence, steps_of
from store.erasure.tenants import TenantSchema, alone, inside, leave
from store.lanes.event import WRITTEN_TYPES

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("subject.sql"))
FENCE_KEPT: Final = timedelta(days=230)
"""A window of 190 days and the oldest backup: tombstones are kept as long as the fences that name them."""
DELETED_AT_ONCE: Final = 1_000
"""Rows in a transaction of their own: a person may have many."""
_WRITTEN: Final = sorted(WRITTEN_TYPES)


@dataclass(frozen=True, slots=True)
class _Erased:
    """One subject on which the request took effect in this transaction."""

    subject_id: UUID
    erased_through_gen: int
    watermark: datetime
    executed_at: datetime
    received_until: datetime
    """The execution by the broker's clock: what was received no later is gone."""
    undated: tuple[bytes, ...] = field(repr=False)
    pseudonyms: tuple[bytes, ...] = field(repr=False)

    def fence_record(self, job: Job, tenant: TenantSchema, signer: Signer) -> bytes:
        """What goes to the fence topic, as it is kept beside the step."""
        fence = Fence(
            request=job.request_id,
            tenant=tenant.tenant,
            subject=self.subject_id,
            pseudonyms=tuple(one.hex() for one in self.pseudonyms),
            generation=self.erased_through_gen,
            watermark_s=int(self.watermark.timestamp()),
            executed_at_us=_unix_us(self.received_until),
            undated=tuple(one.hex() for one in self.undated),
        )
        return signed_fence(fence, signer)


async def execute(tools: Tools, job: Job, tenant: TenantSchema) -> None:
    """Fence and shred everybody whom the request names, then delete their rows.

    Raises ClocksApart before anything is done, JobMoved or DatabaseUnavailable.
    """
    connection, apart = tools.connection, tools.clocks.difference(tools.clock.monotonic())
    async with alone(connection, tenant):
        erased = await erase_people(connection, job, tenant, tools.signer, apart)
        await leave(connection)
        await set_executing(connection, job, tools.signer.name)
        for one in erased:
            await append(connection, _entry(tools, job, tenant, one))
    _observe(tools.metrics, job, erased)
    tools.reached(job.request_id, Step.EXECUTED)
    await delete_rows(tools, job, tenant)


async def erase_people(
    connection: Connection, job: Job, tenant: TenantSchema, signer: Signer, apart: Difference
) -> list[_Erased]:
    """Under the lock: everybody behind the job's pseudonyms, known or not, and whom they are linked with."""

    def sql(name: str) -> str:
        return with_names(SQL[name], schema=tenant.schema)

    owners = await connection.fetch(sql("owners"), job.request_id, list(job.pseudonyms))
    now, first = owners[0]["now"], owners[0]["first_executed_at"]
    named, are_linked = await _subjects_named(connection, tenant, owners)
    if are_linked:
        named = [row["subject_id"] for row in await connection.fetch(sql("linked"), named, first)]
    effective: datetime = first or now
    bound = first_id_at(int(effective.timestamp()) * 1000)
    rows = await connection.fetch(
        sql("erase"), job.request_id, named, effective, bound, apart.received_until, apart.live_after
    )
    if not rows:
        return []
    subjects = [row["subject_id"] for row in rows]
    undated: dict[UUID, list[bytes]] = {subject: [] for subject in subjects}
    aliases: dict[UUID, list[bytes]] = {subject: [] for subject in subjects}
    for subject, ref, is_undated in await connection.fetch(sql("fenced_names"), subjects, first_id_at(1)):
        (undated if is_undated else aliases)[subject].append(ref)
    refs = sorted(ref for found in undated.values() for ref in found)
    if refs:
        await connection.execute(sql("add_tombstones"), refs, FENCE_KEPT)
    erased = [
        _Erased(
            **row, undated=tuple(undated[row["subject_id"]]), pseudonyms=tuple(aliases[row["subject_id"]])
        )
        for row in rows
    ]
    records = [one.fence_record(job, tenant, signer) for one in erased]
    await connection.execute(sql("keep_fences"), job.request_id, subjects, records)
    return erased


async def _subjects_named(
    connection: Connection, tenant: TenantSchema, owners: list[Any]
) -> tuple[list[UUID], bool]:
    """Whose the pseudonyms are, and whether anybody is linked with them.

    A pseudonym that nobody has becomes an alias of the first known subject, else of an empty one. Several known ones are
    one person, says the request: they are linked, never merged.
    """

    def sql(name: str) -> str:
        return with_names(SQL[name], schema=tenant.schema)

    known = list(dict.fromkeys(row["subject_id"] for row in owners if row["subject_id"] is not None))
    unknown = [row["pseudonym"] for row in owners if row["subject_id"] is None]
    home = known[0] if known else uuid4()
    if unknown:
        if not known:
            await connection.execute(sql("add_stub"), home)
        await connection.execute(sql("add_aliases"), unknown, home)
    if len(known) > 1:
        await connection.execute(sql("add_links"), home, known[1:])
    return known or [home], len(known) > 1 or any(row["linked"] for row in owners)


async def delete_rows(tools: Tools, job: Job, tenant: TenantSchema) -> None:
    """Delete what the erased generations wrote, some at a time, without the lock. Raises DatabaseUnavailable."""
    async with inside(tools.connection, tenant):
        steps = await steps_of(tools.connection, tenant, job.request_id)
    for step in steps:
        if step.deleted_at is not None:
            continue
        async with inside(tools.connection, tenant):
            rows = await tools.connection.fetch(
                with_names(SQL["written_refs"], schema=tenant.schema),
                step.subject_id,
                step.erased_through_gen,
                _WRITTEN,
            )
            refs = [row["message_ref"] for row in rows]
            await name_refs(tools.connection, tenant, job.request_id, step, refs, tools.signer)
        tools.reached(job.request_id, Step.REFS_NAMED)
        while True:
            async with inside(tools.connection, tenant):
                gone = await tools.connection.fetchval(
                    with_names(SQL["delete_rows"], schema=tenant.schema),
                    job.request_id,
                    step.subject_id,
                    step.erased_through_gen,
                    DELETED_AT_ONCE,
                    FENCE_KEPT,
                    _WRITTEN,
                )
                if gone < DELETED_AT_ONCE:
                    await tools.connection.execute(
                        with_names(SQL["deleted"], schema=tenant.schema), job.request_id, step.subject_id
                    )
                    break
            tools.reached(job.request_id, Step.SOME_DELETED)
    tools.reached(job.request_id, Step.DELETED)


def _entry(tools: Tools, job: Job, tenant: TenantSchema, erased: _Erased) -> AuditEntry:
    return AuditEntry(
        What.ERASURE_EXECUTED,
        tools.signer.name,
        request=job.request_id,
        tenant=tenant.tenant,
        subject=erased.subject_id,
        numbers={
            "generation": erased.erased_through_gen,
            "watermark_s": int(erased.watermark.timestamp()),
            "aliases": len(erased.pseudonyms),
            "undated": len(erased.undated),
        },
    )


def _observe(metrics: ProcessMetrics, job: Job, erased: list[_Erased]) -> None:
    if erased:
        took_s = (max(one.executed_at for one in erased) - job.received_at).total_seconds()
        metrics.histogram(ERASURE_SHRED_SECONDS).observe(max(0.0, took_s))


def _unix_us(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
