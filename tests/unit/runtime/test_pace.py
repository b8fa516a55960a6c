"""Token buckets: so many at once, so many a second, each key for itself, memory bounded."""

from runtime.pace import Pace


def test_a_burst_passes_then_one_for_each_pause() -> None:
    pace = Pace(per_s=0.5, burst=3)
    assert [pace.take("a", 10.0) for _ in range(4)] == [True, True, True, False]
    assert not pace.take("a", 11.9)
    assert pace.take("a", 12.0 + 1.9)
    assert [pace.take("a", 1_000.0) for _ in range(4)] == [True, True, True, False]


def test_one_key_takes_nothing_from_another() -> None:
    pace = Pace(per_s=1, burst=1)
    assert pace.take("a", 0.0)
    assert not pace.take("a", 0.0)
    assert pace.take("b", 0.0)


def test_of_more_keys_than_are_remembered_the_longest_silent_is_forgotten() -> None:
    pace = Pace(per_s=0.001, burst=1, most=2)
    for key in ("a", "b", "a", "c"):
        pace.take(key, 0.0)
    assert len(pace) == 2
    assert not pace.take("a", 0.0)
    assert pace.take("b", 0.0)


def test_a_clock_that_goes_back_gives_nothing() -> None:
    pace = Pace(per_s=1, burst=1)
    assert pace.take("a", 100.0)
    assert not pace.take("a", 50.0)
