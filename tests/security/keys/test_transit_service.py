"""The whole service with Vault's protocol in place of files: each process with a token that may what docs/keys.md says.

Nothing of it lies on this machine's disk; the custodian hands the router its keys and cannot read them; the server away
stops nothing that is open, and shows.
"""

import asyncio
import threading
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts.errors import KeyServiceUnavailable
from deploy.local.processes import in_own_loop
from deploy.local.stack import LocalStack
from runtime.secrets import KvSecrets
from runtime.vault import VaultClient, VaultServer
from tests.support.bodies import encode, messenger
from tests.support.transit_server import TransitServer, transit_server
from tests.support.world import World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

PAGE = "840000000000077"
OPENS = (
    ("read", "transit/keys/mk-root-"),
    ("list", "transit/keys"),
    ("write", "transit/decrypt/mk-root-"),
    ("read list", "secret/data/mk-store/"),
    ("list", "secret/metadata/mk-store"),
)
EVERYTHING = "read list write delete"
POLICIES = {
    "custodian": (
        (EVERYTHING, "transit/keys"),
        ("write", "transit/encrypt/mk-root-"),
        ("write", "transit/decrypt/mk-root-"),
        (EVERYTHING, "secret/data/mk-store/"),
        (EVERYTHING, "secret/metadata/mk-store"),
        ("write", "secret/data/mk-router/pseudonym-"),
        ("write", "secret/metadata/mk-router/pseudonym-"),
        (EVERYTHING, "secret/data/mk-erasure/transport-"),
        (EVERYTHING, "secret/metadata/mk-erasure"),
    ),
    "router": ((EVERYTHING, "secret/data/mk-router/"), (EVERYTHING, "secret/metadata/mk-router")),
    "store": OPENS,
    "reader": OPENS,
}


@contextmanager
def served() -> Iterator[TransitServer]:
    """The server, in a loop and a thread of its own: this test's own calls block."""
    started: Future[TransitServer] = Future()
    ended = threading.Event()

    async def serve() -> None:
        async with transit_server() as server:
            server.policies = dict(POLICIES)
            started.set_result(server)
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield started.result(10)
    finally:
        ended.set()
        thread.join()


def settings(server: TransitServer, folder: Path) -> dict[str, str]:
    """Of each process that opens something, with a token of its own."""
    found: dict[str, str] = {}
    for process in POLICIES:
        token = folder / process
        token.write_text(process)
        token.chmod(0o600)
        prefix = f"MKC_{process.upper()}"
        found |= {
            f"{prefix}_KEY_PROVIDER": "transit",
            f"{prefix}_TRANSIT_URL": server.url,
            f"{prefix}_TRANSIT_TOKEN_FILE": str(token),
        }
    return found


def test_the_service_without_a_key_on_disk_and_with_the_server_away(
    servers: tuple[LocalStack, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, port_base = servers
    with served() as server:
        given = settings(server, tmp_path)
        for name, value in given.items():
            monkeypatch.setenv(name, value)  # for `mkc`, which this process runs
        with World.on(stack, port_base, overrides=given) as world:
            keys = world.service.keys
            routing = (keys / "router" / "secrets" / "routing").read_bytes()
            server.secrets["mk-router/routing"] = [{"content": b64encode(routing).decode()}]
            world.start(["custodian", "router", "store", "ingest"])
            tenant = world.add_tenant("acme")
            world.connect(tenant, "messenger", {"page": PAGE})
            assert world.post(encode(messenger("m_1", "first", page=PAGE))) == 200
            world.wait_rows(tenant, 1, 20)
            assert "first" in str(world.messages(tenant))

            kept = {
                name.partition("/")[0] + "/" + name.partition("/")[2].split("-")[0] for name in server.secrets
            }
            assert kept == {"mk-router/routing", "mk-router/raw", "mk-router/pseudonym", "mk-store/transport",
                            "mk-erasure/transport"}  # fmt: skip
            assert all(len(versions) == 1 for versions in server.secrets.values())
            for process in ("store", "router"):
                names = {path.name for path in (keys / process / "secrets").iterdir()}
                assert names <= {"routing"}, names

            async def as_custodian(name: str) -> bytes:
                client = VaultClient(VaultServer(server.url, tmp_path / "custodian"))
                secrets = KvSecrets(client, "secret", "mk-router")
                try:
                    return await secrets.get_secret(name)
                finally:
                    await secrets.close()

            for name in (f"pseudonym-{tenant.tenant}", "routing"):
                with pytest.raises(KeyServiceUnavailable):
                    in_own_loop(as_custodian(name))

            server.sealed = True
            assert world.post(encode(messenger("m_2", "second", page=PAGE))) == 200
            world.wait_rows(tenant, 2, 20)
            for process in ("store", "custodian"):
                up = f"mk_{process}_key_provider_up"
                world.wait_until(lambda p=process, m=up: world.metrics(p)[m] == 0, 20, f"{process} to see it")  # type: ignore[misc]
                assert world.node(process).readiness()["keys"] is False
            assert world.post(encode(messenger("m_3", "third", page=PAGE))) == 200
            world.wait_rows(tenant, 3, 20)
            assert world.dead() == set()
            server.sealed = False
            assert str(world.messages(tenant)).count("text") >= 3
