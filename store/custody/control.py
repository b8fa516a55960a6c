"""What the custodian says on control: records made from the database, published with an ack, repeated when they lack.

The database is what control should say. Each duty publishes what it changed; `announce_all` compares the whole and
repeats whatever is missing or different, so that a custodian killed between a commit and an ack, or one whose
delayed record arrived late, is put right by the next pass. Must never publish a name, a proof or a plain id of a person.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

import orjson

from contracts import topics
from contracts.control import (
    AccountId,
    AccountRecord,
    Consent,
    ControlRecord,
    ControlView,
    GrantRecord,
    IdKind,
    SignerRecord,
    SlotRecord,
    TenantRecord,
    TransportKeyRecord,
    encode,
    encode_removal,
)
from contracts.sealing import KEY_KEPT_AFTER_S
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer
from runtime.kafka.clients import Producer, acknowledged
from runtime.kafka.control import ControlReader
from runtime.metrics import ProcessMetrics
from store.custody.database import SQL
from store.custody.settings import load_public_keys
from store.database import translated

if TYPE_CHECKING:
    import asyncpg

    from store.database import Connection

ANNOUNCED_SIGNERS: Final = ("ingest", "router", "store", "erasure", "operator")
KEY_KEPT_AFTER: Final = timedelta(seconds=KEY_KEPT_AFTER_S)


class ControlPublisher:
    """Signs control records, sends them in order and returns after their acks. Raises BrokerUnavailable."""

    def __init__(self, producer: Producer, signer: Signer) -> None:
        self._producer, self._signer = producer, signer

    async def publish(self, *records: ControlRecord) -> None:
        """All of them, in this order, acknowledged."""
        await self._send(encode(record, self._signer) for record in records)

    async def remove(self, *record_ids: str) -> None:
        """Signed tombstones for these records, acknowledged."""
        await self._send(encode_removal(record_id, self._signer) for record_id in record_ids)

    async def _send(self, encoded: Iterable[tuple[bytes, bytes | None, list[tuple[str, bytes]]]]) -> None:
        sent = []
        for key, value, headers in encoded:
            sent.append(
                await self._producer.send(topics.CONTROL, value, key=key, headers=headers, partition=0)
            )
        for future in sent:
            await acknowledged(future)


class Announced:
    """The last valid record of each id on the topic, by which `announce_all` knows what lacks."""

    def __init__(
        self,
        bootstrap: str,
        client_id: str,
        pinned: dict[str, KnownSigner],
        metrics: ProcessMetrics | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.reader = ControlReader(bootstrap, client_id, ControlView(pinned), metrics, tls)
        self.reader.listeners.append(self._saw)
        self.reader.refusals.append(self._displaced)
        self._records: dict[str, ControlRecord] = {}

    def _saw(self, record: ControlRecord) -> None:
        self._records[record.record_id] = record

    def _displaced(self, key: bytes) -> None:
        # A forged record or removal changes nobody's view, but after compaction the right one is gone for whoever starts.
        self._records.pop(key.decode("utf-8", "replace"), None)

    def lacks(self, record: ControlRecord) -> bool:
        """Whether the topic's last record of that id is absent, refused or another (`said_at` apart)."""
        known = self._records.get(record.record_id)
        if isinstance(known, AccountRecord) and isinstance(record, AccountRecord):
            return known != record.model_copy(update={"said_at": known.said_at})
        return known != record


def signer_records(public_keys: Path) -> list[SignerRecord]:
    """The signers that everyone else may believe. Raises InvalidSettings if a public key cannot be read."""
    records = []
    for name in ANNOUNCED_SIGNERS:
        present, *others = load_public_keys(public_keys / f"{name}.pub", "PUBLIC_KEYS_DIR")
        records.append(
            SignerRecord(
                name=name,
                public_key=_base64(present),
                may=RIGHTS_BY_PROCESS[name],
                others=tuple(map(_base64, others)),
            )
        )
    return records


def slot_record(row: asyncpg.Record) -> SlotRecord:
    """A slot as control says it."""
    return SlotRecord(
        slot=row["slot"], partitions=row["partitions"], state=row["state"], tenant=row["tenant_id"]
    )


def tenant_record(row: asyncpg.Record) -> TenantRecord:
    """A tenant as control says it; one that is provisioned is announced as ready."""
    state: Literal["ready", "paused", "leaving"] = "ready" if row["state"] == "provisioned" else row["state"]
    return TenantRecord(
        tenant=row["tenant_id"],
        state=state,
        slot=row["slot"],
        partitions=row["partitions"],
        schema_name=row["schema_name"],
    )


