"""When too many items have an impossible time, somebody looks before everything is in quarantine."""

from uuid import UUID

from router.time_guard import MOST_OUTSIDE, WINDOW_S, TimeGuard

TENANTS = (UUID(int=1), UUID(int=2))


def guard_after(outside: int, inside: int, tenants: int = 2) -> TimeGuard:
    """A guard that has judged so many within one minute."""
    guard = TimeGuard()
    assert guard.held_s(100.0) == 0
    for _ in range(inside):
        guard.inside()
    for number in range(outside):
        guard.outside(TENANTS[number % tenants])
    return guard


def test_many_items_of_two_tenants_hold_the_router_until_the_minute_is_over() -> None:
    guard = guard_after(MOST_OUTSIDE + 1, 10_000)
    assert guard.held_s(110.0) == WINDOW_S - 10
    assert guard.tripped == 1
    assert guard.held_s(100.0 + WINDOW_S) == 0


def test_one_tenants_wrong_clock_holds_nobody() -> None:
    assert guard_after(5 * MOST_OUTSIDE, 0, tenants=1).held_s(110.0) == 0


def test_a_thousand_are_allowed_and_so_is_one_percent() -> None:
    assert guard_after(MOST_OUTSIDE, 0).held_s(110.0) == 0
    assert guard_after(MOST_OUTSIDE + 1, 200_000).held_s(110.0) == 0


def test_a_new_minute_counts_from_zero() -> None:
    guard = guard_after(MOST_OUTSIDE, 0)
    assert guard.held_s(100.0 + WINDOW_S) == 0
    for tenant in TENANTS:
        guard.outside(tenant)
    assert guard.held_s(101.0 + WINDOW_S) == 0
