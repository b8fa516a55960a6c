"""Waiting for a condition in a coroutine, with a limit that only a broken test reaches."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

_PAUSE_S = 0.02
LIMIT_S = 30.0
"""Generous: the machine may be busy with other things. What was waited for, not the time it took, is the test."""


async def until(condition: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
    """Poll until `condition` (a function or a coroutine function) gives something true; that. AssertionError after `limit_s`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limit_s
    while True:
        given = condition()
        found = await given if inspect.isawaitable(given) else given
        if found:
            return found
        assert loop.time() < deadline, f"waited {limit_s:.0f} s in vain for {what}; last: {found!r}"
        await asyncio.sleep(_PAUSE_S)
