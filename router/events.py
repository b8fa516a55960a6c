"""Makes one event of an item: headers, plaintext and partition key. Pure.

The list of headers is in docs/architecture.md. Headers and keys carry no personal data: every identifier of a person
or a message stands as a pseudonym under the tenant's key.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

from contracts import headers as names
from contracts.control import AccountRecord, IdKind, TenantRecord
from contracts.ids import event_id
from contracts.pseudonyms import Domain, pseudonym
from router.split.item import Item, data_json

PSEUDONYMS_KEPT: Final = 4_096
Header = tuple[str, bytes]
_CONTENT_TYPE: Final = (names.CE_DATACONTENTTYPE, b"application/json")
_SPECVERSION: Final = (names.CE_SPECVERSION, b"1.0")
_DIRECTIONS: Final = {
    "inbound": (names.MK_DIRECTION, b"i"),
    "outbound": (names.MK_DIRECTION, b"o"),
    "system": (names.MK_DIRECTION, b"s"),
}
_OWN_IDS: Final = {
    "messenger": (IdKind.PAGE,),
    "instagram": (IdKind.INSTAGRAM,),
    "whatsapp": (IdKind.PHONE_NUMBER, IdKind.WABA),
}


@dataclass(slots=True)
class Event:
    """One record for a tenant's topic, not yet sealed. Made once per item: frozen would cost 1 µs each."""

    event: UUID
    key: bytes
    headers: list[tuple[str, bytes]]
    plaintext: bytes = field(repr=False)
    message_ref: bytes | None = field(repr=False, default=None)


@lru_cache(maxsize=4_096)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339(unix_ms: int) -> str:
    """UTC with milliseconds; the part down to the second is kept, since events come in the order of time."""
    return f"{_second(unix_ms // 1000)}.{unix_ms % 1000:03d}Z"


class EventMaker:
    """Makes the events of one tenant. Keeps its recent pseudonyms: people write more than once."""

    def __init__(self, tenant: TenantRecord, key: bytes, schemas: Mapping[str, bytes]) -> None:
        """`key`: the tenant's pseudonym key, 32 bytes; `schemas`: event type to `ce_dataschema`."""
        self.tenant = tenant
        self._key = key
        self._tenant = (names.CE_TENANT, str(tenant.tenant).encode())
        self._types = {
            name: ((names.CE_DATASCHEMA, schema), (names.CE_TYPE, name.encode()))
            for name, schema in schemas.items()
        }
        self._kept: OrderedDict[tuple[Domain, str], tuple[bytes, bytes]] = OrderedDict()
        self._accounts: dict[UUID, tuple[AccountRecord, tuple[Header, Header, str]]] = {}
        self._received = (-1, (names.MK_RECEIVED_AT, b""))

    def make(self, item: Item, account: AccountRecord, received_at_ms: int) -> Event:
        """The event; the same item gives the same id and key, whenever and in whatever batch it comes."""
        assert item.account is not None
        provider_id = item.account.value
        event = event_id(
            self._key,
            occurred_at_ms=item.occurred_at_ms,
            provider_object=item.provider_object,
            account=provider_id,
            kind=item.event_type,
            native_id=item.native_id,
            discriminator=item.discriminator,
        )
        source, account_id, account_text = self._of(account)
        if item.conversation is None:
            key, subject = self._pseudonym(Domain.ACCOUNT, account_text)
        else:
            key, subject = self._pseudonym(Domain.CONVERSATION, f"{account_text}:{item.conversation}")
        schema, kind = self._types[item.event_type]
        if self._received[0] != received_at_ms:
            self._received = received_at_ms, (names.MK_RECEIVED_AT, b"%d" % received_at_ms)
        people = [self._pseudonym(alias.domain, alias.value)[1] for alias in item.aliases]
        # In the order in which the seal covers them, which spares sorting.
        headers: list[Header] = [
            _CONTENT_TYPE,
            schema,
            (names.CE_ID, str(event).encode()),
            source,
            _SPECVERSION,
            (names.CE_SUBJECT, subject),
            self._tenant,
        ]
        if item.occurred_at_ms is not None:
            headers.append((names.CE_TIME, rfc3339(item.occurred_at_ms).encode()))
        headers += (
            kind,
            account_id,
            _DIRECTIONS[item.direction],
            (names.MK_PERSON, b",".join(people)),
            self._received[1],
        )
        reference = None
        if item.message_id is not None:
            reference = pseudonym(self._key, Domain.MESSAGE_REF, f"{provider_id}:{item.message_id}")
            headers.append((names.MK_REF, reference.hex().encode()))
        return Event(event, key, headers, data_json(item), reference)

    def _pseudonym(self, domain: Domain, value: str) -> tuple[bytes, bytes]:
        """The pseudonym and its hex."""
        kept = self._kept.get((domain, value))
        if kept is None:
            made = pseudonym(self._key, domain, value)
            kept = self._kept[domain, value] = made, made.hex().encode()
            if len(self._kept) > PSEUDONYMS_KEPT:
                self._kept.popitem(last=False)
        return kept

    def _of(self, account: AccountRecord) -> tuple[Header, Header, str]:
        kept = self._accounts.get(account.account)
        if kept is None or kept[0] is not account:
            text = str(account.account)
            source = f"/meta/{account.product}/{_own_id(account)}".encode()
            shown = (names.CE_SOURCE, source), (names.MK_ACCOUNT, text.encode()), text
            kept = self._accounts[account.account] = account, shown
        return kept[1]


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
