"""The committed offset never passes an unfinished record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.kafka.offsets import OffsetTracker


@given(st.lists(st.integers(0, 10_000), unique=True, min_size=1, max_size=60).map(sorted), st.randoms())
def test_the_commit_never_passes_an_unfinished_record(offsets: list[int], random: object) -> None:
    tracker = OffsetTracker()
    for offset in offsets:
        tracker.begin(offset)
    order = list(offsets)
    random.shuffle(order)  # type: ignore[attr-defined]
    finished: set[int] = set()
    for offset in order:
        tracker.finish(offset)
        finished.add(offset)
        commit = tracker.commit
        unfinished = [other for other in offsets if other not in finished]
        if commit is not None:
            assert all(other >= commit for other in unfinished)
        if unfinished and unfinished[0] == offsets[0]:
            assert commit is None
    assert tracker.commit == offsets[-1] + 1
    assert tracker.unfinished == 0


def test_offsets_must_rise() -> None:
    tracker = OffsetTracker()
    tracker.begin(5)
    with pytest.raises(ValueError, match="rise"):
        tracker.begin(5)
