"""How the router waits: jittered backoff for what is away, and a bound on what is in flight. Pure."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from contracts.topics import MIB

FIRST_S: Final = 0.1
LONGEST_S: Final = 5.0
MOST_RECORDS: Final = 20_000
MOST_BYTES: Final = 16 * MIB
"""Of blocks, as they are sealed (they may have to go to quarantine so) and as they were opened (their events are about as large)."""
MOST_ITEMS: Final = 1_536
"""Split and not ended, but for those of a tenant in trouble: an item takes several KiB of memory. 4,096 cost a tenth
more time an event than 2,048, and each 1,000 some 15 MiB (docs/measurements.md)."""
MOST_STUCK: Final = 8_192
"""Items of tenants in trouble."""


def backoff_s(attempt: int, *, longest_s: float = LONGEST_S) -> float:
    """Seconds to wait before attempt `attempt` + 1 (first: 0), with half of it random."""
    full = min(longest_s, FIRST_S * 2.0 ** min(attempt, 16))
    return full * random.uniform(0.5, 1.0)


class InFlight:
    """Counts records and items taken up and not finished; whoever wants to take up more waits for room."""

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0
        self.items = 0
        self.stuck = 0
        """Those of `items` that wait for a tenant in trouble: they must not hold up the others."""
        self._freed = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Whether one more record may be taken up; a single large one always may."""
        return self.records == 0 or (
            self.records < MOST_RECORDS
            and self.bytes < MOST_BYTES
            and self.items - self.stuck < MOST_ITEMS
            and self.stuck < MOST_STUCK
        )

    async def room(self) -> None:
        """Return when there is room for one more record."""
        while not self.has_room:
            self._freed.clear()
            await self._freed.wait()

    def took_up(self, size: int) -> None:
        """A record of `size` bytes was taken up."""
        self.records += 1
        self.bytes += size

    def opened(self, size: int) -> None:
        """One of them was opened and holds so many bytes."""
        self.bytes += size

    def let_go(self, size: int, items: int = 0) -> None:
        """It is finished, `size` with what it held; or dropped with its partition, with so many items that will not end."""
        self.records -= 1
        self.bytes -= size
        self.items -= items
        self._freed.set()

    def ended(self, count: int) -> None:
        """So many items have ended."""
        self.items -= count
        self._freed.set()

    def moved(self) -> None:
        """`stuck` has changed."""
        self._freed.set()
