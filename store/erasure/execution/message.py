"""Erases one message: a tombstone for its ref, its rows, and the mark by which the key of its old copies dies.

The person's key still opens copies of the deleted cell in the WAL and in backups. So the subject is marked `rekey`: at the
next flip of the epoch the custodian rewrites what is left of it under a new key, and the old one dies with its epoch
(PRIVACY.md section 3, *One message*). Must never touch another message, nor what says that it was taken back.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from contracts.fences import Fence
from contracts.outcomes import RefusalReason
from contracts.signing import Signer
from store.audit.log import AuditEntry, What, append
from store.database import statements, with_names
from store.erasure.endings import Refused
from store.erasure.equipment import Step, Tools
from store.erasure.execution.subject import FENCE_KEPT
from store.erasure.jobs import Job, set_executing
from store.erasure.steps import signed_fence
from store.erasure.tenants import TenantSchema, alone, leave
from store.lanes.event import KEPT_UNDER_TOMBSTONE

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("message.sql"))


async def execute(tools: Tools, job: Job, tenant: TenantSchema) -> None:
    """All of it in one short transaction alone under the tenant's lock: a message is a handful of rows.

    Repeated, it deletes what came in between: nothing with an erased ref is live. Raises JobMoved or DatabaseUnavailable.
    """
    if job.message_ref is None:
        raise Refused(RefusalReason.NOTHING_NAMED)
    connection = tools.connection
    async with alone(connection, tenant):
        executed_at, rows, marked = await _erase(connection, job, tenant, job.message_ref, tools.signer)
        await leave(connection)
        await set_executing(connection, job, tools.signer.name)
        if executed_at is not None:
            await append(
                connection,
                AuditEntry(
                    What.ERASURE_EXECUTED,
                    tools.signer.name,
                    request=job.request_id,
                    tenant=tenant.tenant,
                    numbers={"messages": rows, "rekeyed": marked},
                ),
            )
    tools.reached(job.request_id, Step.EXECUTED)
    tools.reached(job.request_id, Step.DELETED)


async def _erase(
    connection: Connection, job: Job, tenant: TenantSchema, ref: bytes, signer: Signer
) -> tuple[datetime | None, int, int]:
    """When the step took effect (None: it had before), how many rows went, how many subjects were marked."""

    def sql(name: str) -> str:
        return with_names(SQL[name], schema=tenant.schema)

    executed_at: datetime | None = await connection.fetchval(sql("step"), job.request_id)
    await connection.execute(sql("add_tombstone"), ref, FENCE_KEPT)
    found = await connection.fetchrow(sql("erase"), job.request_id, ref, sorted(KEPT_UNDER_TOMBSTONE))
    assert found is not None
    if executed_at is not None:
        fence = Fence(
            request=job.request_id,
            tenant=tenant.tenant,
            subject=job.request_id,
            generation=0,
            executed_at_us=unix_us(executed_at),
            refs=(ref.hex(),),
        )
        await connection.execute(sql("keep_fence"), job.request_id, signed_fence(fence, signer))
    return executed_at, found["rows"], found["marked"]


def unix_us(moment: datetime) -> int:
    """Unix microseconds."""
    return round(moment.timestamp() * 1_000_000)
