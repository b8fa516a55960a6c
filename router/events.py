"""Makes one event of an item: headers, plaintext and partition key. Pure.

The list of headers is in docs/architecture.md. Headers and keys carry no personal data: every identifier of a person
or a message stands as a pseudonym under the tenant's key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from struct import Struct
from typing import Final, NamedTuple
from uuid import UUID

from contracts import headers as names
from contracts.control import AccountRecord, IdKind, TenantRecord
from contracts.headers import canonical_header, canonical_start, canonical_topic
from contracts.ids import event_id_text
from contracts.pseudonyms import Domain, KeyedHash, pseudonym_by
from contracts.topics import tenant_events_topic
from router.split.item import Direction, Item, data_json
from runtime.kafka.batch import header_start, varint
from runtime.kafka.batch import headers as written

ACCOUNTS_KEPT: Final = 64
"""Of one tenant."""
_U32: Final = Struct(">I")
_DIRECTIONS: Final[dict[Direction, bytes]] = {"inbound": b"i", "outbound": b"o", "system": b"s"}
_OWN_IDS: Final = {
    "messenger": (IdKind.PAGE,),
    "instagram": (IdKind.INSTAGRAM,),
    "whatsapp": (IdKind.PHONE_NUMBER, IdKind.WABA),
}
_FEWEST_HEADERS: Final = 12
"""Without `ce_time` and `mk_ref`."""


@dataclass(slots=True)
class Event:
    """One record for a tenant's topic, not yet sealed. Made once per item: frozen would cost 1 µs each."""

    id_text: str
    key: bytes
    headers: bytes
    """All `ce_*` and `mk_*` ones, sorted by name, as a record has them (`runtime.kafka.batch`)."""
    header_count: int
    digest: bytes
    """`sealed_digest` of the tenant's topic and the headers."""
    plaintext: bytes = field(repr=False)
    message_ref: bytes | None = field(repr=False, default=None)

    @property
    def event(self) -> UUID:
        """The event's id."""
        return UUID(self.id_text)


class _Piece(NamedTuple):
    """A run of headers, or the start of one, as the seal's digest covers it and as a record has it."""

    covered: bytes
    sent: bytes


def _headers(*headers: tuple[str, bytes]) -> _Piece:
    return _Piece(b"".join([canonical_header(*one) for one in headers]), written(headers))


def _start(name: str, length: int) -> _Piece:
    """Of a header whose value of `length` bytes follows."""
    return _Piece(canonical_start(name, length), header_start(name, length))


def _joined(*pieces: _Piece) -> _Piece:
    return _Piece(b"".join([one.covered for one in pieces]), b"".join([one.sent for one in pieces]))


_BEFORE_ID: Final = _start(names.CE_ID, 36)
_BEFORE_SUBJECT: Final = _start(names.CE_SUBJECT, 32)
_BEFORE_TIME: Final = _start(names.CE_TIME, 24)
_BEFORE_REF: Final = _start(names.MK_REF, 32)
_BEFORE_PEOPLE: Final = _Piece(
    canonical_start(names.MK_PERSON, 0)[:-4], header_start(names.MK_PERSON, 0)[:-1]
)
"""Their length and their pseudonyms follow."""


class _Type(NamedTuple):
    """What all events of a type have in common: the headers before the event's id, and the type's own."""

    before_id: _Piece
    kind: _Piece


@dataclass(frozen=True, slots=True, eq=False)
class _Account:
    """What all events of an account have in common."""

    record: AccountRecord
    text: str = field(repr=False)
    before_subject: _Piece
    directed: Mapping[Direction, _Piece]


class Types:
    """What the makers of all tenants share: the parts of each type."""

    def __init__(self, schemas: Mapping[str, bytes]) -> None:
        """`schemas`: event type to `ce_dataschema`."""
        self.by_name = {name: _type(name, schema) for name, schema in schemas.items()}


@lru_cache(maxsize=4_096)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).replace(tzinfo=None).isoformat()


@lru_cache(maxsize=4_096)
def rfc3339(unix_ms: int) -> bytes:
    """UTC with milliseconds. Kept, since events come in the order of time and most have a whole second."""
    return f"{_second(unix_ms // 1000)}.{unix_ms % 1000:03d}Z".encode()


