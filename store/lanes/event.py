"""One opened tenant record as the lanes see it: what the row, the subject and the fence need. Pure.

Must never look into the payload: everything it reads stands in sealed headers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

from asyncpg.pgproto.pgproto import UUID as Uuid

from contracts import headers as h
from contracts.errors import ContractViolation, TamperedRecord, TimeOutOfRange
from contracts.ids import time_ms_of
from contracts.pseudonyms import PSEUDONYM_BYTES

SUBJECT_ERASED: Final = "subject.erased"
"""Erasure's announcement on every partition of the tenant: counted as `notice`, never stored."""
KEPT_UNDER_TOMBSTONE: Final = frozenset(
    {
        "message.unsent", "message.dispatched", "message.delivered", "message.read", "message.played",
        "message.failed", "message.status_changed",
    }
)  # fmt: skip
"""Unsends themselves and statuses: what erasing one message leaves (PRIVACY.md section 3, *One message*)."""
WRITTEN_TYPES: Final = frozenset(
    {
        "message.received", "message.sent", "message.edited", "message.announced", "history.imported", "postback.received",
        "comment.created", "comment.edited", "comment.changed", "mention.received", "mention.edited",
        "post.published", "post.edited", "post.changed", "rating.created", "rating.edited",
    }
)  # fmt: skip
"""What somebody wrote, under its own ref: once they are erased, an edit of it that names nobody is kept out. Reactions and
statuses are not here: their ref is of something that may be another's."""
_DATASCHEMA: Final = re.compile(r"urn:mkchannels:event:[a-z._]+:(\d{1,4})")
_MAX_ALIASES: Final = 64
_OLDEST_MS: Final = 190 * 86_400_000 + 1_000
"""The router's window (DESIGN.md section 8), a second wider: an id's time is floored to the second."""
_FUTURE_MS: Final = 5 * 60_000
_1970: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIRECTIONS: Final = {b"i": "i", b"o": "o", b"s": "s"}


@dataclass(frozen=True, slots=True)
class KnownType:
    """What the store needs of an event type's declaration."""

    opens_generation: bool
    retention: str


UNDECLARED: Final = KnownType(opens_generation=False, retention="unknown")
"""A type of a newer router: stored, but it opens no generation."""
TypeLookup = Callable[[str], KnownType]


class TenantEvent(NamedTuple):
    """One event. `occurred_s`: its second as Unix time, None if undated; `received_at`: aware UTC, broker time of the raw record.

    A named tuple, since one is made for every record: a frozen dataclass of this size takes five times as long.
    """

    event_id: UUID
    event_type: str
    schema_version: int
    opens_generation: bool
    retention: str
    account: UUID
    direction: str
    conversation: bytes
    message_ref: bytes | None
    persons: tuple[bytes, ...]
    occurred_s: int | None
    received_at: datetime
    payload: bytes

    def __repr__(self) -> str:
        """Never a pseudonym or a payload byte."""
        return f"TenantEvent(event_id={self.event_id}, event_type={self.event_type!r})"

    @property
    def minds_tombstone(self) -> bool:
        """False for what the erasure of one message leaves."""
        return self.event_type not in KEPT_UNDER_TOMBSTONE

    @property
    def written_ref(self) -> bytes | None:
        """The ref of what the event's person wrote, if it is that."""
        return self.message_ref if self.event_type in WRITTEN_TYPES else None


def account_alias(account: UUID) -> bytes:
    """The alias of the subject that stands for an account, for events that name nobody."""
    return hashlib.sha256(b"account" + account.bytes).digest()[:PSEUDONYM_BYTES]


def read_event(
    key: bytes | None, by_name: Mapping[str, bytes], payload: bytes, types: TypeLookup
) -> TenantEvent:
    """Read the sealed headers of an opened record. Raises ContractViolation, TamperedRecord or TimeOutOfRange."""
    try:
        conversation = _pseudonym(by_name[h.CE_SUBJECT])
        event_id = Uuid(by_name[h.CE_ID].decode("ascii"))
        event_type = by_name[h.CE_TYPE].decode("ascii")
        version = _version(by_name[h.CE_DATASCHEMA])
        account = _account(by_name[h.MK_ACCOUNT])
        direction = _DIRECTIONS[by_name[h.MK_DIRECTION]]
        received_ms = int(by_name[h.MK_RECEIVED_AT])
        received_at = _1970 + timedelta(0, received_ms // 1000, received_ms % 1000 * 1000)
        persons = _persons(by_name[h.MK_PERSON])
        ref = by_name.get(h.MK_REF)
        message_ref = _pseudonym(ref) if ref else None
    except (KeyError, ValueError, OverflowError, OSError) as exc:
        raise ContractViolation("an event's headers cannot be read") from exc
    if not 0 < len(event_type) <= 64 or by_name[h.MK_PERSON].count(b",") >= _MAX_ALIASES:
        raise ContractViolation("an event's headers are out of bounds")
    if key is not None and key != conversation:  # what was put back from quarantine has lost its key
        raise TamperedRecord("the record's key is not its conversation")
    occurred_ms = time_ms_of(event_id)
    if occurred_ms is not None and not (
        received_ms - _OLDEST_MS <= occurred_ms <= received_ms + _FUTURE_MS
    ):  # no table partition will ever hold it: the lane would wait for one for ever
        raise TimeOutOfRange("an event's time is outside the window")
    known = types(event_type)
    return TenantEvent(
        event_id,
        event_type,
        version,
        known.opens_generation,
        known.retention,
        account,
        direction,
        conversation,
        message_ref,
        persons,
        None if occurred_ms is None else occurred_ms // 1000,
        received_at,
        payload,
    )


def _persons(encoded: bytes) -> tuple[bytes, ...]:
    if len(encoded) == 2 * PSEUDONYM_BYTES:  # one alias, as most have
        return (_pseudonym(encoded),)
    return tuple(dict.fromkeys(_pseudonym(one) for one in encoded.split(b",") if one))


@lru_cache(maxsize=1_024)
def _version(dataschema: bytes) -> int:
    matched = _DATASCHEMA.fullmatch(dataschema.decode("ascii"))
    if matched is None:
        raise ValueError("not one of our schemas")
    return int(matched[1])


@lru_cache(maxsize=8_192)
def _account(encoded: bytes) -> UUID:
    return Uuid(encoded.decode("ascii"))


def _pseudonym(encoded: bytes) -> bytes:
    raw = bytes.fromhex(encoded.decode("ascii"))
    if len(raw) != PSEUDONYM_BYTES:
        raise ValueError("not a pseudonym")
    return raw
