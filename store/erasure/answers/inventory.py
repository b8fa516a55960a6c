"""When nothing can be read back any more: computed from what is there, not from the plan. Pure.

Erasing destroys a key; copies of what it opened lie in the WAL, in backups and on topics until the keys *over* it have
died too. Each place is one `Copy` with the moment at which it is unreadable; `irrecoverable_on` is the last one's day.
What is observed is an argument (`store.erasure.answers.observe`). PRIVACY.md section 3, *Budget*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from contracts.receipt_words import System
from contracts.sealing import KEY_KEPT_AFTER_S

KEPT_AFTER: Final = timedelta(seconds=KEY_KEPT_AFTER_S)
"""A transport key's private half is destroyed so long after its `seal_until`."""
SEALED_FOR: Final = timedelta(days=4)
"""A transport key's `seal_until` after its `active_from` (DESIGN.md section 7)."""
KEY_LIFE: Final = SEALED_FOR + KEPT_AFTER
ROTATION_TAKES: Final = timedelta(days=1)
"""From the flip of an epoch to the destruction of the old one: re-wrap, export, standbys, archive."""
SEGMENT_SLACK: Final = timedelta(minutes=6)
"""Kafka's check interval (5 minutes) and its delay before it unlinks a segment (1 minute)."""
_ZONE: Final = ZoneInfo("America/Sao_Paulo")


@dataclass(frozen=True, slots=True)
class Root:
    """A root epoch that is not destroyed, or that the key provider's backups may still hold."""

    epoch: int
    state: str
    created_at: datetime
    flipped_at: datetime | None
    waits_for: str | None
    destroyed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TransportKey:
    """A transport key whose private half is still there, or in the key provider's backups."""

    recipient: str
    key_id: bytes
    seal_until: datetime


@dataclass(frozen=True, slots=True)
class TopicHeld:
    """A topic, as configured and as it is. `holds_earlier`: a record from before the execution is still on it."""

    name: str
    retention: timedelta
    segment: timedelta
    holds_earlier: bool
    unrouted_earlier: bool = False
    """Of the raw topic: a record from before the execution that no router has finished."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What is there at `now`, about an execution at `executed_at`. Moments are aware UTC."""

    now: datetime
    executed_at: datetime
    roots: Sequence[Root]
    tenant_keys: Sequence[TransportKey]
    request_keys: Sequence[TransportKey]
    tenant_topic: TopicHeld | None
    raw_topic: TopicHeld
    raw_quarantine: TopicHeld
    tenant_quarantine: TopicHeld
    root_lasts: timedelta
    backups_kept: timedelta
    provider_keeps: timedelta = timedelta(0)
    """How long the key provider's own backups hold a key that was destroyed."""
    named_in_request: bool = field(default=True)
    """False where no request named anybody: a join, an account, a message."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One place, readable until `until` by what `key` names; None: no key covers it, it is overwritten or unlinked then.

    Of an old epoch: WAL, base backups, standbys, dead rows. Metadata of rows: pseudonyms and times of what
    was deleted, in base backups and WAL. A tenant's topic under a later key: raw records that are not routed yet, or were
    set aside; routed late, they are sealed again.
    """

    place: System
    until: datetime
    key: str | None
    waits_for: str | None = None
    """What an old epoch's destruction waits for now."""
    unlinked_by: datetime | None = None
    """When the bytes leave the topic: earlier than the key, as a rule."""

    @property
    def is_overdue(self) -> bool:
        """An old epoch that should have been destroyed by now."""
        return self.waits_for is not None


def copies(seen: Observed) -> list[Copy]:
    """Everything that is still readable for whoever has old bytes and every key there is; the last to go stands last."""
    kept_after = KEPT_AFTER + seen.provider_keeps
    found = [
        copy
        for root in seen.roots
        for copy in (
            _of_root(System.WAL_AND_BACKUPS, root, seen),
            _of_root(System.KEY_EXPORTS, root, seen),
        )
    ]
    if seen.now < (metadata_until := seen.executed_at + seen.backups_kept):
        found.append(Copy(System.ROW_METADATA, metadata_until, None))
    for place, topic in (
        (System.TENANT_EVENTS, seen.tenant_topic),
        (System.QUARANTINE_TENANT, seen.tenant_quarantine),
    ):
        if topic is None or (place is System.QUARANTINE_TENANT and not topic.holds_earlier):
            continue
        unlinked = _unlinked_by(topic, seen)
        found += [
            Copy(place, key.seal_until + kept_after, f"transport:{key.key_id.hex()}", unlinked_by=unlinked)
            for key in seen.tenant_keys
        ]
    if seen.named_in_request:
        found += [
            Copy(System.REQUESTS, key.seal_until + kept_after, f"transport:{key.key_id.hex()}")
            for key in seen.request_keys
        ]
    # The router's keys are its own: one a day, as long-lived as the tenants'.
    key_life = KEY_LIFE + seen.provider_keeps
    raw_until = seen.executed_at + key_life
    for place, topic in ((System.RAW, seen.raw_topic), (System.QUARANTINE_RAW, seen.raw_quarantine)):
        if seen.now < raw_until and (place is System.RAW or topic.holds_earlier):
            found.append(Copy(place, raw_until, "raw", unlinked_by=_unlinked_by(topic, seen)))
    late = [
        topic.retention
        for topic, may_be_sealed in (
            (seen.raw_topic, seen.raw_topic.unrouted_earlier),
            (seen.raw_quarantine, seen.raw_quarantine.holds_earlier),
        )
        if may_be_sealed
    ]
    if late and seen.now < (late_until := seen.executed_at + max(late) + key_life):
        found.append(Copy(System.TENANT_EVENTS, late_until, "transport:later"))
    return sorted(found, key=lambda copy: (copy.until, copy.place))


def irrecoverable_on(found: Sequence[Copy], now: datetime) -> date:
    """The first day, in Brazil, on which none of the copies can be read."""
    return first_day_after(max(now, max((copy.until for copy in found), default=now)))


def first_day_after(moment: datetime) -> date:
    """The first whole day in Brazil after that moment."""
    return moment.astimezone(_ZONE).date() + timedelta(days=1)


def _of_root(place: System, root: Root, seen: Observed) -> Copy:
    if root.destroyed_at is not None:
        return Copy(place, root.destroyed_at + seen.provider_keeps, f"root:{root.epoch}")
    flips_at = root.flipped_at or root.created_at + seen.root_lasts
    planned = flips_at + ROTATION_TAKES
    is_late = planned <= seen.now
    return Copy(
        place,
        # Late already: not before another day has passed.
        (seen.now + ROTATION_TAKES if is_late else planned) + seen.provider_keeps,
        f"root:{root.epoch}",
        waits_for=(root.waits_for or "flip") if is_late else None,
    )


def _unlinked_by(topic: TopicHeld, seen: Observed) -> datetime | None:
    """When Kafka has unlinked the last segment with a record from before: retention, a segment's time, its own delays."""
    if not topic.holds_earlier:
        return None
    return seen.executed_at + topic.retention + topic.segment + SEGMENT_SLACK