class EventMaker:
    """Makes the events of one tenant."""

    def __init__(self, tenant: TenantRecord, key: bytes, types: Types) -> None:
        """`key`: the tenant's pseudonym key, 32 bytes."""
        self.tenant = tenant
        self._key, self._types = key, types
        self._keyed = KeyedHash(key)
        self._topic = canonical_topic(tenant_events_topic(tenant.slot))
        self._undated = _headers((names.CE_TENANT, str(tenant.tenant).encode()))
        self._dated = _joined(self._undated, _BEFORE_TIME)
        self._accounts: dict[int, _Account] = {}
        self._received_at_ms = -1
        self._received = self._referring = _headers()

    def renewed(self, tenant: TenantRecord) -> EventMaker:
        """One for a newer record of the same tenant, whose key never changes."""
        return EventMaker(tenant, self._key, self._types)

    def make(self, item: Item, account: AccountRecord, received_at_ms: int) -> Event:
        """The event; the same item gives the same id and key, whenever and in whatever batch it comes."""
        assert item.account is not None
        keyed = self._keyed
        provider_id = item.account.value
        occurred_at_ms = item.occurred_at_ms
        id_text = event_id_text(
            keyed,
            occurred_at_ms,
            item.provider_object,
            provider_id,
            item.event_type,
            item.native_id,
            item.discriminator,
        )
        identity = id_text.encode()
        of_type = self._types.by_name[item.event_type]
        of_account = self._accounts.get(id(account)) or self._account(account)
        # People are not remembered: of those who write within the same seconds few do so twice, and to look costs as much.
        if item.conversation is None:
            conversation = pseudonym_by(keyed, Domain.ACCOUNT, of_account.text)
        else:
            conversation = pseudonym_by(keyed, Domain.CONVERSATION, f"{of_account.text}:{item.conversation}")
        subject = conversation.hex().encode()
        people = ",".join(
            [pseudonym_by(keyed, domain, value).hex() for domain, value in item.aliases]
        ).encode()
        if self._received_at_ms != received_at_ms:
            self._receive(received_at_ms)
        count = _FEWEST_HEADERS
        time = reference_text = b""
        before_time, received = self._undated, self._received
        if occurred_at_ms is not None:
            time = rfc3339(occurred_at_ms)
            before_time = self._dated
            count += 1
        reference = None
        if item.message_id is not None:
            reference = pseudonym_by(keyed, Domain.MESSAGE_REF, f"{provider_id}:{item.message_id}")
            reference_text = reference.hex().encode()
            received = self._referring
            count += 1
        before_id, kind = of_type
        before_subject, directed = of_account.before_subject, of_account.directed[item.direction]
        # Sorted by name. What is kept is joined, twice: to walk the headers one by one for the digest, and then in the
        # client for the record, cost more than the hash and the seal.
        covered = (
            self._topic,
            before_id.covered,
            identity,
            before_subject.covered,
            subject,
            before_time.covered,
            time,
            kind.covered,
            directed.covered,
            _U32.pack(len(people)),
            people,
            received.covered,
            reference_text,
        )
        sent = (
            before_id.sent,
            identity,
            before_subject.sent,
            subject,
            before_time.sent,
            time,
            kind.sent,
            directed.sent,
            varint(len(people)),
            people,
            received.sent,
            reference_text,
        )
        digest = sha256(b"".join(covered)).digest()
        return Event(id_text, conversation, b"".join(sent), count, digest, data_json(item), reference)

    def _account(self, account: AccountRecord) -> _Account:
        """Found again by the record itself, which stays here: one that changed is another record."""
        text = str(account.account)
        source = f"/meta/{account.product}/{_own_id(account)}".encode()
        made = _Account(
            account,
            text,
            _joined(
                _headers((names.CE_SOURCE, source), (names.CE_SPECVERSION, b"1.0")),
                _BEFORE_SUBJECT,
            ),
            {
                direction: _joined(
                    _headers((names.MK_ACCOUNT, text.encode()), (names.MK_DIRECTION, shown)), _BEFORE_PEOPLE
                )
                for direction, shown in _DIRECTIONS.items()
            },
        )
        if len(self._accounts) >= ACCOUNTS_KEPT:
            self._accounts.clear()
        self._accounts[id(account)] = made
        return made

    def _receive(self, received_at_ms: int) -> None:
        self._received_at_ms = received_at_ms
        self._received = _headers((names.MK_RECEIVED_AT, b"%d" % received_at_ms))
        self._referring = _joined(self._received, _BEFORE_REF)


def _type(name: str, dataschema: bytes) -> _Type:
    before_id = _headers((names.CE_DATACONTENTTYPE, b"application/json"), (names.CE_DATASCHEMA, dataschema))
    return _Type(_joined(before_id, _BEFORE_ID), _headers((names.CE_TYPE, name.encode())))


def partition_of(key: bytes, partitions: int) -> int:
    """The explicit partition of an event on its tenant's topic."""
    return int.from_bytes(key[:8]) % partitions


def _own_id(account: AccountRecord) -> str:
    """The company's own id of the account: never an administrator's, which only stands as a hash."""
    for kind in _OWN_IDS[account.product]:
        for one in account.ids:
            if one.kind is kind:
                return one.value
    return str(account.account)
