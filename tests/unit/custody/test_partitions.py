"""Ranges of event ids: whole, without holes or overlaps, two periods ahead, also after a long absence."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from contracts.ids import first_id_at, time_ms_of
from store.custody.partitions import (
    MessagePartition,
    missing_partitions,
    next_start,
    period_start,
    read_bound,
)

NOW = datetime(2026, 11, 26, 5, 0, tzinfo=UTC)


def _dated(partitions: list[MessagePartition]) -> list[MessagePartition]:
    return [partition for partition in partitions if partition.name != "message_undated"]


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


@pytest.mark.parametrize("period", ["month", "week", "day"])
def test_a_new_tenants_partitions_cover_the_window_and_two_periods_ahead_without_a_hole(period: str) -> None:
    made = missing_partitions(period, NOW, ())
    dated = _dated(made)
    assert made[0] == MessagePartition("message_undated", first_id_at(0), first_id_at(1))
    assert all(first.next_id == second.first_id for first, second in pairwise(dated))
    assert dated[0].name == "message_past"
    assert dated[0].first_id <= first_id_at(_ms(NOW - timedelta(days=190)))
    end = time_ms_of(dated[-1].next_id)
    third = NOW
    for _ in range(3):
        third = next_start(period, third)
    assert end == _ms(third)


def test_an_undated_event_and_one_of_the_first_millisecond_of_time_are_in_different_partitions() -> None:
    undated = missing_partitions("month", NOW, ())[0]
    assert undated.first_id <= first_id_at(0) < undated.next_id == first_id_at(1)


@pytest.mark.parametrize("away_days", [1, 40, 200])
@pytest.mark.parametrize("period", ["month", "week", "day"])
def test_after_an_absence_the_missing_periods_follow_the_last_bound(period: str, away_days: int) -> None:
    before = missing_partitions(period, NOW, ())
    after = missing_partitions(period, NOW + timedelta(days=away_days), before)
    dated = _dated([*before, *after])
    assert all(first.next_id == second.first_id for first, second in pairwise(dated))
    assert missing_partitions(period, NOW + timedelta(days=away_days), [*before, *after]) == []
    assert len({partition.name for partition in dated}) == len(dated)


def test_a_changed_period_goes_on_where_the_old_one_ended() -> None:
    monthly = missing_partitions("month", NOW, ())
    weekly = missing_partitions("week", NOW + timedelta(days=80), monthly)
    dated = _dated([*monthly, *weekly])
    assert weekly
    assert all(first.next_id == second.first_id for first, second in pairwise(dated))


def test_a_week_starts_on_monday_and_a_month_on_its_first_day() -> None:
    assert period_start("week", NOW).strftime("%A %Y-%m-%d") == "Monday 2026-11-23"
    assert period_start("month", NOW) == datetime(2026, 11, 1, tzinfo=UTC)
    assert next_start("month", datetime(2026, 12, 31, 23, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_bound_that_is_not_a_range_of_ids_is_refused() -> None:
    with pytest.raises(ValueError, match="not a range"):
        read_bound("message_default", "DEFAULT")
