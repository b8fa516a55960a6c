"""One tenant's part of a transaction: read under the lock, judge, encrypt per person, insert with the position.

Runs inside a transaction that has entered the tenant's role and holds its shared lock, and never commits. A DEK lives no
longer than this call: a cached one would bring erased people back (PRIVACY.md section 2).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID, uuid4

import asyncpg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import KeyNotYetKnown, PositionLost
from store.keys.cells import CellBinding, encrypt_cells, new_dek, open_dek
from store.lanes.database import Connection, WriteConflict, execute, fetch, fetch_row
from store.lanes.event import TenantEvent
from store.lanes.judge import NO_FENCE, Fence, may_open_generation, unexpired
from store.lanes.keks import TenantKeks, WrappedKek
from store.lanes.queries import TenantStatements
from store.lanes.resolve import KnownSubject, Subjects, named_by

FENCE_KEPT_DAYS: Final = 230
"""A window of 190 days and the oldest backup: what keeps somebody out is kept as long as a fence."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive records of one lane, opened: offsets `first` up to, not including, `next_offset`."""

    tenant: UUID
    statements: TenantStatements
    slot: str
    partition: int
    first: int
    next_offset: int
    events: tuple[TenantEvent, ...] = field(repr=False)
    refused: frozenset[UUID]
    """Accounts that control refuses: disconnected, consent withdrawn, or not known."""
    retention_days: int
    quarantined: int = 0
    notice: int = 0
    expired_unread: int = 0
    replays: int = 0


@dataclass(frozen=True, slots=True)
class Persisted:
    """What became of a batch, true once the transaction commits."""

    stored: int
    duplicate: int
    fenced: int
    expired: int
    refused: int


class _Row(NamedTuple):
    """A row to be; a named tuple because there is one for every record."""

    event: TenantEvent
    subject: UUID
    generation: int
    dek: AESGCM

    def __repr__(self) -> str:
        """Not the event."""
        return f"_Row(subject={self.subject}, generation={self.generation})"


@dataclass(slots=True)
class _Read:
    """What one read found."""

    subjects: Subjects
    erased_refs: set[bytes] = field(default_factory=set)
    erased_ids: set[bytes] = field(default_factory=set)
    erased_writings: set[bytes] = field(default_factory=set)
    """Refs of what erased people wrote: they keep out what names nobody."""
    erased_accounts: set[UUID] = field(default_factory=set)
    keks: dict[int, WrappedKek] = field(default_factory=dict)
    current: int | None = None
    now: datetime | None = None
    kept_out: set[bytes] = field(default_factory=set)
    """Refs of writings that a fence keeps out now."""


class _Ring:
    """The keys of one batch. Dropped with it."""

    def __init__(self, tenant: UUID, read: _Read, keks: TenantKeks) -> None:
        self._tenant, self._read, self._keks = tenant, read, keks
        self._open: dict[UUID, tuple[int, AESGCM]] = {}
        self.created: list[tuple[UUID, bytes, int]] = []
        self.opened: list[tuple[UUID, int, bytes, int, int]] = []

    def living(self, subject: UUID) -> tuple[int, AESGCM] | None:
        """Generation and DEK already used in this batch."""
        return self._open.get(subject)

    async def existing(self, subject: KnownSubject) -> tuple[int, AESGCM]:
        """The living DEK of a known subject."""
        assert subject.wrapped_dek is not None
        assert subject.dek_epoch is not None
        kek = await self._kek(subject.dek_epoch)
        dek = open_dek(
            kek,
            subject.wrapped_dek,
            self._tenant,
            subject.subject_id,
            subject.generation,
            subject.dek_epoch,
        )
        return self._keep(subject.subject_id, subject.generation, dek)

    async def create(self, subject: UUID) -> tuple[int, AESGCM]:
        """Generation 1 of a new subject."""
        dek, wrapped, epoch = await self._fresh(subject, 1)
        self.created.append((subject, wrapped, epoch))
        return self._keep(subject, 1, dek)

    async def reopen(self, subject: KnownSubject) -> tuple[int, AESGCM]:
        """The next generation of a subject that has no living one."""
        generation = max(subject.generation, subject.erased_through_gen + 1)
        dek, wrapped, epoch = await self._fresh(subject.subject_id, generation)
        self.opened.append((subject.subject_id, generation, wrapped, epoch, subject.erased_through_gen))
        return self._keep(subject.subject_id, generation, dek)

    def _keep(self, subject: UUID, generation: int, dek: AESGCM) -> tuple[int, AESGCM]:
        self._open[subject] = (generation, dek)
        return generation, dek

    async def _fresh(self, subject: UUID, generation: int) -> tuple[AESGCM, bytes, int]:
        epoch = self._read.current
        if epoch is None:
            raise KeyNotYetKnown("the tenant has no current epoch")
        dek, wrapped = new_dek(await self._kek(epoch), self._tenant, subject, generation, epoch)
        return dek, wrapped, epoch

    async def _kek(self, epoch: int) -> AESGCM:
        row = self._read.keks.get(epoch)
        if row is None:
            raise KeyNotYetKnown("the tenant has no such epoch")
        return await self._keks.cipher(self._tenant, row)


