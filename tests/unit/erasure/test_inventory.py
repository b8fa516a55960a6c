"""Until when copies can be read: from the keys and topics that are there."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from contracts.receipt_words import System
from store.erasure.answers.inventory import (
    Copy,
    Observed,
    Root,
    TopicHeld,
    TransportKey,
    copies,
    irrecoverable_on,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def topic(name: str, days: float, *, earlier: bool = False, unrouted: bool = False) -> TopicHeld:
    return TopicHeld(name, days * DAY, timedelta(hours=1), earlier, unrouted)


SEEN = Observed(
    now=NOON,
    executed_at=NOON,
    roots=[Root(4, "current", NOON - 2 * DAY, None, None)],
    tenant_keys=[TransportKey("tenant/x", b"\x01\x02\x03\x04", NOON + 3 * DAY)],
    request_keys=[TransportKey("erasure", b"\x05\x06\x07\x08", NOON + 3 * DAY)],
    tenant_topic=topic("mk.t.x.events.v1", 3, earlier=True),
    raw_topic=topic("mk.raw.v1", 3),
    raw_quarantine=topic("mk.quarantine.raw.v1", 6),
    tenant_quarantine=topic("mk.quarantine.tenant.v1", 6),
    root_lasts=7 * DAY,
    backups_kept=14 * DAY,
)


def until(seen: Observed, place: System) -> list[datetime]:
    return [copy.until for copy in copies(seen) if copy.place is place]


def test_database_copies_end_when_the_root_epoch_of_the_execution_is_destroyed() -> None:
    assert until(SEEN, System.WAL_AND_BACKUPS) == [NOON + 6 * DAY]
    assert until(SEEN, System.KEY_EXPORTS) == [NOON + 6 * DAY]


def test_a_retiring_epoch_ends_a_day_after_its_flip_and_an_overdue_one_says_what_it_waits_for() -> None:
    flipped = replace(SEEN, roots=[Root(3, "retiring", NOON - 7 * DAY, NOON - DAY / 2, "export")])
    assert next((copy.until, copy.waits_for) for copy in copies(flipped)) == (NOON + DAY / 2, None)
    late = replace(SEEN, roots=[Root(3, "retiring", NOON - 9 * DAY, NOON - 2 * DAY, "archive")])
    first = copies(late)[0]
    assert (first.place, first.until, first.waits_for) == (
        System.KEY_EXPORTS,
        NOON + DAY,
        "archive",
    )
    assert first.is_overdue


def test_a_current_epoch_older_than_it_should_be_is_overdue_too() -> None:
    old = replace(SEEN, roots=[Root(3, "current", NOON - 9 * DAY, None, None)])
    assert {copy.waits_for for copy in copies(old) if copy.key == "root:3"} == {"flip"}


def test_what_the_key_providers_backups_hold_is_readable_so_much_longer() -> None:
    half = DAY / 2
    backed_up = replace(
        SEEN, provider_keeps=half, raw_topic=topic("mk.raw.v1", 3, earlier=True, unrouted=True)
    )
    assert until(backed_up, System.WAL_AND_BACKUPS) == [NOON + 6 * DAY + half]
    assert until(backed_up, System.KEY_EXPORTS) == [NOON + 6 * DAY + half]
    assert until(backed_up, System.TENANT_EVENTS) == [NOON + 10 * DAY + half, NOON + 14 * DAY + half]
    assert until(backed_up, System.REQUESTS) == [NOON + 10 * DAY + half]
    assert until(backed_up, System.RAW) == [NOON + 11 * DAY + half]
    # Destroyed, and not late: a backup of the provider's has it, no rotation is waited for.
    destroyed = Root(3, "destroyed", NOON - 9 * DAY, NOON - 2 * DAY, None, NOON - DAY / 4)
    gone = [one for one in copies(replace(backed_up, roots=[destroyed])) if one.key == "root:3"]
    assert {(one.until, one.waits_for) for one in gone} == {(NOON + DAY / 4, None)}


def test_records_are_readable_until_their_key_dies_and_leave_the_topic_before() -> None:
    copy = next(one for one in copies(SEEN) if one.place is System.TENANT_EVENTS)
    assert copy.until == NOON + 10 * DAY
    assert copy.unlinked_by == NOON + 3 * DAY + timedelta(hours=1, minutes=6)
    gone = replace(SEEN, tenant_keys=[])
    assert until(gone, System.TENANT_EVENTS) == []


def test_what_may_be_sealed_again_late_lives_as_long_as_a_later_key() -> None:
    backlog = replace(SEEN, raw_topic=topic("mk.raw.v1", 3, earlier=True, unrouted=True))
    assert max(until(backlog, System.TENANT_EVENTS)) == NOON + 14 * DAY
    set_aside = replace(SEEN, raw_quarantine=topic("mk.quarantine.raw.v1", 6, earlier=True))
    assert max(until(set_aside, System.TENANT_EVENTS)) == NOON + 17 * DAY
    assert until(set_aside, System.QUARANTINE_RAW) == [NOON + 11 * DAY]


def test_quarantined_records_count_only_where_there_are_some() -> None:
    assert until(SEEN, System.QUARANTINE_TENANT) == []
    held = replace(SEEN, tenant_quarantine=topic("mk.quarantine.tenant.v1", 6, earlier=True))
    assert until(held, System.QUARANTINE_TENANT) == [NOON + 10 * DAY]


def test_a_request_that_names_nobody_leaves_no_name_on_its_topic() -> None:
    assert until(SEEN, System.REQUESTS) == [NOON + 10 * DAY]
    assert until(replace(SEEN, named_in_request=False), System.REQUESTS) == []


def test_the_answer_is_the_first_whole_day_in_brazil_after_the_last_copy() -> None:
    # 02:00 UTC is still the day before in Sao Paulo.
    early = datetime(2026, 12, 2, 2, tzinfo=UTC)
    assert irrecoverable_on([Copy(System.RAW, early, "raw")], NOON) == date(2026, 12, 2)
    assert irrecoverable_on([], NOON) == date(2026, 11, 23)
    # Metadata of rows, which no key covers, goes last here: with the oldest backup.
    assert copies(SEEN)[-1].place is System.ROW_METADATA
    assert irrecoverable_on(copies(SEEN), NOON) == date(2026, 12, 7)


def test_later_on_only_what_is_left_is_listed() -> None:
    later = replace(
        SEEN, now=NOON + 20 * DAY, roots=[], tenant_keys=[], request_keys=[], raw_topic=topic("mk.raw.v1", 3)
    )
    assert copies(later) == []
