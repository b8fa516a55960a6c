"""Executes Meta's callbacks: whose accounts they are about, an erasure for each, and the end once all of those ended.

The id in a callback is an administrator's, app-scoped, never a customer's; nothing but its keyed hash is here. Somebody
who connected nothing is answered at once, and nobody outside can tell. META.md section 15, PRIVACY.md section 7.
Must never erase anything itself: an account's request is restricted for 72 hours or until somebody approves it.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from contracts.erasure_requests import request_id
from contracts.outcomes import RefusalReason, State
from store.audit.log import AuditEntry, What, append
from store.database import statements, translated
from store.erasure.endings import NotYet, Refused
from store.erasure.jobs import Job, set_executing, set_live_erased

if TYPE_CHECKING:
    import asyncpg

    from store.erasure.equipment import Tools

SQL: Final = statements(Path(__file__).with_name("callback.sql"))
_ISSUED_WITHIN: Final = timedelta(seconds=1)
"""Meta says the second."""
_SLACK: Final = timedelta(seconds=10)
"""For Meta's clock and ours. Whom it wrongly takes in is restricted for 72 hours, not erased; nobody connects an account as fast."""
_RESTRICTED_LOOK_S: Final = 60.0
_LOOK_S: Final = 1.0
_ENDED: Final = frozenset({State.LIVE_ERASED, State.ANSWERED, State.REFUSED})


def account_request_id(callback: UUID, account: UUID) -> UUID:
    """The id of the request that a callback makes for an account: the same whenever it is made."""
    return request_id("account", request_id(str(account), callback))


async def execute(tools: Tools, job: Job) -> None:
    """Bring a callback's job to `live_erased`. Raises NotYet while an account's request runs, Refused if one was refused."""
    administrator = job.pseudonyms[0].hex() if job.pseudonyms else None
    if job.state is State.DECIDED:
        started = await _start(tools, job, administrator)
        await _require_ended(tools, started)
        with translated():
            async with tools.connection.transaction():
                await set_executing(tools.connection, job, tools.signer.name)
        return
    with translated():
        async with tools.connection.transaction():
            if administrator is not None and job.origin == "data_deletion":
                await tools.connection.fetchval(SQL["forget_administrator"], administrator)
            await tools.connection.execute(SQL["forget"], job.request_id)
            if await set_live_erased(tools.connection, job.request_id):
                entry = AuditEntry(What.ERASURE_LIVE_ERASED, tools.signer.name, request=job.request_id)
                await append(tools.connection, entry)


async def _start(tools: Tools, job: Job, administrator: str | None) -> list[UUID]:
    """A request for each account that the administrator had connected by then, whatever its state is; their ids."""
    connection, started = tools.connection, list[UUID]()
    # Meta may try again for hours: what counts is when it was issued, and no clock of Meta's makes it later than its receipt.
    until = min(job.requested_at + _ISSUED_WITHIN, job.received_at) + _SLACK
    with translated():
        async with connection.transaction():
            for row in await connection.fetch(SQL["accounts_of"], administrator, until):
                made = account_request_id(job.request_id, row["account_id"])
                started.append(made)
                if await _insert(tools, job, made, row):
                    entry = AuditEntry(
                        What.ERASURE_RECEIVED,
                        tools.signer.name,
                        request=made,
                        tenant=row["tenant_id"],
                        item=row["account_id"],
                    )
                    await append(connection, entry)
    return started


async def _insert(tools: Tools, job: Job, made: UUID, row: asyncpg.Record) -> bool:
    inserted = await tools.connection.fetchval(
        SQL["start"],
        made,
        row["tenant_id"],
        job.origin,
        tools.signer.name,
        row["account_id"],
        job.requested_at,
        job.received_at,
    )
    return inserted is not None


async def _require_ended(tools: Tools, started: list[UUID]) -> None:
    with translated():
        rows = await tools.connection.fetch(SQL["started"], started)
    open_rows = [row for row in rows if State(row["state"]) not in _ENDED]
    if open_rows:
        raise NotYet(
            _RESTRICTED_LOOK_S if all(row["is_restricted"] for row in open_rows) else _LOOK_S,
        )
    for row in rows:
        if row["state"] == State.REFUSED:
            # Partial work is never reported as complete: the person is told the reason.
            raise Refused(RefusalReason(row["reason"]))
