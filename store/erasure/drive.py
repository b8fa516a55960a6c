"""Drives every open job row to its end: what is due is taken up by a worker, one worker a job, each step repeatable.

A new row wakes it at once; a job that must wait says until when. Whatever is killed, the row and the steps say where to
go on. Must never let one request wait behind another's: a job that cannot go on gives its worker back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from uuid import UUID

from contracts.erasure_metrics import ERASURE_FAILED, ERASURE_TRANSITIONS
from contracts.errors import DatabaseUnavailable, ServiceError, TransientError
from contracts.outcomes import RefusalReason, State
from runtime import logging
from store.audit.log import AuditEntry, What, append
from store.database import translated
from store.erasure.deadlines import answer_due
from store.erasure.decide import execute_after, refusal_of
from store.erasure.endings import NotYet, Refused
from store.erasure.equipment import Step, Tools
from store.erasure.execution.executors import executor_of, free_executor_of
from store.erasure.jobs import (
    Job,
    JobMoved,
    due_jobs,
    load_job,
    postpone,
    seconds_to_next,
    set_decided,
    set_refused,
    set_told,
)
from store.erasure.telling.passed import LanesBehind, finish, is_waiting
from store.erasure.telling.tell import measure_clocks, tell_outcomes
from store.erasure.telling.told_readers import NO_READERS, counts_of
from store.erasure.tenants import TenantSchema, find_tenant

if TYPE_CHECKING:
    from store.database import Connection

Connect = Callable[[], AbstractAsyncContextManager["Connection"]]
Answer = Callable[[Tools, Job, TenantSchema | None], Awaitable[None]]
"""live_erased → answered: makes the receipt. Raises TransientError to be asked again."""

_LOOK_EVERY_S: Final = 5.0
_TAKEN_AT_ONCE: Final = 500
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 60.0
_DEFECT_PAUSE_S: Final = 60.0
_FIRST_LANE_PAUSE_S: Final = 0.02
_LONGEST_LANE_PAUSE_S: Final = 5.0
_LONGEST_WAIT_S: Final = 3_600.0
_RECONNECT_S: Final = 0.5


class Driver:
    """The queue of due jobs and the workers that drive them. Answers have a queue and workers of their own: an answer waits
    for the audit log, and nobody's erasure waits behind that."""

    def __init__(self, tools: Tools, connect: Connect, answer: Answer | None, workers: int) -> None:
        """`tools`: its connection is replaced by each worker's own."""
        self._tools, self._connect, self._answer = tools, connect, answer
        self._workers = workers
        self._queue: asyncio.Queue[UUID] = asyncio.Queue()
        self._erased: asyncio.Queue[UUID] = asyncio.Queue()
        self._taken: set[UUID] = set()
        self._wake = asyncio.Event()

    def offer(self, requests: Iterable[UUID]) -> None:
        """New rows: taken up at once, without asking the database."""
        for request in requests:
            if request not in self._taken:
                self._taken.add(request)
                self._queue.put_nowait(request)

    def wake(self) -> None:
        """Look for due jobs now: an operator changed a row."""
        self._wake.set()

    async def run(self, connection: Connection) -> None:
        """Until cancelled. `connection`: the one that holds the right to act. Raises DatabaseUnavailable."""
        tasks = [asyncio.create_task(self._work(self._drive_with)) for _ in range(self._workers)]
        tasks += [asyncio.create_task(self._work(self._answer_with)) for _ in range(-(-self._workers // 2))]
        tasks.append(asyncio.create_task(self._look(connection)))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._taken.clear()
            self._queue, self._erased = asyncio.Queue(), asyncio.Queue()

    async def _look(self, connection: Connection) -> None:
        while True:
            self._wake.clear()
            with translated():
                self.offer(await due_jobs(connection, _TAKEN_AT_ONCE))
                wait_s = await seconds_to_next(connection)
            # What is due and taken is a worker's: when it lets go, it wakes us.
            pause_s = _LOOK_EVERY_S if wait_s is None or wait_s <= 0 else min(_LOOK_EVERY_S, wait_s)
            try:
                await asyncio.wait_for(self._wake.wait(), max(0.005, pause_s))
            except TimeoutError:
                continue

    async def _work(self, work: Callable[[Connection], Awaitable[None]]) -> None:
        while True:
            try:
                async with self._connect() as connection:
                    await work(connection)
            except TransientError as exc:
                logging.get_logger().warning("database.away", exc=exc, wait_s=_RECONNECT_S)
                await asyncio.sleep(_RECONNECT_S)

    async def _drive_with(self, connection: Connection) -> None:
        tools = replace(self._tools, connection=connection)
        while not connection.is_closed():
            request = await self._queue.get()
            to_answer = False
            try:
                to_answer = await drive(tools, request, None)
            finally:
                if to_answer:
                    self._erased.put_nowait(request)
                else:
                    self._let_go(request)

    async def _answer_with(self, connection: Connection) -> None:
        tools = replace(self._tools, connection=connection)
        while not connection.is_closed():
            request = await self._erased.get()
            try:
                await drive(tools, request, self._answer)
            finally:
                self._let_go(request)

    def _let_go(self, request: UUID) -> None:
        self._taken.discard(request)
        self._wake.set()


async def drive(tools: Tools, request: UUID, answer: Answer | None) -> bool:
    """Bring one job as far as it can go now; without `answer` not beyond `live_erased`, and True if it is there.

    Raises nothing but what ends the process: a failure is in the row.

    Without the database nothing can be noted: DatabaseUnavailable then ends the worker's turn, and the row is due again.
    """
    code, wait_s = "defect", _DEFECT_PAUSE_S
    job: Job | None = None
    try:
        with translated():
            job = await load_job(tools.connection, request)
            while (after := await _advance(tools, job, answer)) is not None:
                job = after
        return job.state is State.LIVE_ERASED
    except NotYet as exc:
        await _postpone(tools, request, exc.wait_s, None)
        return False
    except LanesBehind as exc:
        code, wait_s = exc.code, _lane_pause_s(job)
    except TransientError as exc:
        code, wait_s = exc.code, _pause_s(job)
        logging.get_logger().warning("job.waited", exc=exc, wait_s=wait_s)
    except ServiceError as exc:
        code = exc.code
        logging.get_logger().error("job.stuck", exc=exc, state=None if job is None else job.state)
    except Exception as exc:  # a defect of one request holds up that request: its type and frames only
        logging.get_logger().error("job.defect_found", exc=exc)
    if tools.connection.is_closed():
        return False
    tools.metrics.counter(ERASURE_FAILED, code if code in ERASURE_FAILED.labels["code"] else "other").inc()
    await _postpone(tools, request, wait_s, code)
    return False


async def _postpone(tools: Tools, request: UUID, wait_s: float, code: str | None) -> None:
    try:
        with translated():
            await postpone(tools.connection, request, wait_s, code)
    except DatabaseUnavailable as exc:
        logging.get_logger().warning("job.not_postponed", exc=exc)


async def _advance(tools: Tools, job: Job, answer: Answer | None) -> Job | None:
    """One transition, or one outcome told; the row as it is then, or None when there is nothing to do now."""
    if job.told_state is not job.state:
        return await _tell(tools, job)
    tenant = None if job.tenant_id is None else await find_tenant(tools.connection, job.tenant_id)
    if job.state is State.RECEIVED:
        await _decide(tools, job, tenant)
    elif job.state is State.DECIDED and not job.is_due and job.approved_by is None:
        assert job.execute_after is not None
        left_s = (job.execute_after - tools.clock.now()).total_seconds()
        await postpone(tools.connection, job.request_id, min(_LONGEST_WAIT_S, max(1.0, left_s)))
        return None
    elif job.state in (State.DECIDED, State.EXECUTING):
        await _execute(tools, job, tenant)
    elif job.state is State.LIVE_ERASED and answer is not None:
        await answer(tools, job, tenant)
        tools.reached(job.request_id, Step.ANSWERED)
    else:
        if job.state is State.IDENTITY_PENDING:  # a person's turn
            await postpone(tools.connection, job.request_id, _LONGEST_WAIT_S)
        return None
    return await load_job(tools.connection, job.request_id)


async def _tell(tools: Tools, job: Job) -> Job:
    readers = NO_READERS
    if job.state in (State.LIVE_ERASED, State.ANSWERED):
        readers = await counts_of(tools.connection, job.request_id)
    if job.state is State.DECIDED and tools.clocks.is_due(tools.clock.monotonic()):
        await measure_clocks(tools, job.outcome(readers))
    else:
        await tell_outcomes(tools, [job.outcome(readers)])
    await set_told(tools.connection, job.request_id, job.state)
    tools.metrics.counter(ERASURE_TRANSITIONS, job.kind, job.state.value).inc()
    tools.reached(job.request_id, Step.TOLD)
    return await load_job(tools.connection, job.request_id)


async def _decide(tools: Tools, job: Job, tenant: TenantSchema | None) -> None:
    reason = refusal_of(job, tenant)
    if reason is not None:
        await _refuse(tools, job, reason)
        return
    async with tools.connection.transaction():
        if await set_decided(
            tools.connection,
            job.request_id,
            execute_after(job, tools.restricted_for, tools.clock.now()),
            answer_due(job.received_at),
        ):
            await append(tools.connection, _entry(What.ERASURE_DECIDED, tools, job))
    tools.reached(job.request_id, Step.DECIDED)


async def _refuse(tools: Tools, job: Job, reason: RefusalReason) -> None:
    async with tools.connection.transaction():
        if await set_refused(tools.connection, job.request_id, reason):
            entry = _entry(What.ERASURE_REFUSED, tools, job)
            await append(tools.connection, replace(entry, reason=reason.value))
    tools.reached(job.request_id, Step.DECIDED)


async def _execute(tools: Tools, job: Job, tenant: TenantSchema | None) -> None:
    try:
        if tenant is None:
            await free_executor_of(job.kind)(tools, job)
            return
        # What waits for lanes is executed: the lock is not taken again to see whether they have passed.
        if job.state is State.DECIDED or not await is_waiting(tools, job, tenant):
            if job.kind == "subject" and tools.clocks.is_wanted(tools.clock.monotonic()):
                await measure_clocks(tools, job.outcome())  # said again, it says the same
            await executor_of(job)(tools, job, tenant)
    except Refused as exc:
        await _refuse(tools, job, exc.reason)
        return
    job = await load_job(tools.connection, job.request_id)
    if job.state is State.DECIDED:
        raise JobMoved("an executor left a request as it was")
    if job.told_state is not job.state:
        job = await _tell(tools, job)
    await finish(tools, job, tenant)


def _entry(what: What, tools: Tools, job: Job) -> AuditEntry:
    return AuditEntry(what, tools.signer.name, request=job.request_id, tenant=job.tenant_id)


def _pause_s(job: Job | None) -> float:
    """Twice as long after each failure."""
    attempts = 0 if job is None else min(job.attempts, 16)
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0**attempts)


def _lane_pause_s(job: Job | None) -> float:
    """Short at first: a lane that lives passes within a second; a paused one may take days."""
    attempts = 0 if job is None else min(job.attempts, 16)
    return min(_LONGEST_LANE_PAUSE_S, _FIRST_LANE_PAUSE_S * 1.5**attempts)
