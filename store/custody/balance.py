"""The equations of the ledger (DESIGN.md section 8) over what was read from Kafka and Postgres. Pure.

A finding names the topic, partition and offsets where the books do not agree. What is merely not finished yet, and
younger than 60 s, is *in flight* and no finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from contracts.ledger import ExpiredLine, Outcome, RawLine

IN_FLIGHT_S: Final = 60
EXPIRED_UNREAD: Final = "expired_unread"
REPLAYS: Final = "replays"
OUTCOMES: Final = (*(outcome.value for outcome in Outcome), EXPIRED_UNREAD)
"""Columns of lane_outcome that add up to a range's records."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A range of offsets that does not balance. `next_offset` is exclusive."""

    what: str
    topic: str
    partition: int | None
    first_offset: int | None
    next_offset: int | None


@dataclass(frozen=True, slots=True)
class Followed:
    """A source partition and how far it was followed. `young_from`: the first offset younger than 60 s."""

    topic: str
    partition: int
    log_start: int
    log_end: int
    done: int
    """The router's committed offset, or a lane's position: everything before it has ended."""
    young_from: int

    @property
    def overdue(self) -> int:
        """Records older than 60 s without an end."""
        return max(0, self.young_from - max(self.done, self.log_start))

    @property
    def waiting(self) -> int:
        """All records without an end."""
        return max(0, self.log_end - max(self.done, self.log_start))


@dataclass(frozen=True, slots=True)
class OutcomeRange:
    """One row of lane_outcome."""

    partition: int
    first_offset: int
    next_offset: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TenantBook:
    """One tenant's lanes: what was followed and what became of it."""

    tenant: UUID
    name: str
    lanes: Sequence[Followed]
    ranges: Sequence[OutcomeRange]


@dataclass(slots=True)
class TenantTotals:
    """One line of the table. `raw_records`: how many raw records had something of this tenant's."""

    name: str
    raw_records: int = 0
    events: int = 0
    quarantined_by_reason: Counter[str] = field(default_factory=Counter)
    refused_by_reason: Counter[str] = field(default_factory=Counter)
    records: int = 0
    republished: int = 0
    waiting: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Balance:
    """The result. Balanced when there are no findings; strictly when nothing is in flight either."""

    findings: Sequence[Finding]
    in_flight: Sequence[Finding]
    raw_records: int
    deliveries: int
    items: int
    tenants: Mapping[str, TenantTotals]
    """By tenant id; "" is nobody's."""


def balance(
    raw: Sequence[Followed],
    lines: Iterable[RawLine],
    expired: Sequence[ExpiredLine],
    books: Sequence[TenantBook],
) -> Balance:
    """Hold the lines against the positions that were read before them."""
    findings: list[Finding] = []
    in_flight: list[Finding] = []
    totals: dict[str, TenantTotals] = {"": TenantTotals("(nobody)")}
    for book in books:
        totals[str(book.tenant)] = TenantTotals(book.name)
    offsets: dict[tuple[str, int], set[int]] = {}
    records = deliveries = items = 0
    for line in lines:
        offsets.setdefault((line.topic, line.partition), set()).add(line.offset)
        records, deliveries, items = records + 1, deliveries + line.deliveries, items + line.items
        if line.items != line.ended():
            findings.append(
                Finding(
                    f"a line has {line.items} items but {line.ended()} endings",
                    line.topic,
                    line.partition,
                    line.offset,
                    line.offset + 1,
                )
            )
        for tenant, counts in line.tenants.items():
            total = totals.setdefault(tenant, TenantTotals("(another tenant)"))
            total.raw_records += 1
            total.events += counts.events
            total.quarantined_by_reason.update(counts.quarantined)
            total.refused_by_reason.update(counts.refused)
    for followed in raw:
        missing = _missing(followed, offsets.get((followed.topic, followed.partition), set()), expired)
        findings += [
            Finding("no ledger line below the router's committed offset", *_where(followed), first, following)
            for first, following in missing
        ]
        _judge_waiting(followed, "not routed", findings, in_flight)
    raw_busy = any(followed.waiting for followed in raw)
    for book in books:
        _judge_tenant(book, totals[str(book.tenant)], raw_busy, findings, in_flight)
    return Balance(findings, in_flight, records, deliveries, items, totals)


