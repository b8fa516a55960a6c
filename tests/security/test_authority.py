"""The authority that signs certificates is replaced while Kafka runs: a second one is believed beside it, and no more after."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from contracts.errors import BrokerUnavailable
from deploy.local.certificates import Authority
from runtime.files import write_atomic
from runtime.kafka.acls import AclAdmin
from runtime.tls import TlsFiles, client_context
from tests.security.conftest import Secured

NODE_ID = "1"


async def is_admitted(secured: Secured, files: TlsFiles) -> bool:
    """Whether Kafka lets in whoever holds these files."""
    try:
        async with AclAdmin(secured.kafka, client_context(files, "test")):
            return True
    except BrokerUnavailable:
        return False


async def becomes(secured: Secured, files: TlsFiles, *, admitted: bool) -> bool:
    """Kafka takes the file up a moment after it said that it would."""
    for _ in range(200):
        if await is_admitted(secured, files) is admitted:
            return True
        await asyncio.sleep(0.1)
    return False


async def read_again(secured: Secured, path: Path) -> None:
    """What docs/keys.md has the operator do: the same setting once more makes the node read the file."""
    admin = AIOKafkaAdminClient(**secured.world.stack.endpoints.kafka_client())
    await admin.start()
    try:
        store = "listener.name.client.ssl.truststore"
        configs = {f"{store}.type": "PEM", f"{store}.location": str(path)}
        answer = await admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, NODE_ID, configs)])
        assert all(resource[0] == 0 for response in answer for resource in response.resources)
    finally:
        await admin.close()


async def test_a_second_authority_is_believed_and_forgotten_again_without_a_restart(
    secured: Secured, tmp_path: Path
) -> None:
    first = secured.world.stack.endpoints.authority
    assert first is not None
    second = Authority(tmp_path / "tls", "mkchannels-next-authority")
    second.prepare()
    pid = secured.world.stack.kafka.pid
    theirs = second.files("operator")
    # Signed by the next authority, believing the present one, as a client is while the authority changes.
    ours = TlsFiles(first.ca, theirs.certificate, theirs.key)
    before = first.ca.read_bytes()
    assert not await is_admitted(secured, ours)
    try:
        write_atomic(first.ca, before + second.ca.read_bytes(), mode=0o644)
        await read_again(secured, first.ca)
        assert await becomes(secured, ours, admitted=True)
        assert await is_admitted(secured, first.files("operator"))
    finally:
        write_atomic(first.ca, before, mode=0o644)
        await read_again(secured, first.ca)
    assert await becomes(secured, ours, admitted=False)
    assert secured.world.stack.kafka.pid == pid
    assert secured.world.dead() == set()
