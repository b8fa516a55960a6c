"""Which lanes a worker visits: oldest first, small ones together, never two of one tenant."""

import asyncio
from uuid import UUID

from store.lanes.lane import Buffered, Lane, Limits, Tenancy
from store.lanes.queries import tenant_statements
from store.lanes.workers import BIG_LANE_ROWS, TENANTS_PER_TRANSACTION, Rounds
from tests.support.virtual_time import in_virtual_time
from tests.unit.store.test_lane import Record


class ManualClock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def now(self) -> None:
        raise AssertionError("nothing here asks for the wall clock")

    def monotonic(self) -> float:
        return self.at_s


def lane(number: int, rows: int, oldest_ms: int, tenant: int | None = None) -> Lane:
    made = Lane(f"mk.t.slot{number:04}.events.v1", f"slot{number:04}", 0, Limits(), Buffered())
    made.place(Tenancy(UUID(int=tenant or number), tenant_statements("t_abcdefgh"), 365), 0)
    made.offer([Record(offset, timestamp=oldest_ms) for offset in range(rows)])
    return made


async def taken(*lanes: Lane) -> list[str]:
    rounds = Rounds(ManualClock())  # type: ignore[arg-type]
    for one in lanes:
        rounds.wake(one)
    return [one.slot for one in await rounds.take()]


@in_virtual_time
async def test_the_oldest_goes_first_and_small_ones_ride_along() -> None:
    assert await taken(lane(1, 5, 300), lane(2, 5, 100), lane(3, 5, 200)) == [
        "slot0002",
        "slot0003",
        "slot0001",
    ]


@in_virtual_time
async def test_a_big_lane_goes_alone_and_is_not_carried() -> None:
    assert await taken(lane(1, BIG_LANE_ROWS, 100), lane(2, 1, 200)) == ["slot0001"]
    assert await taken(lane(1, 499, 200), lane(2, 2, 100)) == ["slot0002"]


@in_virtual_time
async def test_two_lanes_of_one_tenant_never_share_a_transaction() -> None:
    assert await taken(lane(1, 1, 100, tenant=7), lane(2, 1, 200, tenant=7)) == ["slot0001"]


@in_virtual_time
async def test_a_lane_that_was_timed_out_goes_alone() -> None:
    alone, other = lane(1, 1, 200), lane(2, 1, 100)
    alone.is_alone = True
    assert await taken(alone, other) == ["slot0002"]
    assert await taken(alone) == ["slot0001"]


@in_virtual_time
async def test_lanes_that_wait_for_their_tenants_locks_never_take_every_worker() -> None:
    rounds = Rounds(ManualClock())  # type: ignore[arg-type]
    locked = [lane(number, 1, number) for number in (1, 2)]
    for one in locked:
        one.is_alone = True
        rounds.wake(one)
    assert await rounds.take() == [locked[0]]
    rounds.wake(lane(3, 1, 300))
    assert [one.slot for one in await rounds.take()] == ["slot0003"]
    rounds.give_back([locked[0]])
    locked[0].not_before = 1e9
    assert await rounds.take() == [locked[1]]


@in_virtual_time
async def test_a_transaction_carries_a_bounded_number_of_tenants() -> None:
    assert len(await taken(*(lane(number, 1, number) for number in range(1, 100)))) == TENANTS_PER_TRANSACTION


@in_virtual_time
async def test_two_workers_never_hold_the_same_lane() -> None:
    rounds = Rounds(ManualClock())  # type: ignore[arg-type]
    only = lane(1, 1, 100)
    rounds.wake(only)
    held = await rounds.take()
    second = asyncio.create_task(rounds.take())
    await asyncio.sleep(0.02)
    assert not second.done()
    rounds.give_back(held)
    assert await second == [only]


@in_virtual_time
async def test_a_lane_that_waits_runs_again_by_itself_when_its_pause_is_over() -> None:
    clock = ManualClock()
    rounds = Rounds(clock)  # type: ignore[arg-type]
    waiting = lane(1, 1, 100)
    waiting.not_before = clock.at_s + 0.05
    rounds.wake(waiting)
    taking = asyncio.create_task(rounds.take())
    await asyncio.sleep(0.01)
    assert not taking.done()
    clock.at_s += 0.05
    assert await asyncio.wait_for(taking, 1) == [waiting]
