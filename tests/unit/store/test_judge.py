"""Fences as pure decisions."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from store.lanes.event import TenantEvent
from store.lanes.judge import NO_FENCE, Fence, may_open_generation, unexpired

NOON = datetime(2026, 11, 20, 12, 0, 0, 500_000, UTC)
EVENT = TenantEvent(
    event_id=UUID(int=1),
    event_type="message.received",
    schema_version=1,
    opens_generation=True,
    retention="conversation",
    account=UUID(int=2),
    direction="i",
    conversation=b"c" * 16,
    message_ref=None,
    persons=(b"p" * 16,),
    occurred_s=int(NOON.timestamp()),
    received_at=NOON + timedelta(seconds=1),
    payload=b"",
)


def test_nobody_erased_drops_nothing() -> None:
    assert not NO_FENCE.drops(EVENT)
    assert not NO_FENCE.stands


@pytest.mark.parametrize(
    ("later_s", "dropped"), [(-1, True), (0, True), (0.499, True), (0.5, False), (1, False)]
)
def test_only_a_strictly_later_second_passes_the_watermark(later_s: float, dropped: bool) -> None:
    at = NOON + timedelta(seconds=later_s)
    event = EVENT._replace(occurred_s=int(at.timestamp()), received_at=at + timedelta(days=1))
    assert Fence(watermark=NOON).drops(event) is dropped


@pytest.mark.parametrize(("later_ms", "dropped"), [(-1, True), (0, True), (1, False)])
def test_what_was_first_received_before_the_execution_is_dropped(later_ms: int, dropped: bool) -> None:
    event = EVENT._replace(occurred_s=2**40, received_at=NOON + timedelta(milliseconds=later_ms))
    assert Fence(executed_at=NOON).drops(event) is dropped


def test_an_undated_event_is_judged_by_receipt_alone() -> None:
    undated = EVENT._replace(occurred_s=None)
    assert not Fence(watermark=NOON + timedelta(days=9), executed_at=NOON).drops(undated)
    assert Fence(watermark=NOON, executed_at=NOON + timedelta(seconds=1)).drops(undated)
    assert not may_open_generation(undated)


def test_a_join_takes_the_stricter_of_each_part() -> None:
    one = Fence(watermark=NOON, blocked=True)
    two = Fence(watermark=NOON + timedelta(days=1), executed_at=NOON)
    assert one.joined(two) == two.joined(one) == Fence(NOON + timedelta(days=1), NOON, True)


def test_a_blocked_subject_drops_everything() -> None:
    assert Fence(blocked=True).drops(EVENT._replace(occurred_s=2**40))


def test_retention_runs_on_event_time_and_for_undated_events_on_receipt() -> None:
    now = NOON + timedelta(days=10)
    assert not unexpired([EVENT], now, 9)
    assert unexpired([EVENT], now, 11)
    assert unexpired([EVENT._replace(occurred_s=None, received_at=now)], now, 1)
    assert not unexpired([EVENT._replace(occurred_s=None)], now, 9)
