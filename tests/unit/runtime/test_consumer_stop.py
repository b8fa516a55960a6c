"""A consumer that is stopped while the broker is away: its own cancelled fetches are not its caller's cancellation."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from runtime.kafka.clients import Consumer, consumer


class Client:
    """Of the library's consumer: only closed here."""

    closed = False

    async def close(self) -> None:
        self.closed = True


class Fetcher:
    """As aiokafka's `Fetcher.close`: it cancels each pending fetch and awaits it."""

    def __init__(self) -> None:
        # What `_proc_fetch_request` does after an error of the broker's: it sleeps, and lets the cancellation through.
        self._pending_tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(3)]

    async def close(self) -> None:
        for task in self._pending_tasks:
            task.cancel()
            await task


def stopping() -> tuple[Consumer, Any, Any]:
    """A consumer, its fetcher and its client; nothing is connected."""
    made = consumer("127.0.0.1:1", "test", group=None)
    made._coordinator = None
    made._fetcher, made._client = Fetcher(), Client()
    return made, made._fetcher, made._client


async def test_fetches_that_wait_to_try_again_do_not_cancel_whoever_stops_it() -> None:
    made, fetcher, client = stopping()
    await asyncio.sleep(0)
    await made.stop()
    assert client.closed
    assert all(task.cancelled() for task in fetcher._pending_tasks)
    await made.stop()


async def test_who_is_cancelled_itself_stays_cancelled() -> None:
    made, fetcher, _ = stopping()
    blocked = asyncio.Event()

    async def close() -> None:
        await blocked.wait()

    fetcher.close = close
    task = asyncio.create_task(made.stop())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for left in fetcher._pending_tasks:
        left.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await left
