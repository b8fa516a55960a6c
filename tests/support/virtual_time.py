"""Time that passes only as far as somebody waits for it: deadlines are exact however busy the machine is, and cost nothing.

For code on one loop without threads and without sockets: while a thread works, the loop would run ahead of it.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")


class _Skipping(selectors.EpollSelector):
    """Skips the time until the next timer and never sits it out."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now. AssertionError if nothing is and no timer is set: it would be for ever."""
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "every task waits for something that nothing will bring"
            self.now_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock is the selector's."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Seconds, of this loop only."""
        return self._skipping.now_s


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test's coroutine on a loop of its own that never waits."""

    @functools.wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*arguments, **named))

    return run
