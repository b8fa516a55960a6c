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
from contracts.pseudonyms import Alias, Domain, KeyedHash, pseudonym_by
from contracts.topics import tenant_events_topic
from router.split.item import Direction, Item, data_json

PSEUDONYMS_KEPT: Final = 2_048
ACCOUNTS_KEPT: Final = 64
"""Of one tenant."""
Header = tuple[str, bytes]
_U32: Final = Struct(">I")
_CONTENT_TYPE: Final = (names.CE_DATACONTENTTYPE, b"application/json")
_SPECVERSION: Final = (names.CE_SPECVERSION, b"1.0")
_TIME_AT: Final = 7
"""Where `ce_time` stands among the headers, if it does."""
_DIRECTIONS: Final[dict[Direction, Header]] = {
    "inbound": (names.MK_DIRECTION, b"i"),
    "outbound": (names.MK_DIRECTION, b"o"),
    "system": (names.MK_DIRECTION, b"s"),
}
_BEFORE_ID: Final = canonical_start(names.CE_ID, 36)
_BEFORE_SUBJECT: Final = canonical_start(names.CE_SUBJECT, 32)
_BEFORE_TIME: Final = canonical_start(names.CE_TIME, 24)
_BEFORE_REF: Final = canonical_start(names.MK_REF, 32)
_BEFORE_PEOPLE: Final = canonical_start(names.MK_PERSON, 0)[:-4]
_OWN_IDS: Final = {
    "messenger": (IdKind.PAGE,),
    "instagram": (IdKind.INSTAGRAM,),
    "whatsapp": (IdKind.PHONE_NUMBER, IdKind.WABA),
}


@dataclass(slots=True)
class Event:
    """One record for a tenant's topic, not yet sealed. Made once per item: frozen would cost 1 µs each."""

    id_text: str
    key: bytes
    headers: list[tuple[str, bytes]]
    digest: bytes
    """`sealed_digest` of the tenant's topic and the headers."""
    plaintext: bytes = field(repr=False)
    message_ref: bytes | None = field(repr=False, default=None)

    @property
    def event(self) -> UUID:
        """The event's id."""
        return UUID(self.id_text)


class _Type(NamedTuple):
    """What all events of a type have in common; `…_part`: in the bytes that the seal's digest covers."""

    schema: Header
    kind: Header
    schema_part: bytes
    kind_part: bytes


class _Account(NamedTuple):
    """What all events of an account have in common."""

    record: AccountRecord
    text: str
    source: Header
    account: Header
    source_part: bytes
    account_parts: Mapping[Direction, bytes]


class _Pseudonym(NamedTuple):
    """Kept, since people write more than once."""

    raw: bytes
    text: bytes
    subject: Header


class _People(NamedTuple):
    """The header that names them."""

    header: Header
    part: bytes


class Kept:
    """What the makers of all tenants keep: each type's parts, and the pseudonyms made last, bounded for all together."""

    def __init__(self, schemas: Mapping[str, bytes]) -> None:
        """`schemas`: event type to `ce_dataschema`."""
        self.types = {name: _type(name, schema) for name, schema in schemas.items()}
        self.pseudonyms: dict[tuple[object, Domain, str], _Pseudonym] = {}
        self.people: dict[tuple[object, tuple[Alias, ...]], _People] = {}


@lru_cache(maxsize=4_096)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).replace(tzinfo=None).isoformat()


def rfc3339(unix_ms: int) -> str:
    """UTC with milliseconds; the part down to the second is kept, since events come in the order of time."""
    return f"{_second(unix_ms // 1000)}.{unix_ms % 1000:03d}Z"


