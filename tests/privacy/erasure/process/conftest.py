"""One service with every process up for this folder: every test has people, and mostly a tenant, of its own in it."""

import json
from collections.abc import Iterator

import pytest

from deploy.local.stack import LocalStack
from ingest.appsecret_proof import appsecret_proof
from runtime.files import write_atomic
from tests.support.servers import free_port
from tests.support.world import World

META_TOKEN, META_SECRET, META_NUMBER = "EAAG-of-the-number", b"secret-of-the-app", "15510000009"


@pytest.fixture(scope="package")
def meta_port() -> int:
    """Where a double of Meta's Graph API may answer."""
    return free_port()


@pytest.fixture(scope="package")
def erasing(
    servers: tuple[LocalStack, int], tmp_path_factory: pytest.TempPathFactory, meta_port: int
) -> Iterator[World]:
    """Every process up; erasure has an access token for one number."""
    stack, port_base = servers
    tokens = tmp_path_factory.mktemp("tokens")
    content = {"token": META_TOKEN, "proof": appsecret_proof(META_SECRET, META_TOKEN.encode())}
    write_atomic(tokens / f"{META_NUMBER}.json", json.dumps(content).encode())
    overrides = {
        "MKC_ERASURE_META_TOKENS_DIR": str(tokens),
        "MKC_ERASURE_META_URL": f"http://127.0.0.1:{meta_port}/v25.0",
    }
    with World.on(stack, port_base, overrides=overrides) as world:
        world.start()
        yield world
        assert world.dead() == set()
