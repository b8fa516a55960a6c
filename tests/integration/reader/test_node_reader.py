"""The Node reader: its own tests, and a live topic with the bytes that Python wrote."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploy.local.stack import LocalStack
from runtime.tls import TlsFiles
from tests.integration.reader.tenant_topic import MARIA, READER, TenantTopic, reader_files

NODE_READER = Path(__file__).parents[3] / "contracts" / "readers" / "node"
pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("node_reader")]


def test_it_reads_the_published_vectors() -> None:
    done = subprocess.run(["npm", "test"], cwd=NODE_READER, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    assert "# fail 0" in done.stdout
    assert "# skipped 0" in done.stdout


def test_it_has_no_native_add_ons() -> None:
    assert not list((NODE_READER / "node_modules").rglob("*.node"))
    assert not list((NODE_READER / "node_modules").rglob("binding.gyp"))


def tls_of(files: TlsFiles) -> dict[str, str]:
    """As the example takes it."""
    return {"ca": str(files.ca), "cert": str(files.certificate), "key": str(files.key)}


async def consume(tenant: TenantTopic, group: str, count: int) -> list[dict[str, Any]]:
    """What it says of the next `count` records."""
    settings = {
        "brokers": [tenant.endpoints.kafka],
        "tls": tls_of(reader_files(tenant.endpoints)),
        "topic": tenant.topic,
        "group": f"{READER}.{group}",
        "keys": str(tenant.keys),
        "signers": tenant.public_keys,
        "tenant": str(tenant.tenant),
        "count": count,
    }
    process = await asyncio.create_subprocess_exec(
        "node", "example/consume.js", json.dumps(settings), cwd=NODE_READER,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        out, errors = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    return [json.loads(line) for line in out.splitlines()]


async def test_it_reads_a_live_topic_and_goes_on_where_it_committed(
    stack: LocalStack, tmp_path: Path
) -> None:
    async with TenantTopic.on(stack.endpoints, tmp_path) as tenant:
        await tenant.say("Olá", "tudo bem?")
        await tenant.say("falsa", signer="mallory")
        erased = await tenant.erase(MARIA)
        first = await consume(tenant, "node", 4)
        assert [one["kind"] for one in first] == ["event", "event", "refused", "subject_erased"]
        assert [one["data"]["message"]["text"] for one in first[:2]] == ["Olá", "tudo bem?"]
        assert first[0]["persons"] == [MARIA.hex()]
        assert first[2]["reason"] == "tampered"
        assert first[3]["request"] == str(erased.request)
        await tenant.say("depois")
        (second,) = await consume(tenant, "node", 1)
        assert (second["offset"], second["data"]["message"]["text"]) == (4, "depois")