class EventMaker:
    """Makes the events of one tenant."""

    def __init__(self, tenant: TenantRecord, key: bytes, kept: Kept) -> None:
        """`key`: the tenant's pseudonym key, 32 bytes."""
        self.tenant = tenant
        self._keyed = KeyedHash(key)
        self._kept = kept
        self._whose = object()
        """Under which this maker's pseudonyms are kept, apart from other tenants'."""
        self._tenant = (names.CE_TENANT, str(tenant.tenant).encode())
        self._tenant_part = canonical_header(*self._tenant)
        self._topic_part = canonical_topic(tenant_events_topic(tenant.slot)) + canonical_header(
            *_CONTENT_TYPE
        )
        self._accounts: dict[int, _Account] = {}
        self._received_at_ms = -1
        self._received = (names.MK_RECEIVED_AT, b"")
        self._received_part = b""

    def make(self, item: Item, account: AccountRecord, received_at_ms: int) -> Event:
        """The event; the same item gives the same id and key, whenever and in whatever batch it comes."""
        assert item.account is not None
        provider_id = item.account.value
        occurred_at_ms = item.occurred_at_ms
        id_text = event_id_text(
            self._keyed,
            occurred_at_ms,
            item.provider_object,
            provider_id,
            item.event_type,
            item.native_id,
            item.discriminator,
        )
        identity = id_text.encode()
        of_account = self._accounts.get(id(account)) or self._account(account)
        of_type = self._kept.types[item.event_type]
        if item.conversation is None:
            conversation = self._pseudonym(Domain.ACCOUNT, of_account.text)
        else:
            conversation = self._pseudonym(Domain.CONVERSATION, f"{of_account.text}:{item.conversation}")
        if self._received_at_ms != received_at_ms:
            self._receive(received_at_ms)
        people = self._kept.people.get((self._whose, item.aliases)) or self._people(item.aliases)
        # In the order in which the seal covers them. The digest is made of parts that are joined here: to walk the
        # headers again for it costs more than the hash.
        headers: list[Header] = [
            _CONTENT_TYPE,
            of_type.schema,
            (names.CE_ID, identity),
            of_account.source,
            _SPECVERSION,
            conversation.subject,
            self._tenant,
            of_type.kind,
            of_account.account,
            _DIRECTIONS[item.direction],
            people.header,
            self._received,
        ]
        time_part = reference_part = b""
        if occurred_at_ms is not None:
            time = rfc3339(occurred_at_ms).encode()
            headers.insert(_TIME_AT, (names.CE_TIME, time))
            time_part = _BEFORE_TIME + time
        reference = None
        if item.message_id is not None:
            reference = pseudonym_by(self._keyed, Domain.MESSAGE_REF, f"{provider_id}:{item.message_id}")
            text = reference.hex().encode()
            headers.append((names.MK_REF, text))
            reference_part = _BEFORE_REF + text
        covered = (
            self._topic_part,
            of_type.schema_part,
            identity,
            of_account.source_part,
            conversation.text,
            self._tenant_part,
            time_part,
            of_type.kind_part,
            of_account.account_parts[item.direction],
            people.part,
            self._received_part,
            reference_part,
        )
        digest = sha256(b"".join(covered)).digest()
        return Event(id_text, conversation.raw, headers, digest, data_json(item), reference)

    def _pseudonym(self, domain: Domain, value: str) -> _Pseudonym:
        kept = self._kept.pseudonyms
        found = kept.get((self._whose, domain, value))
        if found is None:
            raw = pseudonym_by(self._keyed, domain, value)
            text = raw.hex().encode()
            found = _Pseudonym(raw, text, (names.CE_SUBJECT, text))
            if len(kept) >= PSEUDONYMS_KEPT:
                kept.clear()
            kept[self._whose, domain, value] = found
        return found

    def _people(self, aliases: tuple[Alias, ...]) -> _People:
        kept = self._kept.people
        text = b",".join(
            [pseudonym_by(self._keyed, alias.domain, alias.value).hex().encode() for alias in aliases]
        )
        found = _People((names.MK_PERSON, text), _U32.pack(len(text)) + text)
        if len(kept) >= PSEUDONYMS_KEPT:
            kept.clear()
        kept[self._whose, aliases] = found
        return found

    def _account(self, account: AccountRecord) -> _Account:
        """Found again by the record itself, which stays here: one that changed is another record."""
        text = str(account.account)
        source = (names.CE_SOURCE, f"/meta/{account.product}/{_own_id(account)}".encode())
        header = (names.MK_ACCOUNT, text.encode())
        made = _Account(
            account,
            text,
            source,
            header,
            canonical_header(*source) + canonical_header(*_SPECVERSION) + _BEFORE_SUBJECT,
            {
                direction: canonical_header(*header) + canonical_header(*shown) + _BEFORE_PEOPLE
                for direction, shown in _DIRECTIONS.items()
            },
        )
        if len(self._accounts) >= ACCOUNTS_KEPT:
            self._accounts.clear()
        self._accounts[id(account)] = made
        return made

    def _receive(self, received_at_ms: int) -> None:
        self._received_at_ms = received_at_ms
        self._received = (names.MK_RECEIVED_AT, b"%d" % received_at_ms)
        self._received_part = canonical_header(*self._received)


def _type(name: str, dataschema: bytes) -> _Type:
    schema, kind = (names.CE_DATASCHEMA, dataschema), (names.CE_TYPE, name.encode())
    return _Type(schema, kind, canonical_header(*schema) + _BEFORE_ID, canonical_header(*kind))


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
