"""The path without Kafka: bytes and headers in, one reading out.

Must never hold a clock or a client, and never say more of a record that does not verify than why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from contracts import headers as h
from contracts.errors import ContractViolation, KeyGone, KeyNotYetKnown, ReplayLimit, TamperedRecord
from contracts.events.event import Event as EventData
from contracts.events.registry import EVENT_TYPES
from contracts.ids import time_ms_of
from contracts.pseudonyms import PSEUDONYM_BYTES
from contracts.reader.erasures import ErasedPeople, KnownErasures
from contracts.reader.keys import PrivateHalves
from contracts.reader.parse import parse
from contracts.reader.readings import Direction, Erased, Event, Reading, Unavailable
from contracts.sealing import KEY_KEPT_AFTER_S, EpochStatement, OpenedRecord, RecordOpener
from contracts.signing import Right, SignerLookup
from contracts.subject_erased import SUBJECT_ERASED, SubjectErased
from contracts.subject_erased import VERSION as ERASED_VERSION

EPOCHS_KEPT: Final = 128
MAX_REPLAYS: Final = 3
MAX_PERSONS: Final = 64
_DIRECTIONS: Final[Mapping[bytes, Direction]] = {b"i": "inbound", b"o": "outbound", b"s": "system"}
_DATASCHEMA: Final = re.compile(r"urn:mkchannels:event:([a-z0-9._]{1,64}):([1-9][0-9]{0,3})")
_HEX: Final = re.compile(rb"[0-9a-f]{32}")
_DECIMAL: Final = re.compile(rb"[0-9]{1,15}")
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


class EventOpener:
    """Opens a tenant's records; remembers who was erased and the epochs it opened last."""

    def __init__(
        self,
        keys: PrivateHalves,
        signers: SignerLookup,
        *,
        tenant: UUID | None = None,
        erased: ErasedPeople | None = None,
    ) -> None:
        """`tenant`: whose records these must be; without it any tenant's whose private half is in `keys`."""
        self._signers = signers
        self._tenant = tenant
        self.erased: ErasedPeople = KnownErasures() if erased is None else erased
        self._records = RecordOpener(keys.get, signers, keep=EPOCHS_KEPT)

    def forget(self) -> None:
        """Trust nothing that was opened before: a signer was revoked or a private half destroyed."""
        self._records.forget()

    def open(
        self,
        topic: str,
        value: bytes | None,
        headers: h.Headers,
        broker_time_s: float,
        *,
        key: bytes | None = None,
        now_s: float | None = None,
    ) -> Reading:
        """Read one record.

        `broker_time_s`: the record's timestamp, Unix seconds. `key`: the record's key, checked if given. `now_s`: the
        present, by which a private half that is not here is known to be destroyed rather than late. Raises
        TamperedRecord, ContractViolation, ReplayLimit, or KeyNotYetKnown (load keys and try again).
        """
        sealed = value or b""
        # 1. What was added after sealing, under the signature of who added it.
        facts = h.verify_q_facts(sealed, headers, self._signers, Right.QUARANTINE_TENANT)
        is_replay = h.Q_REPLAY in facts
        if is_replay:
            broker_time_s = _added_number(facts.get(h.Q_RECEIVED_AT)) / 1000
            if _added_number(facts[h.Q_REPLAY]) > MAX_REPLAYS:
                raise ReplayLimit("the record was replayed three times already")
        # 2. The seal.
        try:
            opened = self._records.open(topic, sealed, headers, broker_time_s=broker_time_s)
        except KeyGone:
            return Unavailable()
        except KeyNotYetKnown:
            # The signature has been verified, so what the statement says is true.
            statement = EpochStatement.decode(h.index(headers)[h.EK_STATEMENT])
            if now_s is not None and now_s > statement.not_after_s + KEY_KEPT_AFTER_S:
                return Unavailable()
            raise
        # 3. Whose it is: by the signed statement and by the sealed header.
        by_name = h.index(headers)
        tenant = opened.statement.tenant
        if by_name.get(h.CE_TENANT) != str(tenant).encode() or self._tenant not in (None, tenant):
            raise TamperedRecord("the record is another tenant's")
        # 4. Who may say it: erasure announces and says nothing else, nobody else announces.
        is_notice = by_name.get(h.CE_TYPE) == SUBJECT_ERASED.encode()
        signer = self._signers(opened.statement.signer)
        if signer is None or (Right.ANNOUNCE_ERASURE in signer.may) is not is_notice:
            raise TamperedRecord("the signer may not say this")
        # 5. What it says.
        if is_notice:
            return self._notice(opened, by_name, key)
        return self._event(opened, by_name, key, is_replay=is_replay)

    def _notice(self, opened: OpenedRecord, by_name: Mapping[str, bytes], key: bytes | None) -> SubjectErased:
        kind, version = _schema(by_name)
        if (kind, version) != (SUBJECT_ERASED, ERASED_VERSION):
            raise ContractViolation("an erasure of a version that this release cannot read")
        try:
            erased = SubjectErased.model_validate(parse(opened.plaintext))
        except ValueError as exc:
            raise ContractViolation("an erasure cannot be read") from exc
        if erased.tenant != opened.statement.tenant or (key is not None and key != erased.request.bytes):
            raise TamperedRecord("the erasure is another tenant's or another request's")
        self.erased.remember(erased)
        return erased

    def _event(
        self, opened: OpenedRecord, by_name: Mapping[str, bytes], key: bytes | None, *, is_replay: bool
    ) -> Event | Erased:
        kind, version = _schema(by_name)
        try:
            event_id = UUID(by_name[h.CE_ID].decode("ascii"))
            conversation = _pseudonym(by_name[h.CE_SUBJECT])
            account = UUID(by_name[h.MK_ACCOUNT].decode("ascii"))
            source = by_name[h.CE_SOURCE].decode("ascii")
            direction = _DIRECTIONS[by_name[h.MK_DIRECTION]]
            received_ms = _decimal(by_name[h.MK_RECEIVED_AT])
            persons = tuple(dict.fromkeys(_pseudonym(one) for one in by_name[h.MK_PERSON].split(b",") if one))
            reference = by_name.get(h.MK_REF)
            message_ref = _pseudonym(reference) if reference else None
            time = by_name.get(h.CE_TIME)
            occurred_at = None if time is None else datetime.fromisoformat(time.decode("ascii"))
            received_at = _START + timedelta(milliseconds=received_ms)
        except (KeyError, ValueError, OverflowError) as exc:
            raise ContractViolation("an event's headers cannot be read") from exc
        if by_name.get(h.CE_TYPE) != kind.encode() or len(persons) > MAX_PERSONS:
            raise ContractViolation("an event's headers contradict each other")
        if occurred_at is not None and occurred_at.tzinfo is None:
            raise ContractViolation("an event's time has no zone")
        if key is not None and key != conversation:
            raise TamperedRecord("the record's key is not its conversation")
        occurred_ms = time_ms_of(event_id)
        occurred_s = None if occurred_ms is None else occurred_ms // 1000
        erased = self._erased_of(persons, occurred_s, received_ms)
        if erased:
            request = next(iter(erased.values()))
            return Erased(event_id, kind, opened.statement.tenant, received_at, request, tuple(erased))
        return Event(
            id=event_id,
            type=kind,
            version=version,
            tenant=opened.statement.tenant,
            account=account,
            source=source,
            direction=direction,
            occurred_at=occurred_at,
            received_at=received_at,
            conversation=conversation,
            persons=persons,
            message_ref=message_ref,
            data=_data(kind, version, opened.plaintext),
            raw=opened.plaintext,
            is_replay=is_replay,
        )

    def _erased_of(
        self, persons: tuple[bytes, ...], occurred_s: int | None, received_at_ms: int
    ) -> dict[bytes, UUID]:
        return {
            person: erasure.request
            for person in persons
            for erasure in self.erased.erasures_of(person)
            if erasure.covers(occurred_s, received_at_ms)
        }


