"""A lane's queue, position, back-pressure and retry state."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from contracts.headers import Headers
from store.lanes.lane import Buffered, Lane, Limits, Stage, Tenancy
from store.lanes.persist import Batch
from store.lanes.queries import tenant_statements

TENANCY = Tenancy(UUID(int=1), tenant_statements("t_abcdefgh"), 365)


@dataclass(frozen=True)
class Record:
    offset: int
    topic: str = "mk.t.abcdefgh.events.v1"
    partition: int = 0
    timestamp: int = 0
    key: bytes | None = None
    value: bytes = b"x" * 100
    headers: Headers = field(default=())


def lane(limits: Limits | None = None, at: int = 0) -> tuple[Lane, Buffered]:
    buffered = Buffered()
    made = Lane("mk.t.abcdefgh.events.v1", "abcdefgh", 0, limits or Limits(), buffered)
    made.place(TENANCY, at)
    return made, buffered


def records(*offsets: int) -> Sequence[Record]:
    return [Record(offset) for offset in offsets]


def batch(first: int, next_offset: int) -> Batch:
    return Batch(
        UUID(int=1),
        TENANCY.statements,
        "abcdefgh",
        0,
        first,
        next_offset,
        (),
        frozenset(),
        365,
        notice=next_offset - first,
    )


def test_a_lane_takes_nothing_before_its_position_is_known() -> None:
    made = Lane("t", "s", 0, Limits(), Buffered())
    made.offer(records(0, 1))
    assert made.waiting == 0
    assert made.stage is Stage.UNPLACED
    assert made.state(0) == "waiting"


def test_records_from_before_the_position_are_not_taken_twice() -> None:
    made, _ = lane(at=3)
    made.offer(records(1, 2, 3, 4))
    made.offer(records(4, 5))
    assert (made.waiting, made.expected) == (3, 6)


def test_a_missing_offset_is_noticed_and_nothing_behind_it_is_taken() -> None:
    made, _ = lane()
    made.offer(records(0, 1, 5, 6))
    assert made.gap == (2, 5)
    made.offer(records(7))
    assert made.waiting == 2


def test_the_queue_is_full_by_records_or_bytes_and_low_only_well_below() -> None:
    made, _ = lane(Limits(lane_records=4))
    made.offer(records(0, 1, 2, 3))
    assert (made.is_full, made.is_low) == (True, False)
    made.advance(batch(0, 2))
    assert (made.is_full, made.is_low) == (False, False)
    made.advance(batch(2, 4))
    assert made.is_low
    heavy, _ = lane(Limits(lane_bytes=5_000))
    heavy.offer(records(0, 1, 2))
    assert heavy.is_full


def test_bytes_of_all_lanes_are_counted_until_they_are_stored_or_let_go() -> None:
    made, buffered = lane()
    made.offer(records(0, 1, 2))
    before = buffered.total
    made.advance(batch(0, 1))
    assert 0 < buffered.total < before
    made.revoke()
    assert buffered.total == 0
    assert not made.is_owned


def test_a_batch_of_before_the_lane_was_placed_anew_moves_nothing() -> None:
    made, _ = lane()
    made.offer(records(0, 1))
    made.unplace()
    made.place(TENANCY, 1)
    made.offer(records(1))
    made.advance(batch(0, 2))
    assert (made.position, made.waiting) == (1, 1)


def test_pauses_grow_and_are_bounded_and_success_forgets_them() -> None:
    made, _ = lane()
    made.offer(records(0))
    pauses = [made.retry_later(0.0) for _ in range(12)]
    assert pauses[0] <= 0.05
    assert max(pauses) <= 5.0
    assert not made.can_run(0.0)
    made.advance(batch(0, 1))
    assert made.attempts == 0


def test_a_fault_keeps_the_position_and_reads_it_again() -> None:
    made, _ = lane(at=7)
    made.offer(records(7))
    pause_s = made.fault(10.0)
    assert 0.5 <= pause_s <= 1.0
    assert made.state(10.0) == "faulted"
    assert made.stage is Stage.UNPLACED
    assert made.position == 7


def test_a_paused_tenants_lane_does_not_run() -> None:
    made, _ = lane()
    made.offer(records(0))
    made.is_tenant_paused = True
    assert not made.can_run(1.0)
    assert made.state(1.0) == "paused"


@pytest.mark.parametrize("name", ["t_abc", 't_abcdefgh"; DROP', "public", "t_ABCDEFGH", "mk"])
def test_no_other_name_than_a_tenants_schema_enters_a_statement(name: str) -> None:
    with pytest.raises(Exception, match="schema"):
        tenant_statements(name)
