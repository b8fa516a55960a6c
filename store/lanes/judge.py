"""Whether a fence lets an event pass, and whether it may begin a new generation. Pure. PRIVACY.md section 3.

Must never read anything: what it judges was read under the tenant's lock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from store.lanes.event import TenantEvent


@dataclass(frozen=True, slots=True)
class Fence:
    """The strictest of all fences that concern a subject: its own and those of everybody it is linked with."""

    watermark: datetime | None = None
    executed_at: datetime | None = None
    blocked: bool = False

    def joined(self, other: Fence) -> Fence:
        """The stricter in every part: a join inherits the larger watermark."""
        return Fence(
            _later(self.watermark, other.watermark),
            _later(self.executed_at, other.executed_at),
            self.blocked or other.blocked,
        )

    @property
    def stands(self) -> bool:
        """True when somebody was erased."""
        return self.watermark is not None or self.executed_at is not None

    def drops(self, event: TenantEvent) -> bool:
        """True when the event's second is not strictly later than the watermark's, or it was first received before.

        An undated event is judged by first receipt only.
        """
        if self.blocked:
            return True
        if self.executed_at is not None and event.received_at <= self.executed_at:
            return True
        if self.watermark is None or event.occurred_s is None:
            return False
        return event.occurred_s <= int(self.watermark.timestamp())


NO_FENCE = Fence()


def may_open_generation(event: TenantEvent) -> bool:
    """Only a dated inbound act of the person or a new outbound message brings an erased person back."""
    return event.opens_generation and event.occurred_s is not None


def unexpired(events: Sequence[TenantEvent], now: datetime, retention_days: int) -> list[TenantEvent]:
    """Those that are not older than the tenant keeps."""
    kept_since_s = (now - timedelta(days=retention_days)).timestamp()
    return [
        event
        for event in events
        if (event.received_at.timestamp() if event.occurred_s is None else event.occurred_s) >= kept_since_s
    ]


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return one or other
    return max(one, other)