def open_event(
    topic: str,
    value: bytes | None,
    headers: h.Headers,
    broker_time_s: float,
    *,
    keys: PrivateHalves,
    signers: SignerLookup,
    tenant: UUID | None = None,
) -> Reading:
    """Read a single record and remember nothing. For more than one keep an `EventOpener`; raises what its `open` does."""
    return EventOpener(keys, signers, tenant=tenant).open(topic, value, headers, broker_time_s)


def _data(kind: str, version: int, raw: bytes) -> EventData | None:
    """The model of that version, or None if this release does not know it. Raises ContractViolation for another shape."""
    declared = EVENT_TYPES.get(kind)
    model = declared.model_for(version) if declared is not None else None
    try:
        value = parse(raw)
        if model is None:
            return None
        data = model.model_validate(value)
    except ValueError as exc:  # pydantic's ValidationError is one
        raise ContractViolation("an event's data is not of its type's shape") from exc
    if not isinstance(data, EventData):
        raise ContractViolation("an event's type has no model of an event")
    return data


def _schema(by_name: Mapping[str, bytes]) -> tuple[str, int]:
    found = _DATASCHEMA.fullmatch(by_name.get(h.CE_DATASCHEMA, b"").decode("ascii", "replace"))
    if found is None:
        raise ContractViolation("an event's schema is none of ours")
    return found[1], int(found[2])


def _pseudonym(encoded: bytes) -> bytes:
    if not _HEX.fullmatch(encoded):
        raise ValueError("not a pseudonym")
    raw = bytes.fromhex(encoded.decode("ascii"))
    assert len(raw) == PSEUDONYM_BYTES
    return raw


def _decimal(text: bytes) -> int:
    if not _DECIMAL.fullmatch(text):
        raise ValueError("not a number")
    return int(text)


def _added_number(text: bytes | None) -> int:
    try:
        return _decimal(text or b"")
    except ValueError as exc:
        raise TamperedRecord("a fact that was added is not a number") from exc