def grant_record(row: asyncpg.Record) -> GrantRecord:
    """A grant as control says it."""
    return GrantRecord(
        grant=row["grant_id"],
        tenant=row["tenant_id"],
        reader=row["reader"],
        state="ended" if row["ended"] else "active",
        since=row["since"],
        until=row["until"],
        public_key=None if row["ended"] else _base64(row["public_key"]),
    )


def transport_key_record(row: asyncpg.Record) -> TransportKeyRecord:
    """A public transport key as control says it."""
    return TransportKeyRecord(
        recipient=row["recipient"],
        public_key=_base64(row["public_key"]),
        active_from=row["active_from"],
        seal_until=row["seal_until"],
    )


def account_record(row: asyncpg.Record) -> AccountRecord:
    """An account as control says it, from a row of `all_accounts`."""
    return AccountRecord(
        account=row["account_id"],
        tenant=row["tenant_id"],
        product=row["product"],
        ids=tuple(AccountId(kind=IdKind(kind), value=value) for kind, value in orjson.loads(row["ids"])),
        consent=Consent(
            state=row["consent"],
            since=row["since"],
            scopes=frozenset(row["scopes"]),
            proof_ref=row["proof_ref"],
        ),
        state=row["state"],
    )


async def announce_account(
    connection: Connection, publisher: ControlPublisher, account: UUID
) -> AccountRecord:
    """Publish an account's present state under its row's lock, so that two that announce it cannot cross."""
    with translated():
        async with connection.transaction():
            locked = await connection.fetchrow(SQL["account_locked"], account)
            consent = await connection.fetchrow(SQL["consent_of"], account)
            assert locked is not None
            assert consent is not None
            ids = await connection.fetch(SQL["account_ids_of"], account)
            record = AccountRecord(
                account=account,
                tenant=locked["tenant_id"],
                product=locked["product"],
                ids=tuple(AccountId(kind=IdKind(row["kind"]), value=row["value"]) for row in ids),
                consent=Consent(
                    state=consent["state"],
                    since=consent["since"],
                    scopes=frozenset(consent["scopes"]),
                    proof_ref=consent["proof_ref"],
                ),
                state=locked["state"],
                said_at=consent["said_at"],
            )
            await publisher.publish(record)
    return record


async def announce_keys(
    connection: Connection, publisher: ControlPublisher, announced: Announced, rows: list[asyncpg.Record]
) -> int:
    """Publish those transport keys that control lacks and note it; how many were published."""
    missing = [
        (row, record)
        for row in rows
        if announced.lacks(record := transport_key_record(row)) or not row["published"]
    ]
    await publisher.publish(*(record for _, record in missing))
    with translated():
        await connection.executemany(
            SQL["transport_key_published"], [(row["recipient"], row["key_id"]) for row, _ in missing]
        )
    return len(missing)


async def announce_all(
    connection: Connection,
    publisher: ControlPublisher,
    announced: Announced,
    public_keys: Path,
    now: datetime,
) -> int:
    """Publish whatever control lacks; how many records. Signers and keys first, tenants after their keys and slots."""
    await announced.reader.catch_up()
    signers = [record for record in signer_records(public_keys) if announced.lacks(record)]
    await publisher.publish(*signers)
    with translated():
        key_rows = await connection.fetch(SQL["transport_keys_to_announce"], now - KEY_KEPT_AFTER)
    count = len(signers) + await announce_keys(connection, publisher, announced, key_rows)
    with translated():
        slots = [slot_record(row) for row in await connection.fetch(SQL["announced_slots"])]
        tenants = [tenant_record(row) for row in await connection.fetch(SQL["tenants_for_control"])]
        grants = [grant_record(row) for row in await connection.fetch(SQL["grants_for_control"], None)]
    said: list[ControlRecord] = [*slots, *tenants, *grants]
    missing = [record for record in said if announced.lacks(record)]
    await publisher.publish(*missing)
    with translated():
        accounts = [account_record(row) for row in await connection.fetch(SQL["all_accounts"])]
    late = [record for record in accounts if announced.lacks(record)]
    for record in late:
        await announce_account(connection, publisher, record.account)
    # What nobody can open any more need not be known: the compacted topic stays as small as what is in use.
    ended = announced.reader.view.ended_transport_keys(now - KEY_KEPT_AFTER)
    await publisher.remove(*(record.record_id for record in ended))
    return count + len(missing) + len(late)


def _base64(raw: bytes) -> bytes:
    # pydantic's Base64Bytes decodes what it is given and encodes what it writes.
    return b64encode(raw)
