"""Records forged by somebody who may write to a topic, and may even open what lies there, but has no signing key.

Through the running router and store: set aside as tampered, no row, nobody stops, and what is genuine passes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts import control, topics
from contracts import headers as h
from contracts.block import Delivery, pack
from contracts.errors import AccessRefused
from contracts.hybrid import HybridPrivateKey
from contracts.sealing import EpochStatement, SealingEpoch
from contracts.signing import Signer
from runtime.kafka.clients import Producer, acknowledged, consumer
from tests.security.conftest import Secured
from tests.support.bodies import encode, messenger
from tests.support.world import Tenant

MALLORY = os.urandom(32)
PAGE = "700300400500801"
"""Of these tests alone: the world is shared by all tests of this folder."""


class Record(NamedTuple):
    """As it lies on a topic."""

    value: bytes
    headers: list[tuple[str, bytes]]
    key: bytes | None = None


Forge = Callable[[Record, HybridPrivateKey], Record]


def with_header(record: Record, name: str, value: bytes | None) -> Record:
    """Another value of one header; None takes it out, a name that was not there is added."""
    rest = [pair for pair in record.headers if pair[0] != name]
    return record._replace(headers=rest if value is None else [*rest, (name, value)])


def own_epoch(record: Record, half: HybridPrivateKey, signer: Signer, **others: Any) -> Record:
    """Sealed anew to the same recipient, in another's name."""
    statement = EpochStatement.decode(dict(record.headers)[h.EK_STATEMENT])
    epoch = SealingEpoch.begin(
        recipient=half.public,
        tenant=others.get("tenant", statement.tenant),
        topic=statement.topic,
        signer=signer,
        now_s=int(time.time()) - 5,
        epoch_key=os.urandom(32),
    )
    covered = [pair for pair in record.headers if pair[0].startswith(("ce_", "mk_"))]
    plaintext = b'{"direction":"inbound"}'
    if statement.topic == topics.RAW:
        plaintext, size = pack([Delivery("demo", 1, encode(messenger("m_forged", "forged", page=PAGE)))])
        covered = [(h.MK_COUNT, b"1"), (h.MK_SIZE, b"%d" % size)]
    return Record(epoch.seal(plaintext, covered, os.urandom(12)), [*covered, *epoch.headers], record.key)


def stretched(record: Record, half: HybridPrivateKey) -> Record:
    """The genuine epoch key, which its reader can open, under a statement that says another time."""
    headers = dict(record.headers)
    statement = bytearray(headers[h.EK_STATEMENT])
    statement[29] ^= 1
    epoch_key = half.open(headers[h.EK_KEY], b"mkchannels epoch v1\x00" + headers[h.EK_STATEMENT])
    sealed = half.public.seal(epoch_key, b"mkchannels epoch v1\x00" + bytes(statement))
    changed = with_header(record, h.EK_STATEMENT, bytes(statement))
    return with_header(changed, h.EK_KEY, sealed)


def unknown_key(record: Record, half: HybridPrivateKey) -> Record:
    """Headers as they are, content under a key of the forger's."""
    nonce = os.urandom(12)
    return record._replace(value=record.value[:24] + nonce + AESGCM(os.urandom(32)).encrypt(nonce, b"x", b""))


FORGERIES: dict[str, Forge] = {
    "a genuine epoch's headers around noise": lambda record, _: record._replace(
        value=record.value[:24] + os.urandom(len(record.value) - 24)
    ),
    "content under another key": unknown_key,
    "one bit turned": lambda record, _: record._replace(
        value=record.value[:-1] + bytes((record.value[-1] ^ 1,))
    ),
    "no signature": lambda record, _: with_header(record, h.EK_SIG, None),
    "another's signature": lambda record, _: with_header(record, h.EK_SIG, os.urandom(64)),
    "an epoch of one's own in the sealer's name": lambda record, half: own_epoch(
        record, half, Signer.from_bytes(_signer_of(record), MALLORY)
    ),
    "an epoch of one's own in the custodian's name": lambda record, half: own_epoch(
        record, half, Signer.from_bytes("custodian", MALLORY)
    ),
    "an epoch that its reader opened and stretched": stretched,
    "facts added that nobody signed": lambda record, _: with_header(record, h.Q_REPLAY, b"1"),
    "a sealed header more": lambda record, _: with_header(record, "mk_extra", b"1"),
    "no value at all": lambda record, _: record._replace(value=b""),
}


