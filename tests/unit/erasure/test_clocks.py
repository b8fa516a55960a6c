"""Bounds of the difference of two clocks: what they say holds for every moment between, and old ones are not gone by."""

from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.structs import RecordMetadata, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from store.erasure.clocks import BrokerClock, ClocksApart, between

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def ack(broker: datetime, *, kind: int = 1) -> RecordMetadata:
    ms = int(broker.timestamp() * 1000)
    return RecordMetadata("t", 0, TopicPartition("t", 0), 0, ms, kind, 0)


def us(number: int) -> timedelta:
    return timedelta(microseconds=number)


def floored(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


MICRO = st.integers(0, 3_000_000)


@given(st.integers(-5_000_000, 5_000_000), MICRO, MICRO, MICRO, MICRO)
def test_nothing_from_before_is_later_and_nothing_live_is_earlier_whatever_the_round_trip(
    behind: int, out: int, back: int, waited: int, early: int
) -> None:
    """`behind`: the database less the broker; the ack took `out` and `back`; the execution came `waited` later (all µs)."""
    appended = AT + us(out)
    seen = between(AT, floored(appended - us(behind)), appended + us(back))
    assert seen.low <= us(behind) <= seen.high
    executed = appended + us(back + waited)
    until = executed + seen.received_until
    assert floored(executed - us(early) - us(behind)) <= until
    live = executed + seen.live_after
    # Rounded to milliseconds against us on both sides, as a reader outside compares them.
    assert floored(live + us(early) - us(behind)) > floored(until) + MS - us(1)


def test_the_tightest_of_ten_seconds_is_gone_by_with_what_the_clocks_may_drift() -> None:
    clock = BrokerClock()
    assert clock.is_wanted(0.0)
    clock.hear(AT, ack(AT + 5 * MS), AT + 10 * MS, 0.0)
    clock.hear(AT, ack(AT + 200 * MS), AT + 400 * MS, 2.0)
    assert clock.difference(4.0).uncertainty == 10 * MS + MS + 8 * MS
    assert not clock.is_wanted(4.0)
    assert clock.is_wanted(10.1)
    with pytest.raises(ClocksApart):
        clock.difference(10.1)
    clock.hear(AT, ack(AT + 200 * MS), AT + 400 * MS, 10.1)
    assert clock.difference(10.1).uncertainty == 401 * MS


def test_a_clock_that_was_set_is_believed_at_once() -> None:
    clock = BrokerClock()
    clock.hear(AT, ack(AT + 5 * MS), AT + 10 * MS, 0.0)
    clock.hear(AT, ack(AT + 900 * MS), AT + 50 * MS, 1.0)
    assert clock.difference(1.0).high < -800 * MS
    clock.hear(AT, ack(AT + 1_500 * MS), AT + 50 * MS, 2.0)
    with pytest.raises(ClocksApart):
        clock.difference(2.0)
    assert not clock.is_wanted(2.5), "heard less than a second ago"
    assert clock.is_wanted(3.0)


def test_a_time_that_the_broker_did_not_give_says_nothing() -> None:
    clock = BrokerClock()
    clock.hear(AT, ack(AT + 5 * MS), AT + 10 * MS, 0.0)
    assert clock.hear(AT, ack(AT + 5 * MS, kind=0), AT + 10 * MS, 1.0) is None
    with pytest.raises(ClocksApart):
        clock.difference(1.0)
