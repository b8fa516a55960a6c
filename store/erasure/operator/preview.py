"""What an erasure would take, counted before anything happens: by table, by partition, by topic. Changes nothing.

The database is counted in one snapshot, by the rules that the erasure itself goes by; a topic by its records' headers,
which are pseudonyms. Must never open a cell or a record.
"""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts import headers as h
from contracts import topics
from contracts.erasure_requests import Identifier
from contracts.errors import KeyNotYetKnown, broker_error
from contracts.ids import first_id_at
from contracts.pseudonyms import KeyedHash
from runtime.kafka.clients import consumer
from store.database import statements, translated, with_names
from store.erasure.requests.identifiers import pseudonyms_of
from store.keys.cells import pseudonym_key_aad, unwrap_key
from store.keys.provider import KeyProvider
from store.lanes.event import KEPT_UNDER_TOMBSTONE
from store.lanes.keks import TenantKeks, WrappedKek
from store.lanes.reading import Tenant

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("preview.sql"))
_DATED: Final = first_id_at(1)


@dataclass(frozen=True, slots=True)
class Preview:
    """Counts only. `rows` by table partition, `records` by topic and partition."""

    subjects: int
    keys: int
    """Subjects with a living key: what is destroyed."""
    aliases: int
    unknown: int
    """Identifiers that nobody has: they are fenced all the same."""
    rows: Mapping[str, int]
    tombstones: int
    """Rows without a time of their own, whose ids are kept out from then on."""
    records: Mapping[str, Mapping[int, int]]
    slot: tuple[str, int] | None = None
    names: frozenset[str] = field(default=frozenset(), repr=False)
    """Every pseudonym, as it stands in headers."""
    ref: str | None = field(default=None, repr=False)
    """Of one message, as it stands in headers."""
    account: str | None = None

    def names_record(self, headers: Mapping[str, bytes]) -> bool:
        """Whether a record with these headers is of the person, the message or the account."""
        if self.ref is not None:
            return headers.get(h.MK_REF) == self.ref.encode()
        if self.account is not None:
            return headers.get(h.MK_ACCOUNT) == self.account.encode()
        return not self.names.isdisjoint(headers.get(h.MK_PERSON, b"").decode("ascii", "replace").split(","))

    @property
    def rows_in_all(self) -> int:
        """Over all partitions."""
        return sum(self.rows.values())


async def pseudonym_key(connection: Connection, tenant: Tenant, provider: KeyProvider) -> KeyedHash:
    """The tenant's pseudonym key, by the reading commands' rights. Raises KeyNotYetKnown, DatabaseUnavailable."""
    with translated():
        async with connection.transaction(readonly=True):
            await connection.execute(tenant.statements.enter_reader())
            row = await connection.fetchrow(_sql(tenant, "pseudonym_key"))
    if row is None:
        raise KeyNotYetKnown("the tenant has no pseudonym key")
    wrapped = WrappedKek(row["epoch"], row["root_epoch"], row["wrapped_kek"])
    kek = await TenantKeks(provider).cipher(tenant.tenant, wrapped)
    return KeyedHash(unwrap_key(kek, row["wrapped"], pseudonym_key_aad(tenant.tenant, row["epoch"])))


def named(keyed: KeyedHash, identifiers: Sequence[Identifier]) -> tuple[bytes, ...]:
    """Every form of every identifier, as `count_person` takes them. `keyed`: the tenant's pseudonym key."""
    return pseudonyms_of(keyed, identifiers)


