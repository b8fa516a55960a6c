"""Who is gone and who is live, judged anew from the bare topics and tables: the storm's and the drills' checker.

Shares no code with the service but the names of topics: it reads records and rows itself, applies the rules of
PRIVACY.md section 3 to them, and counts what does not agree. Must never ask the service whether the service was right.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import UUID

import asyncpg

from contracts.topics import ERASURE_FENCES, tenant_events_topic
from tests.support.erasure import read_all
from tests.support.world import Tenant, World

OPENERS = frozenset({"message.received"})
"""Of the types that the storm posts: what brings an erased person back."""
JUDGED = frozenset({"message.received", "history.imported"})
"""Types whose every record is a row or rightly is none. An unsend itself is kept or fenced, either is right."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One record of an event on the tenant's topic: the same event may stand there several times."""

    kind: str
    persons: tuple[str, ...] = field(repr=False)
    ref: str | None = field(repr=False)
    occurred_s: int
    received_us: int


@dataclass(slots=True)
class Mark:
    """The strictest of a person's fences."""

    watermark_s: int = -1
    executed_us: int = -1


@dataclass(slots=True)
class Counts:
    """What must be 0, and how much was looked at."""

    resurrected_rows: int = 0
    lost_live_rows: int = 0
    rows_of_erased_generations: int = 0
    keys_brought_back: int = 0
    requests_without_an_end: int = 0
    events: int = 0
    rows: int = 0
    fences: int = 0
    requests: int = 0

    @property
    def wrong(self) -> int:
        """The sum of what must be 0."""
        return (
            self.resurrected_rows
            + self.lost_live_rows
            + self.rows_of_erased_generations
            + self.keys_brought_back
            + self.requests_without_an_end
        )

    def lines(self) -> list[str]:
        """One line a count."""
        return [f"{value:>8}  {name.replace('_', ' ')}" for name, value in asdict(self).items()]


def _copies(records: Iterable[Any]) -> dict[UUID, list[Copy]]:
    found: dict[UUID, list[Copy]] = {}
    for record in records:
        headers = dict(record.headers)
        kind = headers.get("ce_type", b"").decode()
        if kind == "subject.erased":
            continue
        identity = UUID(headers["ce_id"].decode())
        received_ms = int(headers.get("q_received_at") or headers["mk_received_at"])
        persons = headers.get("mk_person", b"").decode()
        found.setdefault(identity, []).append(
            Copy(
                kind,
                tuple(persons.split(",")) if persons else (),
                headers["mk_ref"].decode() if "mk_ref" in headers else None,
                (identity.int >> 80) // 1000,
                received_ms * 1000,
            )
        )
    return found


def _marks(records: Iterable[Any], tenant: UUID) -> tuple[dict[str, Mark], set[str], int]:
    marks: dict[str, Mark] = {}
    refs: set[str] = set()
    count = 0
    for record in records:
        fence = json.loads(record.value)
        if fence["tenant"] != str(tenant):
            continue
        count += 1
        refs.update(fence["refs"])
        for pseudonym in fence["pseudonyms"]:
            mark = marks.setdefault(pseudonym, Mark())
            mark.executed_us = max(mark.executed_us, fence["executed_at_us"])
            if fence["watermark_s"] is not None:
                mark.watermark_s = max(mark.watermark_s, fence["watermark_s"])
    return marks, refs, count


def _is_live(copy: Copy, marks: dict[str, Mark]) -> bool:
    found = [marks[person] for person in copy.persons if person in marks]
    return all(copy.occurred_s > mark.watermark_s and copy.received_us > mark.executed_us for mark in found)


async def _check(world: World, tenant: Tenant) -> Counts:
    events = _copies(await read_all(world.stack.endpoints, tenant_events_topic(tenant.slot)))
    marks, refs, fences = _marks(await read_all(world.stack.endpoints, ERASURE_FENCES), tenant.tenant)
    connection = await asyncpg.connect(world.stack.dsn(world.service.database), timeout=10)
    s = tenant.schema
    try:
        rows = await connection.fetch(
            f"SELECT m.id, m.event_type, m.generation, s.erased_through_gen FROM {s}.message m"
            f" LEFT JOIN {s}.subject s USING (subject_id)"
        )
        keys = await connection.fetch(
            f"SELECT s.generation, s.erased_through_gen, array_agg(encode(a.pseudonym, 'hex')) AS names"
            f" FROM {s}.subject s JOIN {s}.alias a USING (subject_id)"
            f" WHERE s.wrapped_dek IS NOT NULL OR s.rekey_from IS NOT NULL GROUP BY s.subject_id"
        )
        requests = await connection.fetch("SELECT state, told_state FROM mk.erasure_request")
    finally:
        await connection.close()

    counts = Counts(events=len(events), rows=len(rows), fences=fences, requests=len(requests))
    counts.requests_without_an_end = sum(
        row["state"] not in ("answered", "refused") or row["told_state"] != row["state"] for row in requests
    )
    must_be = {
        identity
        for identity, copies in events.items()
        if copies[0].kind in JUDGED
        and copies[0].ref not in refs
        and any(_is_live(copy, marks) for copy in copies)
    }
    there = {row["id"] for row in rows if row["event_type"] in JUDGED}
    counts.resurrected_rows = len(there - must_be)
    counts.lost_live_rows = len(must_be - there)
    counts.rows_of_erased_generations = sum(
        row["erased_through_gen"] is None or row["generation"] <= row["erased_through_gen"] for row in rows
    )
    returned = {
        person
        for copies in events.values()
        for copy in copies
        if copy.kind in OPENERS and _is_live(copy, marks)
        for person in copy.persons
    }
    for key in keys:
        erased = [name for name in key["names"] if name in marks]
        if erased and (
            key["generation"] <= key["erased_through_gen"] or not returned.intersection(key["names"])
        ):
            counts.keys_brought_back += 1
    return counts


def check(world: World, tenant: Tenant) -> Counts:
    """Everything on the tenant's topic and the fence topic against every row, key and request."""
    return world.run(_check(world, tenant))
