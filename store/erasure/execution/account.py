"""Erases what one account brought: it was removed at Meta, disconnected, or its consent withdrawn.

Nothing is executed before control says that the consent is withdrawn: the custodian publishes it for the job row
(`store.custody.withdrawals`), and from then on nobody processes the account. A lane that has not heard of it yet finds the
tombstone that the step leaves: it keeps out whatever the account brings. Who has rows of no other account loses the key;
the others' rows of this account are deleted and they are marked `rekey` (PRIVACY.md section 3, *One account*). Must never
touch a row of another account.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from uuid import UUID

from contracts.fences import Fence
from contracts.outcomes import RefusalReason
from store.audit.log import AuditEntry, What, append
from store.database import statements, translated, with_names
from store.erasure.endings import NotYet, Refused
from store.erasure.equipment import Step, Tools
from store.erasure.execution.message import unix_us
from store.erasure.execution.subject import FENCE_KEPT
from store.erasure.jobs import Job, set_executing
from store.erasure.steps import signed_fence
from store.erasure.tenants import TenantSchema, alone, inside, leave

SQL: Final = statements(Path(__file__).with_name("account.sql"))
ROWS_AT_ONCE: Final = 1_000
"""Rows in a transaction of their own."""
SUBJECTS_AT_ONCE: Final = 100
"""Subjects in one transaction under the tenant's lock."""
LOOK_S: Final = 0.5
"""How often control is looked at while the custodian has not published the withdrawal."""
_FIRST: Final = UUID(int=0)


class NotWithdrawn(NotYet):
    """Control does not say yet that the account's consent is withdrawn: nothing is executed."""

    code = "not_withdrawn"


async def execute(tools: Tools, job: Job, tenant: TenantSchema) -> None:
    """Raises Refused for an account of nobody or of another tenant, NotWithdrawn, JobMoved or DatabaseUnavailable."""
    account = job.account_id
    with translated():
        known = account is not None and await tools.connection.fetchval(
            SQL["account"], account, tenant.tenant
        )
    if account is None or not known:
        raise Refused(RefusalReason.NOTHING_NAMED)
    record = tools.view.accounts.get(account)
    if record is None or record.consent.state == "active" or record.state == "connected":
        raise NotWithdrawn(LOOK_S)
    await _begin(tools, job, tenant, account)
    async with inside(tools.connection, tenant):
        is_deleted = await tools.connection.fetchval(_sql(tenant, "is_deleted"), job.request_id)
    if not is_deleted:
        await sweep(tools, job, tenant)
    tools.reached(job.request_id, Step.DELETED)


async def sweep(tools: Tools, job: Job, tenant: TenantSchema) -> None:
    """Go through the account's rows once: since the step stands no lane writes another. Raises DatabaseUnavailable."""
    assert job.account_id is not None
    connection, after = tools.connection, _FIRST
    while True:
        async with inside(connection, tenant):
            page = await connection.fetch(_sql(tenant, "page"), job.account_id, after, ROWS_AT_ONCE)
        if page:
            subjects = sorted({row["subject_id"] for row in page})
            for first in range(0, len(subjects), SUBJECTS_AT_ONCE):
                await _erase_subjects(tools, job, tenant, subjects[first : first + SUBJECTS_AT_ONCE])
            async with inside(connection, tenant):
                await connection.execute(
                    _sql(tenant, "delete_page"), job.request_id, [row["id"] for row in page], job.account_id
                )
            after = page[-1]["id"]
        if len(page) < ROWS_AT_ONCE:
            break
        tools.reached(job.request_id, Step.SOME_DELETED)
    async with inside(connection, tenant):
        await connection.execute(_sql(tenant, "deleted"), job.request_id)


async def _begin(tools: Tools, job: Job, tenant: TenantSchema, account: UUID) -> None:
    """The request's own step with its tombstone, and the fence that a restored database goes by."""
    connection = tools.connection
    async with alone(connection, tenant):
        executed_at = await connection.fetchval(_sql(tenant, "step"), job.request_id, account, FENCE_KEPT)
        if executed_at is not None:
            fence = Fence(
                request=job.request_id,
                tenant=tenant.tenant,
                subject=job.request_id,
                generation=0,
                executed_at_us=unix_us(executed_at),
                account=account,
            )
            await connection.execute(
                _sql(tenant, "keep_fence"), job.request_id, signed_fence(fence, tools.signer)
            )
        await leave(connection)
        await set_executing(connection, job, tools.signer.name)
        if executed_at is not None:
            entry = AuditEntry(
                What.ERASURE_EXECUTED, tools.signer.name, request=job.request_id, tenant=tenant.tenant
            )
            await append(connection, entry)
    tools.reached(job.request_id, Step.EXECUTED)


async def _erase_subjects(tools: Tools, job: Job, tenant: TenantSchema, subjects: list[UUID]) -> None:
    connection = tools.connection
    async with alone(connection, tenant):
        keys = await connection.fetchval(_sql(tenant, "erase_subjects"), subjects, job.account_id)
        if not keys:
            return
        await leave(connection)
        await connection.execute(SQL["count_keys"], job.request_id, keys)
        await append(
            connection,
            AuditEntry(
                What.ERASURE_EXECUTED,
                tools.signer.name,
                request=job.request_id,
                tenant=tenant.tenant,
                numbers={"keys": keys},
            ),
        )


def _sql(tenant: TenantSchema, name: str) -> str:
    return with_names(SQL[name], schema=tenant.schema)
