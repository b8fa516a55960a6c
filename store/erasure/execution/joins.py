"""Joins that must delete: somebody is linked with somebody who was erased, and inherits the stricter fence.

A lane links the two and writes a `join_request` in the same transaction; here it becomes a job like any other. Rows not
strictly later than the larger watermark are deleted from whoever had a laxer one; what is later stays, under a key of its
own from the next flip on (PRIVACY.md section 3, *Any alias erases all*). Must never merge two subjects.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

from contracts.erasure_requests import REQUEST_NAMESPACE
from contracts.fences import Fence
from contracts.ids import first_id_at
from store.audit.log import AuditEntry, What, append
from store.database import statements, with_names
from store.erasure.equipment import Step, Tools
from store.erasure.execution.message import unix_us
from store.erasure.execution.subject import DELETED_AT_ONCE, FENCE_KEPT
from store.erasure.jobs import Job, set_executing
from store.erasure.steps import name_refs, signed_fence, steps_of
from store.erasure.tenants import TenantSchema, alone, inside, leave
from store.lanes.event import WRITTEN_TYPES

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("joins.sql"))
TAKEN_AT_ONCE: Final = 100
DATED: Final = first_id_at(1)
"""Smaller ids have no time."""
_WRITTEN: Final = sorted(WRITTEN_TYPES)


def join_request_id(event: UUID, kept: UUID, joined: UUID, created_at: datetime) -> UUID:
    """The id of the request that a join makes. With its time: a database put back from a backup joins again."""
    return uuid5(REQUEST_NAMESPACE, f"join/{event}/{kept}/{joined}/{unix_us(created_at)}")


async def admit(connection: Connection, tenant: TenantSchema, by: str) -> list[UUID]:
    """Make jobs of what the tenant's lanes asked for; their ids. `by`: erasure's signer. Raises DatabaseUnavailable."""
    admitted: list[UUID] = []
    async with inside(connection, tenant):
        rows = await connection.fetch(_sql(tenant, "take"), TAKEN_AT_ONCE)
        named = [
            (row, await connection.fetch(_sql(tenant, "aliases"), [row["kept"], row["joined"]]))
            for row in rows
        ]
        await leave(connection)
        for row, aliases in named:
            request = join_request_id(row["event_id"], row["kept"], row["joined"], row["created_at"])
            names = [alias["pseudonym"] for alias in aliases]
            if await connection.fetchval(SQL["admit"], request, tenant.tenant, names, row["created_at"]):
                admitted.append(request)
                await append(
                    connection,
                    AuditEntry(What.ERASURE_RECEIVED, by, request=request, tenant=tenant.tenant),
                )
    return admitted


async def execute(tools: Tools, job: Job, tenant: TenantSchema) -> None:
    """Everybody who is joined gets the strictest fence of all, under the lock; then what it forbids is deleted.

    Raises JobMoved or DatabaseUnavailable.
    """
    connection = tools.connection
    async with alone(connection, tenant):
        fences = await _inherit(tools, job, tenant)
        await leave(connection)
        await set_executing(connection, job, tools.signer.name)
        for fence in fences:
            await append(
                connection,
                AuditEntry(
                    What.JOIN_EXECUTED,
                    tools.signer.name,
                    request=job.request_id,
                    tenant=tenant.tenant,
                    subject=fence.subject,
                    numbers={"generation": fence.generation, "undated": len(fence.undated)},
                ),
            )
    tools.reached(job.request_id, Step.EXECUTED)
    await delete_rows(tools, job, tenant)


async def _inherit(tools: Tools, job: Job, tenant: TenantSchema) -> list[Fence]:
    connection = tools.connection
    owners = [
        row["subject_id"] for row in await connection.fetch(_sql(tenant, "owners"), list(job.pseudonyms))
    ]
    joined = await connection.fetchrow(_sql(tenant, "joined"), owners)
    if joined is None or joined["watermark"] is None or joined["executed_at"] is None:
        return []  # the fence has served its time
    watermark, executed_at = joined["watermark"], joined["executed_at"]
    rows = await connection.fetch(
        _sql(tenant, "inherit"),
        job.request_id,
        joined["subjects"],
        watermark,
        executed_at,
        DATED,
        next_second(watermark),
    )
    if not rows:
        return []
    subjects = [row["subject_id"] for row in rows]
    undated: defaultdict[UUID, list[bytes]] = defaultdict(list)
    for row in await connection.fetch(_sql(tenant, "undated"), subjects, DATED, executed_at):
        undated[row["subject_id"]].append(row["ref"])
    names: defaultdict[UUID, list[bytes]] = defaultdict(list)
    for row in await connection.fetch(_sql(tenant, "aliases_of"), subjects):
        names[row["subject_id"]].append(row["pseudonym"])
    if undated:
        refs = sorted(ref for found in undated.values() for ref in found)
        await connection.execute(_sql(tenant, "add_tombstones"), refs, FENCE_KEPT)
    fences = [
        Fence(
            request=job.request_id,
            tenant=tenant.tenant,
            subject=row["subject_id"],
            pseudonyms=tuple(name.hex() for name in names[row["subject_id"]]),
            # 0: nobody's key was destroyed, only what is not later than the watermark is gone.
            generation=row["erased_through_gen"],
            watermark_s=int(watermark.timestamp()),
            executed_at_us=unix_us(executed_at),
            undated=tuple(ref.hex() for ref in undated[row["subject_id"]]),
        )
        for row in rows
    ]
    await connection.execute(
        _sql(tenant, "keep_fences"),
        job.request_id,
        subjects,
        [signed_fence(fence, tools.signer) for fence in fences],
    )
    return fences


async def delete_rows(tools: Tools, job: Job, tenant: TenantSchema) -> None:
    """Delete what is not later than the fence that was inherited, some at a time. Raises DatabaseUnavailable."""
    connection = tools.connection
    async with inside(connection, tenant):
        steps = await steps_of(connection, tenant, job.request_id)
    for step in steps:
        if step.deleted_at is not None or step.watermark is None:
            continue
        gone, later = DELETED_AT_ONCE, next_second(step.watermark)
        async with inside(connection, tenant):
            rows = await connection.fetch(
                _sql(tenant, "written_refs"), step.subject_id, DATED, later, step.executed_at, _WRITTEN
            )
            refs = [row["message_ref"] for row in rows]
            await name_refs(connection, tenant, job.request_id, step, refs, tools.signer)
        tools.reached(job.request_id, Step.REFS_NAMED)
        while gone == DELETED_AT_ONCE:
            async with inside(connection, tenant):
                gone = await connection.fetchval(
                    _sql(tenant, "delete_earlier"),
                    job.request_id,
                    step.subject_id,
                    DATED,
                    later,
                    step.executed_at,
                    DELETED_AT_ONCE,
                    FENCE_KEPT,
                    _WRITTEN,
                )
            tools.reached(job.request_id, Step.SOME_DELETED)
        async with inside(connection, tenant):
            await connection.execute(_sql(tenant, "deleted"), job.request_id, step.subject_id)
    tools.reached(job.request_id, Step.DELETED)


def next_second(watermark: datetime) -> UUID:
    """The first id that is strictly later than the watermark's second."""
    return first_id_at((int(watermark.timestamp()) + 1) * 1000)


def _sql(tenant: TenantSchema, name: str) -> str:
    return with_names(SQL[name], schema=tenant.schema)
