"""Opens one raw record: signed facts of a replay, the seal, the block. Pure but for the key lookups it is given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from contracts import topics
from contracts.block import Delivery, unpack
from contracts.errors import KeyGone, KeyNotYetKnown, TamperedRecord, TransientError
from contracts.headers import (
    EK_STATEMENT,
    MK_COUNT,
    MK_SIZE,
    Q_ITEMS,
    Q_RECEIVED_AT,
    Q_REPLAY,
    Headers,
    index,
    verify_q_facts,
)
from contracts.sealing import KEY_KEPT_AFTER_S, EpochStatement, RecordOpener
from contracts.signing import KnownSigner, Right, SignerLookup

REPLAYS_ALLOWED: Final = 3


class SignerNotYetKnown(TransientError):
    """Signed by a name that control has not announced as far as it was read: read it to its end, then judge."""

    code = "signer_not_yet_known"


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record of `mk.raw.v1`, as fetched."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    value: bytes = field(repr=False)
    headers: Headers = field(repr=False)
    fetched_at: float = math.inf
    """Monotonic second at which it was here: control as of later knows whatever was acknowledged before it was posted."""

    @property
    def size(self) -> int:
        """Bytes, roughly."""
        return len(self.value) + 2_048


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record's history began: `replay` counts how often it was put back, `only` names the items to route."""

    received_at_ms: int
    replay: int = 0
    only: tuple[tuple[str, str], ...] | None = None
    """(item path, reason it was set aside); None routes all."""


class Signers:
    """Looks up signers and remembers that one was missing: only then may a wrong signature still become right."""

    def __init__(self, lookup: SignerLookup) -> None:
        self._lookup = lookup
        self.missed = False

    def __call__(self, name: str) -> KnownSigner | None:
        found = self._lookup(name)
        if found is None:
            self.missed = True
        return found


def origin_of(record: RawRecord, signers: Signers) -> Origin:
    """The record's origin from its signed `q_*` facts, if any. Raises TamperedRecord or SignerNotYetKnown."""
    if not any(name.startswith("q_") for name, _ in record.headers):
        return Origin(record.timestamp_ms)
    signers.missed = False
    try:
        facts = verify_q_facts(record.value, record.headers, signers, Right.QUARANTINE_RAW)
    except TamperedRecord:
        if signers.missed:
            raise SignerNotYetKnown("added facts are signed by a name not known yet") from None
        raise
    try:
        replay = int(facts[Q_REPLAY])
        received_at_ms = int(facts[Q_RECEIVED_AT])
        listed = orjson.loads(facts[Q_ITEMS])
        only = tuple((str(path), str(reason)) for path, reason in listed)
    except (KeyError, ValueError, TypeError) as exc:
        raise TamperedRecord("added facts cannot be read") from exc
    if replay < 0 or not only:
        raise TamperedRecord("added facts cannot be ours")
    return Origin(received_at_ms, replay, only)


def open_block(
    record: RawRecord, origin: Origin, opener: RecordOpener, signers: Signers, now_s: float
) -> Sequence[Delivery]:
    """The record's deliveries.

    Raises TamperedRecord or KeyGone (quarantine), SignerNotYetKnown or KeyNotYetKnown (wait, then try again).
    """
    signers.missed = False
    try:
        opened = opener.open(
            topics.RAW, record.value, record.headers, broker_time_s=origin.received_at_ms / 1000
        )
    except TamperedRecord:
        if signers.missed:
            raise SignerNotYetKnown("sealed by a name not known yet") from None
        raise
    except KeyNotYetKnown:
        # The opener judges by the record's own time, which stands still; a key that was due for destruction is gone.
        statement = EpochStatement.decode(index(record.headers)[EK_STATEMENT])
        if now_s > statement.not_after_s + KEY_KEPT_AFTER_S:
            raise KeyGone("the private half has been destroyed") from None
        raise
    by_name = index(record.headers)
    try:
        size, count = int(by_name[MK_SIZE]), int(by_name[MK_COUNT])
    except (KeyError, ValueError) as exc:
        raise TamperedRecord("the block does not say its size") from exc
    return unpack(opened.plaintext, size, count)
