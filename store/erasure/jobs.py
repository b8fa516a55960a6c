"""Job rows: one for each request, whose state only ever goes forward; everything after admission is driven from here.

Runs inside the caller's transaction where there is one. Must never decide anything: which state comes next is the
driver's and the executors' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

import orjson

from contracts.errors import ContractViolation, TransientError
from contracts.outcomes import Outcome, RefusalReason, State
from store.audit.log import AuditEntry, What, append
from store.database import statements
from store.erasure.telling.told_readers import NO_READERS, ReaderCounts

if TYPE_CHECKING:
    import asyncpg

    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("jobs.sql"))


class JobMoved(TransientError):
    """The job's row is no longer in the state that it was read in: nothing was done."""

    code = "job_moved"


@dataclass(frozen=True, slots=True)
class Job:
    """One row of mk.erasure_request as it was read: `told_state` lags `state` by what is not acknowledged yet."""

    request_id: UUID
    tenant_id: UUID | None
    kind: str
    origin: str
    asked_by: str
    state: State
    told_state: State | None
    reason: RefusalReason | None
    account_id: UUID | None
    message_ref: bytes | None = field(repr=False)
    pseudonyms: tuple[bytes, ...] = field(repr=False)
    details: bytes | None = field(repr=False)
    requested_at: datetime
    received_at: datetime
    due_on: date | None
    execute_after: datetime | None
    is_due: bool
    """By the database's clock: nothing says later than now. An approval is `approved_by`'s business."""
    approved_by: str | None
    decided_at: datetime | None
    executed_at: datetime | None
    live_erased_at: datetime | None
    irrecoverable_on: date | None
    answered_at: datetime | None
    counts: Mapping[str, int]
    receipt: str | None
    attempts: int
    failed: str | None

    def outcome(self, readers: ReaderCounts = NO_READERS) -> Outcome:
        """What the outcomes topic is told of the state it is in."""
        reached = {
            State.RECEIVED: self.received_at,
            State.IDENTITY_PENDING: self.received_at,
            State.DECIDED: self.decided_at,
            State.REFUSED: self.decided_at,
            State.EXECUTING: self.executed_at,
            State.LIVE_ERASED: self.live_erased_at,
            State.ANSWERED: self.answered_at,
        }[self.state]
        return Outcome(
            request=self.request_id,
            tenant=self.tenant_id,
            kind=self.kind,
            origin=self.origin,
            state=self.state,
            at_ms=unix_ms(reached or self.received_at),
            requested_at_ms=unix_ms(self.requested_at),
            received_at_ms=unix_ms(self.received_at),
            decided_at_ms=None if self.decided_at is None else unix_ms(self.decided_at),
            executed_at_ms=None if self.executed_at is None else unix_ms(self.executed_at),
            reason=self.reason,
            due_on=self.due_on,
            irrecoverable_on=self.irrecoverable_on,
            receipt=self.receipt,
            readers_told=readers.told,
            readers_acknowledged=readers.acknowledged,
            readers_ended=readers.ended,
            readers_missed=readers.missed,
        )


def unix_ms(moment: datetime) -> int:
    """Unix milliseconds, floored."""
    return int(moment.timestamp() * 1000)


async def database_time(connection: Connection) -> datetime:
    """The database's clock."""
    now: datetime = await connection.fetchval(SQL["database_time"])
    return now


async def load_job(connection: Connection, request: UUID) -> Job:
    """The row as it is now. Raises ContractViolation if there is none."""
    row = await connection.fetchrow(SQL["job"], request)
    if row is None:
        raise ContractViolation("no request of that id")
    return _job(row)


def _job(row: asyncpg.Record) -> Job:
    values = dict(row)
    told, reason = values["told_state"], values["reason"]
    return Job(
        **values
        | {
            "state": State(values["state"]),
            "told_state": None if told is None else State(told),
            "reason": None if reason is None else RefusalReason(reason),
            "pseudonyms": tuple(values["pseudonyms"]),
            "counts": orjson.loads(values["counts"]),
            "is_due": values["is_due"] is not False,
        }
    )


async def set_told(connection: Connection, request: UUID, state: State) -> None:
    """The outcome of `state` is acknowledged."""
    await connection.execute(SQL["told"], request, state.value)


async def set_decided(
    connection: Connection, request: UUID, execute_after: datetime | None, due_on: date | None
) -> bool:
    """received or identity_pending → decided; False if it was no longer there."""
    return await connection.fetchval(SQL["decide"], request, execute_after, due_on) is not None


async def set_refused(connection: Connection, request: UUID, reason: RefusalReason) -> bool:
    """Before anything was executed → refused; False if it was too late."""
    return await connection.fetchval(SQL["refuse"], request, reason.value) is not None


async def set_executing(connection: Connection, job: Job, by: str) -> None:
    """decided, and told so → executing, with its audit entry; nothing happens if it executes already.

    In the first step's own transaction, as the login. Raises JobMoved, which must undo that transaction, if the row is in
    another state by now.
    """
    if await connection.fetchval(SQL["execute"], job.request_id) is not None:
        entry = AuditEntry(What.ERASURE_EXECUTING, by, request=job.request_id, tenant=job.tenant_id)
        await append(connection, entry)
    elif job.state is not State.EXECUTING:
        raise JobMoved("the request is no longer decided")


async def set_live_erased(connection: Connection, request: UUID) -> bool:
    """executing → live_erased."""
    return await connection.fetchval(SQL["live_erased"], request) is not None


async def set_answered(
    connection: Connection, request: UUID, receipt: str | None, irrecoverable_on: date | None
) -> bool:
    """live_erased → answered, with the receipt."""
    return await connection.fetchval(SQL["answered"], request, receipt, irrecoverable_on) is not None


async def postpone(connection: Connection, request: UUID, wait_s: float, failed: str | None = None) -> None:
    """Look at it again after `wait_s` seconds; `failed`: the error's code that kept it from going on."""
    await connection.execute(SQL["postpone"], request, wait_s, failed)


async def due_jobs(connection: Connection, limit: int) -> list[UUID]:
    """Requests that can go on now, those that waited longest first."""
    return [row["request_id"] for row in await connection.fetch(SQL["due"], limit)]


async def seconds_to_next(connection: Connection) -> float | None:
    """Until the first open request is due; negative if one is; None if there is none."""
    seconds: float | None = await connection.fetchval(SQL["seconds_to_next"])
    return seconds
