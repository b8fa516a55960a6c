"""Somebody erased, after every expiry has passed: no readable byte anywhere, and no key that exists opens what remains.

The expiries are those of production, shortened: topics by their retention and segments, WAL by a switch and checkpoints,
the key by a rotation of epochs. That the ciphertexts did open before shows that the attempts are real.
"""

import asyncio
import time
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from contracts import topics
from runtime.files import SecretFolder
from store.keys.keyring import LocalKeyring
from tests.support import scan
from tests.support.bodies import encode, messenger
from tests.support.erasure import ERASED, Requests, person_request, psid, read_all, wait_state
from tests.support.forms import Wanted
from tests.support.old_copies import copies, opened
from tests.support.world import World, data_folders

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

ANA, PAGE = "8741963258741963", "830000000000077"
TEXT = "canário-da-ana-7f3b"


async def keep_for(world: World, milliseconds: int, *names: str) -> None:
    """Retention and segments of these topics, as `deploy` sets them to days."""
    tls = world.stack.endpoints.kafka_tls()
    admin = AIOKafkaAdminClient(
        bootstrap_servers=world.stack.endpoints.kafka,
        security_protocol="SSL" if tls else "PLAINTEXT",
        ssl_context=tls,
    )
    await admin.start()
    try:
        config = {"retention.ms": str(milliseconds), "segment.ms": str(milliseconds)}
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, configs=config) for name in names]
        )
    finally:
        await admin.close()


def in_kafka(world: World, values: list[bytes]) -> int:
    """How many of these sealed records lie in Kafka's files."""
    found: set[int] = set()
    for path in world.stack.kafka.data_dir.rglob("*.log*"):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        # Batches may be compressed: sealed bytes are not, so that most of one stands as it is.
        found |= {at for at, value in enumerate(values) if value[60:90] in content}
    return len(found)


async def test_nothing_of_an_erased_person_reads_anywhere_once_all_expiries_have_passed(
    erasing: World, requests: Requests
) -> None:
    world = erasing
    tenant = await asyncio.to_thread(world.add_tenant, "expira")
    await asyncio.to_thread(world.connect, tenant, "messenger", {"page": PAGE})
    for number in range(5):
        assert (
            world.post(encode(messenger(f"m_ana{number}", f"{TEXT}-{number}", page=PAGE, person=ANA))) == 200
        )
    assert world.post(encode(messenger("m_bia", "fica", page=PAGE, person="4712"))) == 200
    await asyncio.to_thread(world.wait_rows, tenant, 6)
    provider = LocalKeyring(SecretFolder(world.service.root / "keys" / "store" / "secrets"))
    before = copies(world, tenant)
    plain = [await opened(provider, tenant, copy) for copy in before]
    of_ana = [copy for copy, text in zip(before, plain, strict=True) if text and TEXT.encode() in text]
    assert len(of_ana) == 5
    events = topics.tenant_events_topic(tenant.slot)
    sealed = [
        one.value for name in (topics.RAW, events) for one in await read_all(world.stack.endpoints, name)
    ]
    assert in_kafka(world, sealed) > 0

    asked = await requests.ask(person_request(tenant, psid(ANA)))
    await asyncio.to_thread(wait_state, world, asked, *ERASED)
    await keep_for(world, 1_000, topics.RAW, events)
    await asyncio.to_thread(world.mkc, "keys", "rotate", "--timeout-s", "60")
    world.sql("SELECT pg_switch_wal()", database="postgres")
    world.sql("CHECKPOINT", database="postgres")

    def busy_topics_have_let_go() -> bool:
        # A topic that is written to keeps its active segment: it rolls at the next record only.
        body = encode(messenger(f"m_{time.monotonic_ns()}", "mais", page=PAGE, person="4712"))
        assert world.post(body) == 200
        return in_kafka(world, sealed) == 0

    await asyncio.to_thread(world.wait_until, busy_topics_have_let_go, 40, "old segments to be deleted")
    await keep_for(world, 3_600_000, topics.RAW, events)  # The raw topic is everybody's here.
    for copy in of_ana:
        assert await opened(provider, tenant, copy) is None
    roots = {row[0]: row[1] for row in world.sql("SELECT epoch, state FROM mk.root_epoch")}
    assert {roots[copy.root] for copy in of_ana} == {"destroyed"}
    # Whoever stays reads on: through the database of now, not through the old copy.
    texts: list[Any] = [message.get("text") or str(message) for message in world.messages(tenant)]
    assert any("fica" in text for text in texts)
    assert not any(TEXT in text for text in texts)
    wanted = Wanted({"text": TEXT, "person": ANA})
    searched, found = scan.in_files(data_folders(world.stack), wanted)
    assert (searched > 1_000_000, found) == (True, [])
