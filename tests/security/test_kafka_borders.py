"""What Kafka refuses to a process that was taken over: each attempt with that process's own certificate."""

from __future__ import annotations

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from cryptography import x509

from contracts import topics
from contracts.access import Operation, Permit, Resource, slot_permits, static_permits
from contracts.errors import AccessRefused, BrokerUnavailable, broker_error
from deploy.local.certificates import Authority
from runtime.kafka.acls import AclAdmin
from runtime.kafka.clients import Producer, acknowledged, consumer
from runtime.tls import TlsFiles, client_context
from store.custody.access import Access
from store.database import connected
from tests.security.conftest import Secured

STATIC = sorted(topics.BY_NAME)


async def write(secured: Secured, who: str, topic: str) -> None:
    """Raises AccessRefused where that may not be written."""
    producer = Producer(secured.kafka, who, tls=secured.tls(who))
    await producer.start()
    try:
        await acknowledged(await producer.send(topic, b"x", key=b"security-test"))
    finally:
        await producer.stop()


async def read(secured: Secured, who: str, topic: str) -> None:
    """Raises AccessRefused where that may not be read."""
    reader = consumer(secured.kafka, who, group=None, tls=secured.tls(who))
    try:
        await reader.start()
        await reader._client.add_topic(topic)
        if topic in reader._client.cluster.unauthorized_topics:
            raise TopicAuthorizationFailedError(topic)
        at = TopicPartition(topic, 0)
        reader.assign([at])
        reader.seek(at, 0)
        await reader.getmany(at, timeout_ms=300)
    except KafkaError as exc:
        raise broker_error(exc, "not read") from exc
    finally:
        await reader.stop()


async def allowed(secured: Secured, who: str, names: list[str]) -> tuple[set[str], set[str]]:
    """Which of these topics `who` can write, and which it can read, tried one by one."""
    can_write, can_read = set(), set()
    for topic in names:
        try:
            await write(secured, who, topic)
            can_write.add(topic)
        except AccessRefused:
            pass
        try:
            await read(secured, who, topic)
            can_read.add(topic)
        except AccessRefused:
            pass
    return can_write, can_read


def tenant_topics(secured: Secured) -> list[str]:
    """Of the tenant whose events nobody here tests: what is written there disturbs no one."""
    slot = secured.rival.slot
    return [topics.tenant_events_topic(slot), topics.tenant_keys_topic(slot)]


async def test_ingest_reads_nothing_and_writes_two_topics_only(secured: Secured) -> None:
    can_write, can_read = await allowed(secured, "ingest", [*STATIC, *tenant_topics(secured)])
    assert can_read == set()
    assert can_write == {topics.RAW, topics.ERASURE_REQUESTS}


async def test_the_router_reads_no_tenants_events_and_gives_no_keys(secured: Secured) -> None:
    events, keys = tenant_topics(secured)
    can_write, can_read = await allowed(secured, "router", [*STATIC, events, keys])
    assert can_write == {
        topics.RAW,
        events,
        topics.QUARANTINE_RAW,
        topics.LEDGER,
        topics.ERASURE_REQUESTS,
    }
    assert can_read == {topics.RAW, topics.QUARANTINE_RAW, topics.CONTROL}


async def test_the_store_writes_neither_control_nor_raw(secured: Secured) -> None:
    for topic in (topics.CONTROL, topics.RAW, topics.ERASURE_FENCES, topics.QUARANTINE_RAW):
        with pytest.raises(AccessRefused):
            await write(secured, "store", topic)
    with pytest.raises(AccessRefused):
        await read(secured, "store", topics.RAW)


async def test_a_topic_that_nobody_declared_is_closed_to_all(secured: Secured) -> None:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=secured.kafka, security_protocol="SSL", ssl_context=secured.tls("admin")
    )
    await admin.start()
    try:
        await admin.create_topics([NewTopic("undeclared.v1", num_partitions=1, replication_factor=1)])
        for who in ("ingest", "router", "store", "custodian", "operator"):
            assert await allowed(secured, who, ["undeclared.v1"]) == (set(), set())
        await admin.delete_topics(["undeclared.v1"])
    finally:
        await admin.close()


@pytest.mark.parametrize("who", ["ingest", "router", "store", "erasure", "reader", "desk"])
async def test_nobody_but_custodian_and_operator_writes_control(secured: Secured, who: str) -> None:
    with pytest.raises(AccessRefused):
        await write(secured, who, topics.CONTROL)


@pytest.mark.parametrize("who", ["ingest", "router", "store", "operator", "reader"])
async def test_nobody_but_the_custodian_changes_permissions(secured: Secured, who: str) -> None:
    mine = Permit(who, Operation.READ, Resource.TOPIC, topics.tenant_events_topic(secured.acme.slot))
    async with AclAdmin(secured.kafka, secured.tls(who)) as admin:
        with pytest.raises(AccessRefused):
            await admin.add([mine])


async def test_another_processs_consumer_group_is_closed(secured: Secured) -> None:
    thief = consumer(secured.kafka, "thief", group="mk.store.local.v1", tls=secured.tls("router"))
    try:
        await thief.start()
        thief.subscribe([topics.RAW])
        with pytest.raises(GroupAuthorizationFailedError):
            await asyncio.wait_for(thief.getmany(timeout_ms=30_000), 60)
    finally:
        await thief.stop()


