"""Opens the records of tenants' topics: signed facts, seal, tenant, headers. Says of each what it is.

Must never log or keep a payload, and never decide about offsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

from contracts import headers as h
from contracts.control import ControlRecord, ControlView, SignerRecord
from contracts.errors import KeyNotYetKnown, PermanentError, ReplayLimit, TamperedRecord, TransientError
from contracts.hybrid import HybridPrivateKey
from contracts.sealing import EpochStatement, RecordOpener
from contracts.signing import Right
from runtime import logging
from runtime.files import SecretFolder
from store.lanes.event import SUBJECT_ERASED, TenantEvent, TypeLookup, read_event

MAX_REPLAYS: Final = 3
_EPOCHS_KEPT: Final = 128


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


@dataclass(frozen=True, slots=True)
class Opened:
    """What a record is: an event, a notice (neither event nor reason), or one to be set aside for `reason`."""

    event: TenantEvent | None = field(default=None, repr=False)
    reason: str | None = None
    is_replay: bool = False
    facts: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    """Verified `q_*` facts, of a replayed record."""


class TenantOpener:
    """Opens for all tenants of this database cell; keeps private halves and epochs apart for each."""

    def __init__(self, secrets: SecretFolder, view: ControlView, types: TypeLookup) -> None:
        self._secrets = secrets
        self._view = view
        self._types = types
        self._openers: dict[UUID, RecordOpener] = {}
        self._private: dict[tuple[UUID, bytes], HybridPrivateKey] = {}

    def control_applied(self, record: ControlRecord) -> None:
        """A signer may have been revoked: nothing that it signed is taken on trust any more."""
        if isinstance(record, SignerRecord):
            self.forget()

    def forget(self) -> None:
        """Drop private halves and epochs kept in memory: those destroyed meanwhile are then gone here as well."""
        self._openers.clear()
        self._private.clear()

    def open(self, record: TenantRecord, tenant: UUID) -> Opened:
        """Raises KeyNotYetKnown; everything that will never succeed comes back with its reason."""
        facts: dict[str, bytes] = {}
        try:
            if any(name.startswith("q_") for name, _ in record.headers):
                facts = h.verify_q_facts(
                    record.value or b"", record.headers, self._view.signer, Right.QUARANTINE_TENANT
                )
            return self._open(record, tenant, facts)
        except TransientError:
            raise
        except PermanentError as exc:
            reason = exc.code
        except (
            Exception
        ) as exc:  # a bug in pure code takes this record out, not its lane: type and frames only
            logging.get_logger().error(
                "record.defect_found",
                exc=exc,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
            )
            reason = "defect"
        return Opened(reason=reason, facts=facts, is_replay=h.Q_REPLAY in facts)

    def _open(self, record: TenantRecord, tenant: UUID, facts: dict[str, bytes]) -> Opened:
        is_replay = h.Q_REPLAY in facts
        received_ms = record.timestamp
        if is_replay:
            received_ms = _number(facts.get(h.Q_RECEIVED_AT, b""))
            if _number(facts[h.Q_REPLAY]) > MAX_REPLAYS:
                raise ReplayLimit("the record was replayed three times already")
        by_name = h.index(record.headers)
        try:
            opened = self._opener(tenant).open(
                record.topic, record.value or b"", record.headers, broker_time_s=received_ms / 1000
            )
        except KeyNotYetKnown:
            # The signature over the statement holds: a statement for another tenant is not worth waiting for its key.
            if EpochStatement.decode(by_name[h.EK_STATEMENT]).tenant != tenant:
                raise TamperedRecord("the record is another tenant's") from None
            raise
        # Both are authenticated: the statement by its signature, the header by the record's seal.
        if opened.statement.tenant != tenant or by_name.get(h.CE_TENANT) != str(tenant).encode():
            raise TamperedRecord("the record is another tenant's")
        # Erasure announces and says nothing else; nobody else announces (DESIGN.md section 5).
        is_notice = by_name.get(h.CE_TYPE) == SUBJECT_ERASED.encode()
        signer = self._view.signer(opened.statement.signer)
        if signer is None or (Right.ANNOUNCE_ERASURE in signer.may) is not is_notice:
            raise TamperedRecord("the signer may not say this")
        if is_notice:
            return Opened(is_replay=is_replay, facts=facts)
        event = read_event(record.key, by_name, opened.plaintext, self._types)
        return Opened(event=event, is_replay=is_replay, facts=facts)

    def _opener(self, tenant: UUID) -> RecordOpener:
        opener = self._openers.get(tenant)
        if opener is None:

            def private_half(key_id: bytes) -> HybridPrivateKey | None:
                return self._private_half(tenant, key_id)

            opener = self._openers[tenant] = RecordOpener(private_half, self._view.signer, keep=_EPOCHS_KEPT)
        return opener

    def _private_half(self, tenant: UUID, key_id: bytes) -> HybridPrivateKey | None:
        half = self._private.get((tenant, key_id))
        if half is None:
            try:
                half = HybridPrivateKey.from_bytes(self._secrets.get(f"transport-{tenant}-{key_id.hex()}"))
            except KeyNotYetKnown:
                return None
            self._private[tenant, key_id] = half
        return half


def _number(decimal: bytes) -> int:
    try:
        return int(decimal)
    except ValueError as exc:
        raise TamperedRecord("a fact that was added is not a number") from exc
