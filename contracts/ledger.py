"""Ledger lines: what became of each raw record, and of each range of a tenant topic. DESIGN.md section 8.

The ledger belongs to records, not to processes: the same key again replaces the line.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Outcome(StrEnum):
    """How a tenant record ended in the store."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    FENCED = "fenced"
    EXPIRED = "expired"
    REFUSED = "refused"
    QUARANTINED = "quarantined"
    NOTICE = "notice"


class Refusal(StrEnum):
    """Why the router refused an item: counted, never stored."""

    UNKNOWN_ACCOUNT = "unknown_account"
    NO_CONSENT = "no_consent"
    OUTSIDE_SCOPE = "outside_scope"
    TEST_EVENT = "test_event"


class TenantCounts(BaseModel):
    """One tenant's part of a raw record."""

    model_config = ConfigDict(extra="forbid")

    events: int = 0
    quarantined: dict[str, int] = Field(default_factory=dict)
    refused: dict[str, int] = Field(default_factory=dict)


class RawLine(BaseModel):
    """What became of one raw record. `tenants` is keyed by tenant id; "" is nobody's (unknown account, not JSON).

    Balanced when `items` = the sum of events, quarantined and refused.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["raw"] = "raw"
    topic: str
    partition: int
    offset: int
    replay: int = 0
    deliveries: int
    items: int
    tenants: dict[str, TenantCounts]

    @property
    def key(self) -> bytes:
        """`topic:partition:offset`."""
        return f"{self.topic}:{self.partition}:{self.offset}".encode()

    def ended(self) -> int:
        """Items that have an end."""
        return sum(
            counts.events + sum(counts.quarantined.values()) + sum(counts.refused.values())
            for counts in self.tenants.values()
        )


class ExpiredLine(BaseModel):
    """Offsets that retention removed before they were read: never silence. `next_offset` is exclusive."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["expired_unread"] = "expired_unread"
    topic: str
    partition: int
    first_offset: int
    next_offset: int

    @property
    def key(self) -> bytes:
        """`topic:partition:first offset`."""
        return f"{self.topic}:{self.partition}:{self.first_offset}".encode()