def _signer_of(record: Record) -> str:
    return EpochStatement.decode(dict(record.headers)[h.EK_STATEMENT]).signer


async def first_record(secured: Secured, who: str, topic: str) -> tuple[int, Record]:
    """The partition and the first sealed record of a topic that has one."""
    reader = consumer(secured.kafka, who, group=None, tls=secured.tls(who))
    await reader.start()
    try:
        await reader._client.add_topic(topic)
        parts = [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())]
        reader.assign(parts)
        ends = await reader.end_offsets(parts)
        part = next(part for part in parts if ends[part])
        reader.assign([part])
        reader.seek(part, 0)
        while True:
            record = await reader.getone(part)
            if any(name == h.EK_KEY for name, _ in record.headers):
                return part.partition, Record(record.value, list(record.headers), record.key)
    finally:
        await reader.stop()


async def put(secured: Secured, who: str, topic: str, partition: int, records: list[Record]) -> None:
    """Write them as who may."""
    producer = Producer(secured.kafka, who, tls=secured.tls(who))
    await producer.start()
    try:
        for value, headers, key in records:
            sent = await producer.send(topic, value, key=key, headers=headers, partition=partition)
            await acknowledged(sent)
    finally:
        await producer.stop()


@pytest.fixture(scope="module")
def posted(secured: Secured) -> Secured:
    """Two tenants of these tests alone, and a genuine message of the first one's that went all the way."""
    world = secured.world
    mine = replace(secured, acme=world.add_tenant("forged"), rival=world.add_tenant("forged-rival"))
    world.connect(mine.acme, "messenger", {"page": PAGE})
    assert world.post(encode(messenger("m_genuine", "genuine", page=PAGE))) == 200
    world.wait_rows(mine.acme, 1)
    return mine


def half_of(secured: Secured, folder: str, statement: bytes, name: str) -> HybridPrivateKey:
    """The private half that opens the record: its reader has it."""
    for path in (secured.world.service.keys / folder / "secrets").glob(name):
        half = HybridPrivateKey.from_bytes(path.read_bytes())
        if half.public.key_id == EpochStatement.decode(statement).recipient_key_id:
            return half
    raise AssertionError("nobody has that half")


def tampered(secured: Secured) -> int:
    """Raw records set aside as tampered so far."""
    told = secured.world.ledger()[1]["tenants"]
    return sum(int(one["quarantined_by_reason"].get("tampered", 0)) for one in told.values())


def genuine_passes(secured: Secured, tenant: Tenant) -> None:
    """A delivery posted now is a row: nobody hangs behind what was forged."""
    world = secured.world
    before = world.row_count(tenant)
    assert world.post(encode(messenger(f"m_after{time.monotonic_ns()}", "after", page=PAGE))) == 200
    world.wait_rows(tenant, before + 1, 20)
    assert world.dead() == set()


def test_raw_records_without_the_receivers_signing_key_are_set_aside_as_tampered(posted: Secured) -> None:
    world = posted.world
    partition, genuine = world.run(first_record(posted, "router", topics.RAW))
    half = half_of(posted, "router", dict(genuine.headers)[h.EK_STATEMENT], "raw-*")
    before, rows = tampered(posted), world.row_count(posted.acme)
    forged = [forge(genuine, half) for forge in FORGERIES.values()]
    world.run(put(posted, "ingest", topics.RAW, partition, forged))
    world.wait_until(lambda: tampered(posted) >= before + len(forged), 30, "every forgery to be set aside")
    assert tampered(posted) == before + len(forged)
    assert world.row_count(posted.acme) == rows
    genuine_passes(posted, posted.acme)


