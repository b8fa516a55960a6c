"""What the real router publishes, read by those who are downstream: in Python and in Node, the same events."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from contracts.events.message import MessageReceived
from contracts.hybrid import HybridPrivateKey
from contracts.reader import Event, EventOpener, KeyFolder, TenantReader, pinned
from contracts.topics import tenant_events_topic
from runtime.tls import TlsFiles, client_context
from tests.support.bodies import PAGE, PHONE_NUMBER_ID, WABA, encode, messenger, whatsapp, whatsapp_message
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

NODE_READER = Path(__file__).parents[3] / "contracts" / "readers" / "node"
READER = "reader-crm"
TEXTS = ("Bom dia", "ação 👩🏽‍🚀 \x00 \u2028", "x" * 20_000)


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    """A tenant with a Page and a phone number, to whom people wrote."""
    world.start(["custodian", "ingest", "router"])
    tenant = world.add_tenant("editora")
    world.connect(tenant, "messenger", {"page": PAGE})
    world.connect(tenant, "whatsapp", {"waba": WABA, "phone-number-id": PHONE_NUMBER_ID})
    for number, text in enumerate(TEXTS):
        assert world.post(encode(messenger(f"m_{number}", text))) == 200
    assert world.post(encode(whatsapp([whatsapp_message("wamid.R", "pelo WhatsApp")]))) == 200
    return tenant


@pytest.fixture(scope="module")
def reader(world: World, tenant: Tenant, tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """The certificate of a service that the tenant granted; its keys are read from the store's folder here."""
    public = tmp_path_factory.mktemp("reader") / "reader.pub"
    public.write_bytes(b64encode(HybridPrivateKey.generate().public.raw))
    world.mkc(
        *("grant", "add", tenant.name, "--reader", READER, "--public-key", str(public), "--given-to", "CRM"),
        *("--directed-by", "legal", "--proof", "DPA-1", "--until", "2099-12-31"),
    )
    authority = world.stack.endpoints.authority
    assert authority is not None
    return authority.issue(READER)


def public_keys(world: World) -> dict[str, str]:
    return {"router": (world.service.keys / "public" / "router.pub").read_text().strip()}


async def python_reads(world: World, tenant: Tenant, files: TlsFiles, count: int) -> list[Event]:
    keys = KeyFolder(world.service.keys / "store" / "secrets")
    opener = EventOpener(keys, pinned(public_keys(world)), tenant=tenant.tenant)
    found: list[Event] = []
    topic = tenant_events_topic(tenant.slot)
    kafka, tls = world.stack.endpoints.kafka, client_context(files, "test")
    async with asyncio.timeout(60), TenantReader(kafka, topic, f"{READER}.py", opener, tls=tls) as reader:
        async for batch in reader:
            for placed in batch.placed:
                assert isinstance(placed.value, Event), placed.value
                found.append(placed.value)
            if len(found) >= count:
                break
    return found


async def node_reads(world: World, tenant: Tenant, files: TlsFiles, count: int) -> list[dict[str, Any]]:
    settings = {
        "brokers": [world.stack.endpoints.kafka],
        "topic": tenant_events_topic(tenant.slot),
        "tls": {"ca": str(files.ca), "cert": str(files.certificate), "key": str(files.key)},
        "group": f"{READER}.node",
        "keys": str(world.service.keys / "store" / "secrets"),
        "signers": public_keys(world),
        "tenant": str(tenant.tenant),
        "count": count,
    }
    process = await asyncio.create_subprocess_exec(
        "node", "example/consume.js", json.dumps(settings), cwd=NODE_READER, stdout=asyncio.subprocess.PIPE
    )  # fmt: skip
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


async def test_python_and_node_read_the_same_of_what_the_router_published(
    world: World, tenant: Tenant, reader: TlsFiles, node_reader: Path
) -> None:
    count = len(TEXTS) + 1
    events = await python_reads(world, tenant, reader, count)
    said = {event.data_as(MessageReceived).message.text for event in events}
    assert said == {*TEXTS, "pelo WhatsApp"}
    assert all(event.is_typed and event.persons for event in events)
    theirs = {one["id"]: one for one in await node_reads(world, tenant, reader, count)}
    for event in events:
        one = theirs.pop(str(event.id))
        assert one["raw"].encode() == event.raw
        assert one["data"] == event.json()
        assert [one["type"], one["direction"], one["conversation"], one["persons"]] == [
            event.type, event.direction, event.conversation.hex(), [person.hex() for person in event.persons],
        ]  # fmt: skip
    assert theirs == {}
