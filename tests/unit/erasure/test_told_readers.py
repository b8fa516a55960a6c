"""Whether a reader has acknowledged an erasure: all its groups on all partitions, and never what it jumped over."""

import pytest

from store.erasure.telling.told_readers import Settled, judge, reached

ENDS = [7, 1]


@pytest.mark.parametrize(
    ("groups", "come"),
    [
        ([], [0, 0]),
        ([{}], [0, 0]),
        ([{0: 7, 1: 1}], [7, 1]),
        ([{0: 7}], [7, 0]),
        ([{0: 9, 1: 1}, {0: 7, 1: 3}], [7, 1]),
        ([{0: 9, 1: 1}, {}], [9, 1]),
        ([{0: 9, 1: 1}, {1: 1}], [0, 1]),
    ],
    ids=[
        "no group",
        "only elsewhere",
        "one",
        "half",
        "the last of two",
        "another elsewhere",
        "one has begun",
    ],
)
def test_a_reader_has_come_as_far_as_the_last_of_its_groups(
    groups: list[dict[int, int]], come: list[int]
) -> None:
    assert reached(groups, 2) == come


@pytest.mark.parametrize(
    ("come", "firsts", "settled"),
    [
        ([7, 1], [0, 0], Settled.ACKNOWLEDGED),
        ([99, 99], [6, 0], Settled.ACKNOWLEDGED),
        ([6, 1], [0, 0], None),
        ([7, 0], [0, 0], None),
        ([0, 0], [6, 0], None),
        ([7, 1], [7, 0], Settled.MISSED),
        ([0, 0], [0, 1], Settled.MISSED),
    ],
    ids=["exactly", "far behind it", "one short", "one partition", "not begun", "jumped over", "gone unread"],
)
def test_only_commits_past_the_notice_while_it_is_there_acknowledge(
    come: list[int], firsts: list[int], settled: Settled | None
) -> None:
    assert judge(ENDS, come, firsts) is settled


def test_a_partition_that_the_topic_was_given_later_is_not_waited_for() -> None:
    assert judge(ENDS, [7, 1, 0], [0, 0, 0]) is Settled.ACKNOWLEDGED
