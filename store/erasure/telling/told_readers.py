"""Which downstream readers were told of an erasure, and the judgement whether one has acknowledged it.

A reader has, when every consumer group of its that reads the tenant's topic has committed past the notice on every
partition: that is what `contracts.reader` does after its owner handled it. Must never ask Kafka itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from store.database import statements

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("told_readers.sql"))


class Settled(StrEnum):
    """Why a reader is not waited for any longer."""

    ACKNOWLEDGED = "acknowledged"
    ENDED = "ended"
    """Its grant ended first: what it had by then is the grant's contract's business."""
    MISSED = "missed"
    """The notice left the topic before the reader was seen to have passed it: only its owner can say what it holds."""


@dataclass(frozen=True, slots=True)
class ReaderCounts:
    """A request's readers, and how many of them are settled in which way."""

    told: int
    acknowledged: int
    ended: int
    missed: int


NO_READERS: Final = ReaderCounts(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Notice:
    """A reader's open notice of a request. `ends`: of the topic after the notice, by partition from 0."""

    request: UUID
    ends: Sequence[int]


def reached(groups: Sequence[Mapping[int, int]], partitions: int) -> list[int]:
    """How far all of a reader's groups have come, by partition. `groups`: what each has committed on the topic.

    A group without a commit on the topic does not read it. A reader that has no group there has come nowhere: what it
    reads without one nobody can see.
    """
    reading = [group for group in groups if group]
    if not reading:
        return [0] * partitions
    return [min(group.get(number, 0) for group in reading) for number in range(partitions)]


def judge(ends: Sequence[int], come: Sequence[int], firsts: Sequence[int]) -> Settled | None:
    """None: the reader is waited for. `come`: from `reached`; `firsts`: the first offsets that are still on the topic.

    What is gone from a partition is not taken for read: a reader that comes late jumps over it (`Gap`) and commits all the
    same. Whoever was seen to have passed while it was there is settled already.
    """
    count = len(ends)  # partitions that the topic was given since have nothing of the notice
    by_partition = list(zip(ends, come[:count], firsts[:count], strict=True))
    if any(first >= end for end, _, first in by_partition):
        return Settled.MISSED
    return Settled.ACKNOWLEDGED if all(at >= end for end, at, _ in by_partition) else None


async def note_readers(connection: Connection, request: UUID, tenant: UUID, ends: Mapping[int, int]) -> int:
    """Remember every reader with an active grant; how many. In the transaction that notes `ends`, as the login."""
    in_order = [ends[number] for number in sorted(ends)]
    noted = await connection.execute(SQL["note"], request, tenant, in_order)
    return int(noted.rpartition(" ")[2])


async def counts_of(connection: Connection, request: UUID) -> ReaderCounts:
    """A request's readers."""
    row = await connection.fetchrow(SQL["counts"], request)
    assert row is not None
    return ReaderCounts(*row)


async def open_by_hours(connection: Connection) -> dict[str, int]:
    """Requests that a reader has not acknowledged, by a label of `mk_erasure_requests_unacknowledged`."""
    return {row["hours"]: row["count"] for row in await connection.fetch(SQL["open_by_hours"])}
