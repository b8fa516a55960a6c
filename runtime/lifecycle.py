"""How a process starts, lives and stops: uvloop, signals, supervised tasks, exit codes.

A supervised task that ends with an exception stops the process without committing (exit 1); SIGTERM and SIGINT drain
(exit 0); unusable settings are one line on stderr (exit 2). Core dumps are disabled: memory holds keys.
"""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvloop

from contracts.errors import FatalError, InvalidSettings, ServiceError
from runtime import logging


class Supervisor:
    """Runs a process's background tasks; the first that fails stops the process."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.failure: BaseException | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` in the background under this process's supervision."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def fail(self, exc: BaseException) -> None:
        """Stop the process because of `exc`, without committing."""
        if self.failure is None:
            self.failure = exc
        self.stopping.set()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            self.fail(exc)

    async def cancel_all(self) -> None:
        """Cancel and await what still runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _supervised(main: Callable[[Supervisor], Awaitable[None]], process: str) -> int:
    supervisor = Supervisor()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stopping.set)
    log = logging.get_logger()
    try:
        await main(supervisor)
    except InvalidSettings:
        raise
    except Exception as exc:  # whatever it is, the process says its type and ends
        supervisor.fail(exc)
    finally:
        await supervisor.cancel_all()
    if supervisor.failure is None:
        log.info("process.stopped")
        return 0
    if isinstance(supervisor.failure, InvalidSettings):
        raise supervisor.failure
    log.error("process.failed", exc=supervisor.failure)
    if isinstance(supervisor.failure, FatalError):
        sys.stderr.write(f"{process}: {supervisor.failure.code}: {supervisor.failure}\n")
    return 1


def run(process: str, main: Callable[[Supervisor], Awaitable[None]]) -> int:
    """Run a process until it is told to stop. `main` returns after it has drained. Returns the exit code."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.configure(process)
    try:
        return uvloop.run(_supervised(main, process))
    except InvalidSettings as exc:
        sys.stderr.write(f"{process}: {exc}\n")
        return 2
    except ServiceError as exc:
        sys.stderr.write(f"{process}: {exc.code}: {exc}\n")
        return 1