async def count_person(connection: Connection, tenant: Tenant, asked: Sequence[bytes]) -> Preview:
    """What the database holds of whom the pseudonyms name, linked subjects included. Raises DatabaseUnavailable."""
    with translated():
        async with connection.transaction():
            await connection.execute(SQL["snapshot"])
            slot = await connection.fetchrow(SQL["slot"], tenant.tenant)
            await connection.execute(tenant.statements.enter_reader())
            owners = {
                row["pseudonym"]: row["subject_id"]
                for row in await connection.fetch(_sql(tenant, "owners"), list(asked))
            }
            known = sorted(set(owners.values()))
            subjects: list[UUID] = [
                row["subject_id"] for row in await connection.fetch(_sql(tenant, "linked"), known)
            ]
            rows = await connection.fetch(_sql(tenant, "rows"), subjects)
            undated = await connection.fetchval(_sql(tenant, "undated"), subjects, _DATED)
            aliases = await connection.fetch(_sql(tenant, "aliases"), subjects)
            keys = await connection.fetchval(_sql(tenant, "living_keys"), subjects)
    unknown = [one for one in asked if one not in owners]
    names = frozenset(one.hex() for one in (*unknown, *(row["pseudonym"] for row in aliases)))
    return Preview(
        subjects=len(subjects),
        keys=keys,
        aliases=len(aliases),
        unknown=len(unknown),
        rows={row["partition"]: row["rows"] for row in rows},
        tombstones=undated,
        records={},
        slot=None if slot is None else (slot["slot"], slot["partitions"]),
        names=names,
    )


async def count_message(connection: Connection, tenant: Tenant, ref: bytes) -> Preview:
    """What erasing one message takes: nobody's key, and neither its unsend nor statuses. Raises DatabaseUnavailable."""
    return await _count_of(connection, tenant, "message", ref, sorted(KEPT_UNDER_TOMBSTONE), ref=ref.hex())


async def count_account(connection: Connection, tenant: Tenant, account: UUID) -> Preview:
    """What one account's erasure takes: its rows, and the keys of whoever has rows of no other. Raises DatabaseUnavailable."""
    return await _count_of(connection, tenant, "account", account, account=str(account))


async def _count_of(
    connection: Connection,
    tenant: Tenant,
    what: str,
    *arguments: object,
    ref: str | None = None,
    account: str | None = None,
) -> Preview:
    with translated():
        async with connection.transaction():
            await connection.execute(SQL["snapshot"])
            slot = await connection.fetchrow(SQL["slot"], tenant.tenant)
            await connection.execute(tenant.statements.enter_reader())
            rows = await connection.fetch(_sql(tenant, f"{what}_rows"), *arguments)
            taken = await connection.fetchrow(_sql(tenant, f"{what}_subjects"), *arguments)
    assert taken is not None
    return Preview(
        subjects=taken["subjects"],
        keys=taken["keys"],
        aliases=0,
        unknown=0,
        rows={row["partition"]: row["rows"] for row in rows},
        tombstones=1 if what == "message" else 0,
        records={},
        slot=None if slot is None else (slot["slot"], slot["partitions"]),
        ref=ref,
        account=account,
    )


async def count_records(
    bootstrap: str, tls: ssl.SSLContext | None, topic: str, tenant: UUID, found: Preview
) -> dict[int, int]:
    """Records of a topic, by partition, whose headers name what the preview is of, for that tenant. Raises BrokerUnavailable."""
    reader = consumer(bootstrap, "mkc-erasure-preview", group=None, tls=tls)
    try:
        await reader.start()
        return await _count(reader, topic, str(tenant).encode(), found)
    except KafkaError as exc:
        raise broker_error(exc, "a topic cannot be read") from exc
    finally:
        await reader.stop()


async def _count(reader: AIOKafkaConsumer, topic: str, tenant: bytes, of: Preview) -> dict[int, int]:
    # The client knows only topics that it was asked about.
    await reader._client.add_topic(topic)
    every = [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())]
    reader.assign(every)
    first, end = await reader.beginning_offsets(every), await reader.end_offsets(every)
    for at in every:
        reader.seek(at, first[at])
    found: Counter[int] = Counter({at.partition: 0 for at in every})
    left = {at for at in every if first[at] < end[at]}
    while left:
        for at, records in (await reader.getmany(*left, timeout_ms=300)).items():
            for record in records:
                by_name = dict(record.headers)
                if record.offset < end[at] and by_name.get(h.CE_TENANT) == tenant:
                    found[at.partition] += of.names_record(by_name)
        left = {at for at in left if await reader.position(at) < end[at]}
    return dict(found)


def tenant_topic(found: Preview) -> str | None:
    """The tenant's events topic, if it has one."""
    return None if found.slot is None else topics.tenant_events_topic(found.slot[0])


def _sql(tenant: Tenant, name: str) -> str:
    return with_names(SQL[name], schema=tenant.statements.schema)
