"""Which deliveries form a block, and which partition it goes to. DESIGN.md sections 3 and 4.3.

Pure: no client, no clock, no randomness. Never parses a body: the first entry's id is found by a bounded look at its head.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from contracts.block import Delivery, raw_partition
from contracts.topics import BLOCK_TARGET_BYTES

_HEAD_BYTES: Final = 1024
_SCALAR: Final = rb'"[a-z_]{1,24}"\s{0,8}:\s{0,8}(?:"[^"\\]{0,64}"|[0-9.]{1,24})\s{0,8},\s{0,8}'
_FIRST_ENTRY: Final = re.compile(
    rb'"entry"\s{0,8}:\s{0,8}\[\s{0,8}\{\s{0,8}(?:' + _SCALAR + rb"){0,3}?"
    rb'"id"\s{0,8}:\s{0,8}(?:"([^"\\]{1,64})"|([0-9]{1,32}))'
)
_FRAME_BYTES: Final = 14
"""What a delivery takes in a block beside its app's name and its body."""


class Cause(StrEnum):
    """Why a delivery was not promised: the codes of `mk_ingest_deliveries_rejected_total`."""

    QUEUE_AGE = "overloaded_queue_age"
    QUEUE_FULL = "overloaded_queue_full"
    BROKER = "overloaded_broker"
    NO_KEY = "overloaded_no_key"


def first_entry_id(body: bytes) -> bytes | None:
    """The id of the first `entry`, a string or a number, if it stands where Meta writes it."""
    found = _FIRST_ENTRY.search(body, 0, _HEAD_BYTES)
    if found is None:
        return None
    text, number = found.groups()
    return text if text is not None else number


class Partitioner:
    """The partition of each delivery; remembers a bounded number of accounts to save the hash."""

    def __init__(self, partitions: int, *, remember: int = 8192) -> None:
        self._partitions = partitions
        self._remember = remember
        self._known: dict[tuple[str, bytes], int] = {}

    def partition_of(self, app: str, body: bytes) -> int:
        """SHA-256(app, first `entry` id, else the body) mod n."""
        entry_id = first_entry_id(body)
        if entry_id is None:
            return raw_partition(app, body, self._partitions)
        known = self._known.get((app, entry_id))
        if known is None:
            if len(self._known) >= self._remember:
                self._known.clear()
            known = self._known[app, entry_id] = raw_partition(app, entry_id, self._partitions)
        return known


class Waiter(Protocol):
    """What waits for a block's outcome: an `asyncio.Future`. Resolved with None (durable) or a Cause."""

    def done(self) -> bool:
        """True once answered or cancelled."""

    def set_result(self, result: Cause | None, /) -> None:
        """Answer."""


@dataclass(slots=True)
class Entry:
    """A delivery that waits, its own future (never shared), and when it came (monotonic seconds)."""

    delivery: Delivery
    waiter: Waiter = field(repr=False)
    enqueued_at: float
    size: int = field(init=False)
    """Bytes in a block before compression."""

    def __post_init__(self) -> None:
        self.size = _FRAME_BYTES + len(self.delivery.app) + len(self.delivery.body)

    def settle(self, cause: Cause | None) -> bool:
        """Answer unless it is answered already or its waiter went away; True if this answered it."""
        if self.waiter.done():
            return False
        self.waiter.set_result(cause)
        return True


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Bounds of one partition's queue. Times in seconds."""

    max_deliveries: int = 5_000
    max_bytes: int = 8 * 1_048_576
    max_age_s: float = 1.0
    """The queue refuses while its oldest entry is older."""
    deadline_s: float = 3.5
    """A delivery is answered within this time, whatever happens (Meta waits 5 s)."""


class PartitionQueue:
    """The deliveries that wait for one partition's next block."""

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._waiting: deque[Entry] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def refusal(self, size: int, now: float) -> Cause | None:
        """Why a delivery of `size` bytes cannot join now, or None. An empty queue takes any one delivery."""
        waiting = self._waiting
        if not waiting:
            return None
        if now - waiting[0].enqueued_at > self._limits.max_age_s:
            return Cause.QUEUE_AGE
        if len(waiting) >= self._limits.max_deliveries or self._bytes + size > self._limits.max_bytes:
            return Cause.QUEUE_FULL
        return None

    def add(self, entry: Entry) -> None:
        """Join."""
        self._waiting.append(entry)
        self._bytes += entry.size

    def take(self, now: float, target_bytes: int = BLOCK_TARGET_BYTES) -> list[Entry]:
        """The next block, oldest first: up to `target_bytes` unless a single delivery is larger.

        Entries whose waiter went away or whose deadline passed are taken out, the latter answered.
        """
        taken: list[Entry] = []
        total = 0
        waiting = self._waiting
        expired_before = now - self._limits.deadline_s
        while waiting:
            entry = waiting[0]
            size = entry.size
            if taken and total + size > target_bytes:
                break
            waiting.popleft()
            self._bytes -= size
            if entry.enqueued_at <= expired_before:
                entry.settle(Cause.QUEUE_AGE)
            elif not entry.waiter.done():
                taken.append(entry)
                total += size
        return taken

    def expire(self, now: float) -> None:
        """Take out and answer the entries whose deadline passed."""
        expired_before = now - self._limits.deadline_s
        while self._waiting and self._waiting[0].enqueued_at <= expired_before:
            self._drop().settle(Cause.QUEUE_AGE)

    def refuse_all(self, cause: Cause) -> None:
        """Take out and answer everything."""
        while self._waiting:
            self._drop().settle(cause)

    def age_s(self, now: float) -> float:
        """Age of the oldest entry; 0 if nothing waits."""
        return now - self._waiting[0].enqueued_at if self._waiting else 0.0

    def _drop(self) -> Entry:
        entry = self._waiting.popleft()
        self._bytes -= entry.size
        return entry