def _where(followed: Followed) -> tuple[str, int]:
    return followed.topic, followed.partition


def _missing(followed: Followed, have: set[int], expired: Sequence[ExpiredLine]) -> list[tuple[int, int]]:
    gone = [
        (line.first_offset, line.next_offset) for line in expired if _where_line(line) == _where(followed)
    ]
    ranges: list[tuple[int, int]] = []
    for offset in range(followed.log_start, followed.done):
        if offset in have or any(first <= offset < following for first, following in gone):
            continue
        if ranges and ranges[-1][1] == offset:
            ranges[-1] = (ranges[-1][0], offset + 1)
        else:
            ranges.append((offset, offset + 1))
    return ranges


def _where_line(line: ExpiredLine) -> tuple[str, int]:
    return line.topic, line.partition


def _judge_waiting(followed: Followed, what: str, findings: list[Finding], in_flight: list[Finding]) -> None:
    start = max(followed.done, followed.log_start)
    if followed.overdue:
        findings.append(
            Finding(f"{what} for more than {IN_FLIGHT_S} s", *_where(followed), start, followed.young_from)
        )
    if followed.waiting > followed.overdue:
        first = max(start, followed.young_from)
        in_flight.append(Finding(f"{what} yet", *_where(followed), first, followed.log_end))


def _judge_tenant(
    book: TenantBook,
    total: TenantTotals,
    raw_busy: bool,
    findings: list[Finding],
    in_flight: list[Finding],
) -> None:
    for lane in book.lanes:
        findings += _uncovered(lane, [part for part in book.ranges if part.partition == lane.partition])
        _judge_waiting(lane, "not stored", findings, in_flight)
        total.waiting += lane.waiting
    for part in book.ranges:
        total.outcomes.update({name: count for name, count in part.counts.items() if count})
        total.records += sum(part.counts.get(name, 0) for name in OUTCOMES)
    published = sum(lane.log_end for lane in book.lanes)
    known = total.events + total.outcomes[Outcome.NOTICE] + total.outcomes[REPLAYS]
    total.republished = published - known
    topic = book.lanes[0].topic if book.lanes else ""
    whole = (topic, None, None, None)
    if total.republished < 0:
        findings.append(Finding(f"{-total.republished} events of ledger lines are not on the topic", *whole))
    # What follows holds once everything published has its ledger line and its outcome; until then it is in flight.
    pending = in_flight if raw_busy else findings
    stored = total.outcomes[Outcome.STORED]
    if stored > total.events + total.outcomes[REPLAYS]:
        pending.append(Finding(f"{stored} rows stored of {total.events} events in ledger lines", *whole))
    unread = total.outcomes[EXPIRED_UNREAD]
    others = total.records - stored - total.outcomes[Outcome.NOTICE]
    if not total.waiting and total.republished > others:
        pending.append(
            Finding(
                f"{total.republished} records republished but only {others - unread} ended as known", *whole
            )
        )


def _uncovered(lane: Followed, ranges: Sequence[OutcomeRange]) -> list[Finding]:
    findings: list[Finding] = []
    covered = 0
    for part in sorted(ranges, key=lambda part: (part.first_offset, part.next_offset)):
        if part.first_offset > covered:
            findings.append(Finding("no outcome", *_where(lane), covered, part.first_offset))
        elif part.first_offset < covered:
            end = min(covered, part.next_offset)
            findings.append(Finding("two outcomes", *_where(lane), part.first_offset, end))
        counted = sum(part.counts.get(name, 0) for name in OUTCOMES)
        if counted != part.next_offset - part.first_offset:
            findings.append(
                Finding(f"{counted} outcomes", *_where(lane), part.first_offset, part.next_offset)
            )
        covered = max(covered, part.next_offset)
    if covered < lane.done:
        findings.append(Finding("no outcome", *_where(lane), covered, lane.done))
    elif covered > lane.done:
        findings.append(Finding("outcomes beyond the lane's position", *_where(lane), lane.done, covered))
    return findings
