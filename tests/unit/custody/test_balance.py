"""The ledger's equations: each kind of hole is found with its offsets, and what is young is in flight only."""

from collections.abc import Sequence
from uuid import UUID

from contracts import topics
from contracts.ledger import ExpiredLine, RawLine, TenantCounts
from store.custody.balance import Balance, Followed, OutcomeRange, TenantBook, balance

TENANT = UUID(int=7)
TOPIC = topics.tenant_events_topic("slotslotsl")


def _raw(done: int, *, end: int | None = None, start: int = 0, young: int | None = None) -> Followed:
    last = done if end is None else end
    return Followed(topics.RAW, 0, start, last, done, last if young is None else young)


def _line(offset: int, *, events: int = 1, items: int | None = None, refused: int = 0) -> RawLine:
    counts = TenantCounts(events=events, refused={"no_consent": refused} if refused else {})
    total = events + refused if items is None else items
    return RawLine(
        topic=topics.RAW, partition=0, offset=offset, deliveries=1, items=total, tenants={str(TENANT): counts}
    )


def _part(first: int, following: int, **counts: int) -> OutcomeRange:
    return OutcomeRange(0, first, following, counts)


def _book(
    ranges: Sequence[OutcomeRange], position: int, *, end: int | None = None, young: int | None = None
) -> TenantBook:
    last = position if end is None else end
    lane = Followed(TOPIC, 0, 0, last, position, last if young is None else young)
    return TenantBook(TENANT, "acme", [lane], ranges)


def _findings(result: Balance) -> list[tuple[str, int | None, int | None]]:
    return [(finding.topic, finding.first_offset, finding.next_offset) for finding in result.findings]


def test_books_in_order_balance() -> None:
    result = balance(
        [_raw(3)],
        [_line(0, events=2), _line(1, events=0, refused=1), _line(2)],
        [],
        [_book([_part(0, 2, stored=2), _part(2, 3, duplicate=1)], 3)],
    )
    assert result.findings == []
    assert result.in_flight == []
    total = result.tenants[str(TENANT)]
    assert (total.events, total.records, total.refused_by_reason["no_consent"]) == (3, 3, 1)


def test_a_raw_record_without_a_line_is_found_with_its_range() -> None:
    result = balance([_raw(5)], [_line(0, events=0, items=0), _line(4, events=0, items=0)], [], [])
    assert _findings(result) == [(topics.RAW, 1, 4)]


def test_offsets_that_retention_removed_and_a_line_says_so_are_no_hole() -> None:
    gone = ExpiredLine(topic=topics.RAW, partition=0, first_offset=0, next_offset=3)
    assert balance([_raw(3)], [], [gone], []).findings == []
    assert balance([_raw(3, start=3)], [], [], []).findings == []


def test_a_line_whose_items_have_no_end_is_found() -> None:
    result = balance([_raw(1)], [_line(0, events=1, items=2)], [], [_book([_part(0, 1, stored=1)], 1)])
    assert _findings(result) == [(topics.RAW, 0, 1)]


def test_a_hole_an_overlap_and_an_early_end_of_a_lanes_outcomes_are_found() -> None:
    lines = [_line(0, events=6)]
    hole = balance([_raw(1)], lines, [], [_book([_part(0, 2, stored=2), _part(4, 6, stored=2)], 6)])
    assert (TOPIC, 2, 4) in _findings(hole)
    twice = balance([_raw(1)], lines, [], [_book([_part(0, 4, stored=4), _part(2, 6, stored=4)], 6)])
    assert (TOPIC, 2, 4) in _findings(twice)
    short = balance([_raw(1)], lines, [], [_book([_part(0, 4, stored=4)], 6)])
    assert (TOPIC, 4, 6) in _findings(short)
    beyond = balance([_raw(1)], lines, [], [_book([_part(0, 6, stored=6)], 4, end=6)])
    assert (TOPIC, 4, 6) in _findings(beyond)


def test_outcomes_that_are_fewer_than_the_records_are_found() -> None:
    result = balance([_raw(1)], [_line(0, events=3)], [], [_book([_part(0, 3, stored=2)], 3)])
    assert (TOPIC, 0, 3) in _findings(result)


def test_an_event_published_twice_is_republished_and_balances_as_a_duplicate() -> None:
    result = balance([_raw(1)], [_line(0)], [], [_book([_part(0, 2, stored=1, duplicate=1)], 2)])
    assert result.findings == []
    assert result.tenants[str(TENANT)].republished == 1


def test_more_rows_than_events_do_not_balance() -> None:
    result = balance([_raw(1)], [_line(0)], [], [_book([_part(0, 2, stored=2)], 2)])
    assert {finding.topic for finding in result.findings} == {TOPIC}


def test_an_event_of_a_line_that_is_not_on_the_topic_is_found() -> None:
    result = balance([_raw(1)], [_line(0, events=2)], [], [_book([_part(0, 1, stored=1)], 1)])
    assert [finding.what for finding in result.findings] == ["1 events of ledger lines are not on the topic"]


def test_a_replay_is_a_source_of_its_own() -> None:
    result = balance([_raw(1)], [_line(0)], [], [_book([_part(0, 2, stored=2, replays=1)], 2)])
    assert result.findings == []


def test_what_is_younger_than_a_minute_is_in_flight_and_what_is_older_is_found() -> None:
    young = balance([_raw(0, end=2, young=0)], [], [], [_book([], 0, end=3, young=0)])
    assert young.findings == []
    assert [(found.topic, found.first_offset, found.next_offset) for found in young.in_flight] == [
        (topics.RAW, 0, 2),
        (TOPIC, 0, 3),
    ]
    old = balance([_raw(0, end=2, young=1)], [], [], [_book([], 0, end=3, young=2)])
    assert _findings(old) == [(topics.RAW, 0, 1), (TOPIC, 0, 2)]