class Persister:
    """Writes batches. Holds the tenant KEKs of the process and nothing else between batches."""

    def __init__(self, keks: TenantKeks, new_id: Callable[[], UUID] = uuid4) -> None:
        self._keks = keks
        self._new_id = new_id

    async def write(self, connection: Connection, batch: Batch) -> Persisted:
        """Raises PositionLost, LockTimeout, WriteConflict, PartitionMissing, KeyNotYetKnown or DatabaseUnavailable.

        The transaction must then be rolled back to before this tenant.
        """
        wanted: Sequence[TenantEvent] = batch.events
        if batch.refused:
            wanted = [event for event in wanted if event.account not in batch.refused]
        refused = len(batch.events) - len(wanted)
        rows: list[_Row] = []
        fenced = expired = 0
        kept_out: set[bytes] = set()
        if wanted:
            read = await self._read(connection, batch.statements, wanted)
            now = read.now
            if now is None:
                raise KeyNotYetKnown("the tenant has no epoch")
            kept = unexpired(wanted, now, batch.retention_days)
            expired = len(wanted) - len(kept)
            ring = _Ring(batch.tenant, read, self._keks)
            rows = await self._rows(read, ring, kept)
            fenced = len(kept) - len(rows)
            kept_out = read.kept_out
            await self._create(connection, batch.statements, read.subjects, ring)
        stored = await self._insert(connection, batch, rows, fenced, expired, refused)
        if kept_out:
            await execute(connection, batch.statements.keep_out, sorted(kept_out), FENCE_KEPT_DAYS)
        return Persisted(stored, len(rows) - stored, fenced, expired, refused)

    async def _read(
        self, connection: Connection, statements: TenantStatements, events: Sequence[TenantEvent]
    ) -> _Read:
        aliases, nobodys_refs = named_by(events)
        subjects = Subjects(self._new_id)
        others: list[UUID] = []
        if nobodys_refs:
            for row in await fetch(connection, statements.subjects_by_ref, sorted(nobodys_refs)):
                subjects.add_ref(row["message_ref"], row["subject_id"])
                others.append(row["subject_id"])
        read = _Read(subjects)
        found = await fetch(
            connection,
            statements.read_batch,
            sorted(aliases),
            others,
            sorted({e.message_ref for e in events if e.message_ref is not None and e.minds_tombstone}),
            sorted({e.event_id.bytes for e in events if e.occurred_s is None}),
            sorted(nobodys_refs),
            [account.bytes for account in sorted({e.account for e in events})],
        )
        for row in found:
            _take(read, row)
        if linked := subjects.linked():
            for row in await fetch(connection, statements.linked_subjects, linked):
                fence = _fence(row["watermark"], row["executed_at"], row["blocked"])
                subjects.add_link(row["root"], row["subject_id"], fence)
        return read

    async def _rows(self, read: _Read, ring: _Ring, events: list[TenantEvent]) -> list[_Row]:
        subjects = read.subjects
        # All events are resolved before the first is judged: a link that a later one makes fences earlier ones as well.
        homes: list[tuple[TenantEvent, UUID]] = []
        has_tombstones = bool(read.erased_refs or read.erased_ids or read.erased_writings)
        for event in events:
            if event.account in read.erased_accounts:
                continue
            erased = has_tombstones and _is_tombstoned(read, event)
            # Also of what is dropped: an unknown alias in an erased person's backlog is remembered as theirs.
            home = subjects.home_of(event)
            if not erased:
                homes.append((event, home))
        rows: list[_Row] = []
        for event, home in homes:
            if subjects.fence_of(home).drops(event):
                if (ref := event.written_ref) is not None:
                    read.kept_out.add(ref)
                continue
            key = ring.living(home)
            if key is None:
                known = subjects.known.get(home)
                if known is None:
                    key = await ring.create(home)
                elif known.wrapped_dek is not None:
                    key = await ring.existing(known)
                elif subjects.opens_to_any(home) or may_open_generation(event):
                    key = await ring.reopen(known)
                else:
                    continue
            rows.append(_Row(event, home, key[0], key[1]))
        return rows

    async def _create(
        self, connection: Connection, statements: TenantStatements, subjects: Subjects, ring: _Ring
    ) -> None:
        made = {subject for subject, _, _ in ring.created}
        # A subject that no stored event needed is not made. Its aliases and links are those of whom it was linked with: who
        # is erased stays so under a name that only the backlog tells.
        skipped = subjects.new_subjects - made
        heirs: dict[UUID, UUID | None] = dict.fromkeys(skipped)
        if skipped and subjects.new_links:
            heirs = {subject: subjects.heir_of(subject, made) for subject in skipped}
        aliases = [
            (pseudonym, home)
            for pseudonym, owner in subjects.new_aliases.items()
            if (home := heirs.get(owner, owner)) is not None
        ]
        pairs: dict[tuple[UUID, UUID], UUID] = {}
        for (one, other), event in subjects.new_links.items():
            low, high = heirs.get(one, one), heirs.get(other, other)
            if low is not None and high is not None and low != high:
                pairs.setdefault((min(low, high), max(low, high)), event)
        links = [
            # Where somebody of those it joins was erased, what the others had by then must go too: erasure does that.
            (*pair, event if subjects.fence_of(pair[0]).stands else None)
            for pair, event in pairs.items()
        ]
        if ring.opened:
            opened = sorted(ring.opened)
            count = await fetch_row(
                connection,
                statements.open_generations,
                *(list(column) for column in zip(*opened, strict=True)),
            )
            if count is None or count[0] != len(opened):
                raise WriteConflict("another writer opened the generation first")
        if aliases or links:
            count = await fetch_row(
                connection,
                statements.create_subjects,
                [pseudonym for pseudonym, _ in aliases],
                [subject for _, subject in aliases],
                [subject for subject, _, _ in ring.created],
                [wrapped for _, wrapped, _ in ring.created],
                [epoch for _, _, epoch in ring.created],
                [low for low, _, _ in links],
                [high for _, high, _ in links],
                [event for _, _, event in links],
            )
            if count is None or count[0] != len(aliases):
                raise WriteConflict("another writer made an alias first")

    async def _insert(
        self, connection: Connection, batch: Batch, rows: list[_Row], fenced: int, expired: int, refused: int
    ) -> int:
        binding = CellBinding(batch.tenant, "message", "body")
        rows.sort(key=lambda row: row.event.event_id)
        events = [row.event for row in rows]
        ended = await fetch_row(
            connection,
            batch.statements.persist,
            [event.event_id for event in events],
            [row.subject for row in rows],
            [row.generation for row in rows],
            [event.event_type for event in events],
            [event.schema_version for event in events],
            [event.account for event in events],
            [event.retention for event in events],
            [event.direction for event in events],
            [event.conversation for event in events],
            [event.message_ref for event in events],
            [event.received_at.timestamp() for event in events],
            encrypt_cells(
                binding,
                (
                    (dek, subject, generation, event.event_id, event.payload)
                    for event, subject, generation, dek in rows
                ),
                len(rows),
            ),
            batch.partition,
            batch.slot,
            batch.first,
            batch.next_offset,
            fenced,
            expired,
            refused,
            batch.quarantined,
            batch.notice,
            batch.expired_unread,
            batch.replays,
        )
        if ended is None or ended["moved"] != 1:
            raise PositionLost("another owner moved the lane")
        return int(ended["stored"])