async def test_a_refused_producer_goes_on_where_it_may_write(secured: Secured) -> None:
    producer = Producer(secured.kafka, "ingest", tls=secured.tls("ingest"))
    await producer.start()
    try:
        with pytest.raises(AccessRefused):
            await producer.send(topics.CONTROL, b"x")
        await acknowledged(await producer.send(topics.ERASURE_REQUESTS, b"x"))
    finally:
        await producer.stop()


async def test_a_certificate_of_a_foreign_authority_is_refused(secured: Secured, tmp_path: Path) -> None:
    foreign = Authority(tmp_path / "tls")
    foreign.prepare()
    forged = foreign.files("admin")
    authority = secured.world.stack.endpoints.authority
    assert authority is not None
    mixed = TlsFiles(authority.ca, forged.certificate, forged.key)
    producer = Producer(secured.kafka, "forged", tls=client_context(mixed, "test"))
    with pytest.raises(BrokerUnavailable):
        await producer.start()


async def test_without_tls_nobody_gets_in(secured: Secured) -> None:
    producer = Producer(secured.kafka, "plain")
    with pytest.raises(BrokerUnavailable):
        async with asyncio.timeout(60):
            await producer.start()


async def test_certificates_are_taken_up_anew_without_a_restart(secured: Secured, tmp_path: Path) -> None:
    authority = secured.world.stack.endpoints.authority
    assert authority is not None
    mine = TlsFiles(tmp_path / "ca.pem", tmp_path / "tls.crt", tmp_path / "tls.key")

    def hold(name: str) -> None:
        files = authority.files(name)
        for source, target in (
            (files.ca, mine.ca),
            (files.key, mine.key),
            (files.certificate, mine.certificate),
        ):
            shutil.copy2(source, target)

    hold("ingest")
    context = client_context(mine, "test")
    first = Producer(secured.kafka, "renewed", tls=context)
    await first.start()
    second = Producer(secured.kafka, "renewed", tls=context)
    try:
        with pytest.raises(AccessRefused):
            await first.send(topics.LEDGER, b"x")
        hold("router")
        await second.start()
        await acknowledged(await second.send(topics.LEDGER, b"x"))
        # The connection that was open is still who it was.
        with pytest.raises(AccessRefused):
            await first.send(topics.LEDGER, b"x")
        # Half of a replacement: the pair before it goes on.
        mine.certificate.write_bytes(b"broken")
        third = Producer(secured.kafka, "renewed", tls=context)
        await third.start()
        await third.stop()
    finally:
        await first.stop()
        await second.stop()


async def test_the_cluster_holds_exactly_the_declared_permissions(secured: Secured) -> None:
    async with AclAdmin(secured.kafka, secured.tls("operator")) as admin:
        existing, others = await admin.existing()
    assert others == 0
    assert {one for one in existing if not one.is_kept_by_custodian} == static_permits()
    assert slot_permits(secured.acme.slot) <= existing


async def test_a_permission_that_somebody_slipped_in_is_taken_away(secured: Secured) -> None:
    events = topics.tenant_events_topic(secured.acme.slot)
    slipped = Permit("ingest", Operation.READ, Resource.TOPIC, events)
    async with AclAdmin(secured.kafka, secured.tls("admin")) as admin:
        await admin.add([slipped])
    dsn = secured.world.service.login("mk_custodian")
    async with (
        AclAdmin(secured.kafka, secured.tls("custodian")) as admin,
        connected(dsn, "test") as connection,
    ):
        await Access(admin).keep(connection, compare=True)
        existing, _ = await admin.existing()
    assert slipped not in existing
    assert slot_permits(secured.acme.slot) <= existing


def test_doctor_says_which_permission_lacks_and_which_is_too_much(secured: Secured) -> None:
    world = secured.world
    lacking = Permit("store", Operation.READ, Resource.TOPIC, topics.ERASURE_FENCES)
    surplus = Permit("desk", Operation.WRITE, Resource.TOPIC, topics.RAW)

    async def change(*, undo: bool) -> None:
        async with AclAdmin(secured.kafka, secured.tls("admin")) as admin:
            await admin.remove([surplus if undo else lacking])
            await admin.add([lacking if undo else surplus])

    def said() -> set[str]:
        _, output, _ = world.mkc_raw("doctor")
        return {line.strip() for line in output.splitlines() if "permission" in line}

    world.run(change(undo=False))
    try:
        found = " ".join(said())
        assert str(lacking) in found
        assert str(surplus) in found
    finally:
        world.run(change(undo=True))
    code, output, _ = world.mkc_raw("doctor")
    assert code == 0, output


def test_certificates_end_and_name_one_client_each(secured: Secured) -> None:
    authority = secured.world.stack.endpoints.authority
    assert authority is not None
    for name in ("ingest", "router"):
        held = x509.load_pem_x509_certificate(authority.files(name).certificate.read_bytes())
        assert held.subject.rfc4514_string() == f"CN={name}"
        assert held.not_valid_after_utc - held.not_valid_before_utc <= timedelta(days=91)
