"""Which events a reader's owner has handled already: a bounded window in memory, or the owner's own durable set.

Delivery is at-least-once at every arrow and ids are deterministic, so an id seen before is the same event again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Final, Protocol
from uuid import UUID

WINDOW: Final = 10_000


class SeenIds(Protocol):
    """Asked before a batch is handed out, told after it was handled: what was not handled is never taken for seen."""

    async def seen(self, partition: int, ids: Collection[UUID]) -> Collection[UUID]:
        """Those of `ids` that were handled before."""

    async def handled(self, partition: int, ids: Collection[UUID]) -> None:
        """These have been handled."""

    async def released(self, partition: int) -> None:
        """The partition went to another reader of the group, which handles on; what is kept of it here is out of date."""


class RecentIds:
    """The last `window` ids of each partition, in memory."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._ids: dict[int, OrderedDict[UUID, None]] = {}

    async def seen(self, partition: int, ids: Collection[UUID]) -> Collection[UUID]:
        """Those of `ids` in the window."""
        known = self._ids.get(partition, OrderedDict())
        return {one for one in ids if one in known}

    async def handled(self, partition: int, ids: Collection[UUID]) -> None:
        """Into the window; the oldest leave it."""
        known = self._ids.setdefault(partition, OrderedDict())
        for one in ids:
            known[one] = None
            known.move_to_end(one)
        while len(known) > self._window:
            known.popitem(last=False)

    async def released(self, partition: int) -> None:
        """Drop the partition's window."""
        self._ids.pop(partition, None)