def test_events_without_the_routers_signing_key_are_set_aside_and_never_rows(posted: Secured) -> None:
    world, tenant = posted.world, posted.acme
    topic = topics.tenant_events_topic(tenant.slot)
    partition, genuine = world.run(first_record(posted, "store", topic))
    half = half_of(posted, "store", dict(genuine.headers)[h.EK_STATEMENT], f"transport-{tenant.tenant}-*")
    forged = [forge(genuine, half) for forge in FORGERIES.values()]
    for name, _ in genuine.headers:
        if name.startswith(("ce_", "mk_")):
            forged += [with_header(genuine, name, b"1"), with_header(genuine, name, None)]
    before, rows = world.outcomes(tenant).get("quarantined", 0), world.row_count(tenant)
    world.run(put(posted, "router", topic, partition, forged))
    world.wait_until(
        lambda: world.outcomes(tenant).get("quarantined", 0) >= before + len(forged), 30, "every forgery"
    )
    assert world.outcomes(tenant)["quarantined"] == before + len(forged)
    assert world.row_count(tenant) == rows
    genuine_passes(posted, tenant)


def test_a_record_moved_to_another_tenants_topic_is_set_aside_there(posted: Secured) -> None:
    world, rival = posted.world, posted.rival
    _, genuine = world.run(first_record(posted, "store", topics.tenant_events_topic(posted.acme.slot)))
    topic = topics.tenant_events_topic(rival.slot)
    before, rows = world.outcomes(rival).get("quarantined", 0), world.row_count(rival)
    renamed = with_header(genuine, h.CE_TENANT, str(rival.tenant).encode())
    world.run(put(posted, "router", topic, 0, [genuine, renamed]))
    world.wait_until(lambda: world.outcomes(rival).get("quarantined", 0) == before + 2, 20, "both of them")
    assert world.row_count(rival) == rows


def test_control_records_without_the_custodians_key_change_nothing(posted: Secured) -> None:
    """A stolen certificate of the operator's, without the signing key: acme's page would become the rival's."""
    world = posted.world
    account = world.sql("SELECT account_id FROM mk.account_id WHERE value = $1", PAGE)[0][0]
    stolen = control.AccountRecord(
        account=account,
        tenant=posted.rival.tenant,
        product="messenger",
        ids=(control.AccountId(kind=control.IdKind.PAGE, value=PAGE),),
        consent=control.Consent(
            state="active", since=datetime.now(UTC), scopes=frozenset({"messaging"}), proof_ref=uuid4()
        ),
        state="connected",
        said_at=datetime.now(UTC),
    )
    forged = []
    for name in ("custodian", "operator", "router", "mallory"):
        key, value, headers = control.encode(stolen, Signer.from_bytes(name, MALLORY))
        forged += [Record(value, headers, key), Record(value, headers[:1], key), Record(value, [], key)]
    before = {name: world.metrics(name)["mk_control_records_refused_total"] for name in ("router", "store")}
    rows = world.row_count(posted.rival)
    world.run(put(posted, "operator", topics.CONTROL, 0, forged))
    for name, count in before.items():
        world.wait_until(
            lambda name=name, count=count: (
                world.metrics(name)["mk_control_records_refused_total"] == count + len(forged)
            ),  # type: ignore[misc]
            20,
            f"{name} to refuse each",
        )
    genuine_passes(posted, posted.acme)
    assert world.row_count(posted.rival) == rows


async def test_a_downstream_reader_that_can_open_a_tenants_records_may_not_write_there(
    posted: Secured,
) -> None:
    """Who opens an epoch could seal in it: the permission is what keeps readers from it."""
    topic = topics.tenant_events_topic(posted.acme.slot)
    _, genuine = await first_record(posted, "store", topic)
    for who in ("reader-mallory", "desk", "reader", "ingest"):
        with pytest.raises(AccessRefused):
            await put(posted, who, topic, 0, [genuine])