def _is_tombstoned(read: _Read, event: TenantEvent) -> bool:
    """Whether the event's own ref or id was erased, whoever it is about."""
    if event.message_ref is not None and event.minds_tombstone:
        if event.message_ref in read.erased_refs:
            return True
        if not event.persons and event.message_ref in read.erased_writings:
            return True
    return event.occurred_s is None and event.event_id.bytes in read.erased_ids


def _take(read: _Read, row: asyncpg.Record) -> None:
    (
        kind,
        ref,
        subject_id,
        generation,
        erased_through,
        wrapped_dek,
        dek_epoch,
        watermark,
        executed_at,
        blocked,
        linked,
    ) = row
    if kind in ("a", "s"):
        known = KnownSubject(
            subject_id,
            generation,
            erased_through,
            wrapped_dek,
            dek_epoch,
            _fence(watermark, executed_at, blocked),
            linked,
        )
        if kind == "a":
            read.subjects.add_alias(ref, known)
        else:
            read.subjects.add_subject(known)
    elif kind == "r":
        read.erased_refs.add(ref)
    elif kind == "e":
        read.erased_ids.add(ref)
    elif kind == "n":
        read.erased_writings.add(ref)
    elif kind == "g":
        read.erased_accounts.add(UUID(bytes=ref))
    else:
        read.keks[generation] = WrappedKek(generation, dek_epoch, ref)
        read.now = watermark
        if blocked:
            read.current = generation


def _fence(watermark: datetime | None, executed_at: datetime | None, blocked: bool) -> Fence:
    if watermark is None and executed_at is None and not blocked:
        return NO_FENCE
    return Fence(watermark, executed_at, blocked)
