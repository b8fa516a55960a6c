"""Appends entries to the audit log, inside the transaction of what they tell of: both happen, or neither.

An entry says what was done, to which request, tenant and subject, by which signer or login, with numbers. Slugs, ids and
counts are all it can hold, so no personal data can get in. Its place in the tree is given later (`store.audit.sequencer`).
PRIVACY.md section 5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from contracts.canonical import JsonValue, canonical
from store.database import statements

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("queries.sql"))
_SLUG: Final = re.compile(r"[a-z][a-z0-9_.:-]{0,63}")


class What(StrEnum):
    """What an entry tells of: the closed list."""

    ERASURE_RECEIVED = "erasure.received"
    ERASURE_IDENTITY_PENDING = "erasure.identity_pending"
    ERASURE_DECIDED = "erasure.decided"
    ERASURE_REFUSED = "erasure.refused"
    ERASURE_APPROVED = "erasure.approved"
    ERASURE_EXECUTING = "erasure.executing"
    ERASURE_EXECUTED = "erasure.executed"
    """One step: a subject or a message is gone from here on."""
    ERASURE_LIVE_ERASED = "erasure.live_erased"
    ERASURE_ANSWERED = "erasure.answered"
    ERASURE_UNREADABLE = "erasure.unreadable"
    """A record on the requests topic that is unsigned, forged or no request; `numbers`: partition and offset."""
    FENCE_APPLIED = "fence.applied"
    FENCES_REPUBLISHED = "fences.republished"
    JOBS_REBUILT = "jobs.rebuilt"
    """Requests whose state a restored database had lost: taken from the outcomes topic."""
    RECEIPT_ISSUED = "receipt.issued"
    JOIN_EXECUTED = "join.executed"
    HOLD_PLACED = "hold.placed"
    HOLD_ENDED = "hold.ended"
    TENANT_REQUESTED = "tenant.requested"
    TENANT_READY = "tenant.ready"
    ACCOUNT_CONNECTED = "account.connected"
    ACCOUNT_DISCONNECTED = "account.disconnected"
    GRANT_GIVEN = "grant.given"
    GRANT_ENDED = "grant.ended"
    EPOCH_FLIPPED = "epoch.flipped"
    EPOCH_DESTROYED = "epoch.destroyed"
    TRANSPORT_KEY_DESTROYED = "transport_key.destroyed"
    DATA_READ = "data.read"
    """Personal data is about to be shown; `numbers`: the access record, which says who, why and how many."""
    LOG_RESTORED = "log.restored"
    """The database is older than what was anchored: entries were lost. `numbers`: from which leaf to which."""
    LOG_ACCEPTED = "log.accepted"
    """Nothing signed vouched for these entries, and an operator let the log go on with them. `numbers`: from which leaf, how many."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that was done. `by`: a signer's or a database login's name; nobody's own name.

    Its time is the database's clock at the moment of the append. Raises ValueError for what is no slug.
    """

    what: What
    by: str
    request: UUID | None = None
    tenant: UUID | None = None
    subject: UUID | None = None
    """The subject's id: drawn at random, it says nothing once the subject's row is gone."""
    item: UUID | None = None
    """The account or grant that this is about."""
    reason: str | None = None
    """A slug of a closed list: a refusal's reason, an error's code."""
    digest: bytes | None = None
    """SHA-256 of a record this is about: a receipt, a fence."""
    numbers: Mapping[str, int] = field(default_factory=dict)
    """Counts, offsets, generations, times in Unix units, by a slug."""

    def __post_init__(self) -> None:
        slugs = (self.by, *self.numbers, *((self.reason,) if self.reason is not None else ()))
        if not all(_SLUG.fullmatch(slug) for slug in slugs):
            raise ValueError("an audit entry holds slugs only")
        if self.digest is not None and len(self.digest) != 32:
            raise ValueError("a digest is 32 bytes")

    def after_time(self, entry: UUID) -> str:
        """The canonical entry without its first member, the time, which the database puts there as it writes it."""
        told: dict[str, JsonValue] = {"entry": str(entry), "by": self.by, "what": self.what.value, "v": 1}
        for name in ("request", "tenant", "subject", "item"):
            known: UUID | None = getattr(self, name)
            if known is not None:
                told[name] = str(known)
        if self.reason is not None:
            told["reason"] = self.reason
        if self.digest is not None:
            told["digest"] = self.digest.hex()
        if self.numbers:
            told["numbers"] = dict(self.numbers)
        # "at_us" sorts before every other name, so that the whole stays canonical.
        return canonical(told).decode()[1:]


async def append(connection: Connection, entry: AuditEntry) -> UUID:
    """Append inside the caller's transaction, as the login itself (not a tenant's role); the entry's id.

    One statement, no lock: may stand under the tenant's lock. Errors of Postgres are not translated here.
    """
    entry_id = uuid4()
    await connection.execute(SQL["append"], entry.after_time(entry_id))
    return entry_id
