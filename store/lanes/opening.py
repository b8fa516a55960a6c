"""Opens the records of tenants' topics: signed facts, seal, tenant, headers. Says of each what it is.

Must never log or keep a payload, and never decide about offsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from contracts import headers as h
from contracts.control import ControlRecord, ControlView, SignerRecord
from contracts.errors import (
    KeyNotYetKnown,
    KeyServiceUnavailable,
    PermanentError,
    ReplayLimit,
    TamperedRecord,
    TransientError,
)
from contracts.hybrid import HybridPrivateKey
from contracts.sealing import EpochStatement, RecordOpener
from contracts.signing import Right
from runtime import logging
from runtime.secrets import Secrets
from store.keys.halves import PrivateHalves
from store.lanes.event import SUBJECT_ERASED, TenantEvent, TypeLookup, read_event

MAX_REPLAYS: Final = 3
_EPOCHS_KEPT: Final = 128
_NO_FACTS: Final[Mapping[str, bytes]] = MappingProxyType({})
_ANNOUNCEMENT: Final = SUBJECT_ERASED.encode()
_SEALED_AND_KEY: Final = frozenset(
    {
        h.CE_SPECVERSION, h.CE_ID, h.CE_SOURCE, h.CE_TYPE, h.CE_TIME, h.CE_SUBJECT, h.CE_TENANT, h.CE_DATASCHEMA,
        h.CE_DATACONTENTTYPE, h.MK_PERSON, h.MK_RECEIVED_AT, h.MK_REF, h.MK_ACCOUNT, h.MK_DIRECTION, h.EK_STATEMENT,
        h.EK_KEY, h.EK_SIG,
    }
)  # fmt: skip
"""A record with these headers and no others has no facts added."""


class TenantRecord(Protocol):
    """What a lane needs of a Kafka record."""

    @property
    def topic(self) -> str:
        """The topic it lies on."""

    @property
    def partition(self) -> int:
        """Its partition."""

    @property
    def offset(self) -> int:
        """Its offset."""

    @property
    def timestamp(self) -> int:
        """Broker time, Unix milliseconds."""

    @property
    def key(self) -> bytes | None:
        """The conversation's pseudonym; None for what was put back."""

    @property
    def value(self) -> bytes | None:
        """The sealed value."""

    @property
    def headers(self) -> h.Headers:
        """All headers."""


class Opened(NamedTuple):
    """What a record is: an event, a notice (neither event nor reason), or one to be set aside for `reason`."""

    event: TenantEvent | None = None
    reason: str | None = None
    is_replay: bool = False
    facts: Mapping[str, bytes] = _NO_FACTS
    """Verified `q_*` facts, of a replayed record."""

    def __repr__(self) -> str:
        """Neither the event nor the facts."""
        return f"Opened(reason={self.reason!r}, is_replay={self.is_replay})"


@dataclass(frozen=True, slots=True)
class _OneTenant:
    """What the records of one tenant are opened with."""

    opener: RecordOpener
    name: bytes
    """The tenant as its header says it."""


class TenantOpener:
    """Opens for all tenants of this database cell; keeps private halves and epochs apart for each."""

    def __init__(self, secrets: Secrets, view: ControlView, types: TypeLookup) -> None:
        self._halves = PrivateHalves(secrets)
        self._view = view
        self._types = types
        self._tenants: dict[UUID, _OneTenant] = {}

    def control_applied(self, record: ControlRecord) -> None:
        """A signer may have been revoked: nothing that it signed is taken on trust any more."""
        if isinstance(record, SignerRecord):
            self.forget()

    def forget(self) -> None:
        """Drop what was opened and kept: signatures are checked anew, epoch keys opened anew."""
        self._tenants.clear()

    async def forget_destroyed(self) -> None:
        """Drop private halves that were destroyed, and what they opened. Nothing while the provider is away."""
        try:
            await self._halves.forget_destroyed()
        except KeyServiceUnavailable:
            return
        self.forget()

    async def open_waiting(self, record: TenantRecord, tenant: UUID) -> Opened:
        """As `open`, fetching the private half first if it is not here. Raises KeyNotYetKnown or KeyServiceUnavailable."""
        try:
            return self.open(record, tenant)
        except KeyNotYetKnown:
            if not await self._halves.fetch():
                raise
        return self.open(record, tenant)

    def open(self, record: TenantRecord, tenant: UUID) -> Opened:
        """Raises KeyNotYetKnown, also for a half that is not here yet; everything that will never succeed comes back with its reason."""
        facts = _NO_FACTS
        try:
            by_name = h.index(record.headers)
            if not _SEALED_AND_KEY.issuperset(by_name):
                facts = h.verify_q_facts(
                    record.value or b"", record.headers, self._view.signer, Right.QUARANTINE_TENANT
                )
            return self._open(record, by_name, tenant, facts)
        except TransientError:
            raise
        except PermanentError as exc:
            reason = exc.code
        except Exception as exc:  # a bug in pure code takes this record out, not its lane
            logging.get_logger().error(
                "record.defect_found",
                exc=exc,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
            )
            reason = "defect"
        return Opened(reason=reason, facts=facts, is_replay=h.Q_REPLAY in facts)

    def _open(
        self, record: TenantRecord, by_name: Mapping[str, bytes], tenant: UUID, facts: Mapping[str, bytes]
    ) -> Opened:
        is_replay = h.Q_REPLAY in facts
        received_ms = record.timestamp
        if is_replay:
            received_ms = _number(facts.get(h.Q_RECEIVED_AT, b""))
            if _number(facts[h.Q_REPLAY]) > MAX_REPLAYS:
                raise ReplayLimit("the record was replayed three times already")
        one = self._of(tenant)
        try:
            opened = one.opener.open(
                record.topic,
                record.value or b"",
                record.headers,
                broker_time_s=received_ms / 1000,
                by_name=by_name,
            )
        except KeyNotYetKnown:
            # The signature over the statement holds: a statement for another tenant is not worth waiting for its key.
            if EpochStatement.decode(by_name[h.EK_STATEMENT]).tenant != tenant:
                raise TamperedRecord("the record is another tenant's") from None
            raise
        # Both are authenticated: the statement by its signature, the header by the record's seal.
        if opened.statement.tenant != tenant or by_name.get(h.CE_TENANT) != one.name:
            raise TamperedRecord("the record is another tenant's")
        # Erasure announces and says nothing else; nobody else announces (DESIGN.md section 5).
        is_notice = by_name.get(h.CE_TYPE) == _ANNOUNCEMENT
        signer = self._view.signer(opened.statement.signer)
        if signer is None or (Right.ANNOUNCE_ERASURE in signer.may) is not is_notice:
            raise TamperedRecord("the signer may not say this")
        if is_notice:
            return Opened(is_replay=is_replay, facts=facts)
        event = read_event(record.key, by_name, opened.plaintext, self._types)
        return Opened(event, None, is_replay, facts)

    def _of(self, tenant: UUID) -> _OneTenant:
        one = self._tenants.get(tenant)
        if one is None:

            def private_half(key_id: bytes) -> HybridPrivateKey | None:
                return self._halves.get(f"{tenant}-{key_id.hex()}")

            opener = RecordOpener(private_half, self._view.signer, keep=_EPOCHS_KEPT)
            one = self._tenants[tenant] = _OneTenant(opener, str(tenant).encode())
        return one


def _number(decimal: bytes) -> int:
    try:
        return int(decimal)
    except ValueError as exc:
        raise TamperedRecord("a fact that was added is not a number") from exc
