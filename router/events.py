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
from contracts.pseudonyms import Alias, Domain, pseudonym
from router.split.item import Item, data_json

PSEUDONYMS_KEPT: Final = 4_096
_DIRECTIONS: Final = {"inbound": b"i", "outbound": b"o", "system": b"s"}
_OWN_IDS: Final = {
    "messenger": (IdKind.PAGE,),
    "instagram": (IdKind.INSTAGRAM,),
    "whatsapp": (IdKind.PHONE_NUMBER, IdKind.WABA),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One record for a tenant's topic, not yet sealed."""

    event: UUID
    key: bytes
    partition: int
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
        self._schemas = schemas
        self._tenant_id = str(tenant.tenant).encode()
        self._kept: OrderedDict[tuple[Domain, str], bytes] = OrderedDict()
        self._accounts: dict[UUID, tuple[AccountRecord, bytes, bytes]] = {}

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
        if item.conversation is None:
            key = self._pseudonym(Domain.ACCOUNT, str(account.account))
        else:
            key = self._pseudonym(Domain.CONVERSATION, f"{account.account}:{item.conversation}")
        source, account_id = self._of(account)
        people = b",".join(self._alias(alias) for alias in item.aliases)
        headers = [
            (names.CE_DATACONTENTTYPE, b"application/json"),
            (names.CE_DATASCHEMA, self._schemas[item.event_type]),
            (names.CE_ID, str(event).encode()),
            (names.CE_SOURCE, source),
            (names.CE_SPECVERSION, b"1.0"),
            (names.CE_SUBJECT, key.hex().encode()),
            (names.CE_TENANT, self._tenant_id),
            (names.CE_TYPE, item.event_type.encode()),
            (names.MK_ACCOUNT, account_id),
            (names.MK_DIRECTION, _DIRECTIONS[item.direction]),
            (names.MK_PERSON, people),
            (names.MK_RECEIVED_AT, b"%d" % received_at_ms),
        ]
        if item.occurred_at_ms is not None:
            headers.append((names.CE_TIME, rfc3339(item.occurred_at_ms).encode()))
        reference = None
        if item.message_id is not None:
            reference = pseudonym(self._key, Domain.MESSAGE_REF, f"{provider_id}:{item.message_id}")
            headers.append((names.MK_REF, reference.hex().encode()))
        partition = int.from_bytes(key[:8]) % self.tenant.partitions
        return Event(event, key, partition, headers, data_json(item), reference)

    def _alias(self, alias: Alias) -> bytes:
        return self._pseudonym(alias.domain, alias.value).hex().encode()

    def _pseudonym(self, domain: Domain, value: str) -> bytes:
        kept = self._kept.get((domain, value))
        if kept is None:
            kept = self._kept[domain, value] = pseudonym(self._key, domain, value)
            if len(self._kept) > PSEUDONYMS_KEPT:
                self._kept.popitem(last=False)
        return kept

    def _of(self, account: AccountRecord) -> tuple[bytes, bytes]:
        kept = self._accounts.get(account.account)
        if kept is None or kept[0] is not account:
            source = f"/meta/{account.product}/{_own_id(account)}".encode()
            kept = self._accounts[account.account] = (account, source, str(account.account).encode())
        return kept[1], kept[2]


def _own_id(account: AccountRecord) -> str:
    """The company's own id of the account: never an administrator's, which only stands as a hash."""
    for kind in _OWN_IDS[account.product]:
        for one in account.ids:
            if one.kind is kind:
                return one.value
    return str(account.account)
