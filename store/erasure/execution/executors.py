"""Who executes which kind of request. Each is repeatable: it goes on from the steps that stand in the tenant's schema.

An executor puts the job to `executing` in its first step's transaction (`jobs.set_executing`), writes one
`erasure_step` for each subject or message, and deletes. Fences, announcements, waiting for the lanes and the answer are
the driver's, the same for all kinds. It raises TransientError to be tried again, and Refused before anything was executed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from contracts.errors import TransientError
from store.erasure.endings import Refused as Refused
from store.erasure.equipment import Tools
from store.erasure.execution import account, callback, joins, message, subject
from store.erasure.jobs import Job
from store.erasure.tenants import TenantSchema

Executor = Callable[[Tools, Job, TenantSchema], Awaitable[None]]
"""Of a request that names a tenant."""
FreeExecutor = Callable[[Tools, Job], Awaitable[None]]
"""Of a request that names none: a callback. Brings its job to `live_erased` itself; what it finds becomes jobs of its own."""


class NobodyExecutes(TransientError):
    """No executor for this kind of request in this version: it waits for one that has it."""

    code = "no_executor"


EXECUTORS: Final[dict[str, Executor]] = {
    "account": account.execute,
    "join": joins.execute,
    "message": message.execute,
    "subject": subject.execute,
}
"""By kind of request; joins by their origin."""
DELETERS: Final[dict[str, Executor]] = {
    "account": account.sweep,
    "join": joins.delete_rows,
    "subject": subject.delete_rows,
}
"""What deletes rows after a step took effect, by the same kinds; a message's go in the step's own transaction."""
FREE_EXECUTORS: Final[dict[str, FreeExecutor]] = {"callback": callback.execute}


def executor_of(job: Job) -> Executor:
    """Raises NobodyExecutes."""
    executor = EXECUTORS.get(_kind(job))
    if executor is None:
        raise NobodyExecutes("nobody executes this kind of request")
    return executor


def deleter_of(job: Job) -> Executor | None:
    """None where nothing is deleted after the step."""
    return DELETERS.get(_kind(job))


def _kind(job: Job) -> str:
    return "join" if job.origin == "join" else job.kind


def free_executor_of(kind: str) -> FreeExecutor:
    """Raises NobodyExecutes."""
    executor = FREE_EXECUTORS.get(kind)
    if executor is None:
        raise NobodyExecutes("nobody executes this kind of request")
    return executor
