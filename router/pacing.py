"""How the router waits: jittered backoff for what is away, and a bound on what is in flight."""

from __future__ import annotations

import asyncio
import random
from typing import Final

FIRST_S: Final = 0.1
LONGEST_S: Final = 5.0


def backoff_s(attempt: int, *, longest_s: float = LONGEST_S) -> float:
    """Seconds to wait before attempt `attempt` + 1 (first: 0), with half of it random."""
    full = min(longest_s, FIRST_S * 2.0 ** min(attempt, 16))
    return full * random.uniform(0.5, 1.0)


class InFlight:
    """Counts records and bytes taken up and not finished; whoever wants more waits for room."""

    def __init__(self, most_records: int, most_bytes: int) -> None:
        self._most_records, self._most_bytes = most_records, most_bytes
        self.records = 0
        self.bytes = 0
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Return when there is room for one more record (a record larger than all the room counts as one)."""
        await self._room.wait()

    def add(self, size: int) -> None:
        """A record of `size` bytes was taken up."""
        self.records += 1
        self.bytes += size
        self._judge()

    def remove(self, size: int) -> None:
        """It is finished, or dropped with its partition."""
        self.records -= 1
        self.bytes -= size
        self._judge()

    def _judge(self) -> None:
        if self.records < self._most_records and self.bytes < self._most_bytes:
            self._room.set()
        else:
            self._room.clear()
