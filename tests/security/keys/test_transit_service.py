"""The whole service with its keys in Vault's or OpenBao's protocol: each process with a token that may what docs/keys.md says.

Nothing of it lies on this machine's disk; the custodian hands the router its keys and cannot read them; the server away
stops nothing that is open, fails nothing that is not, and shows; an erasure is whole, and what its receipt says of the
root key is what becomes of it. On a double of the protocol, and on OpenBao itself where it was built.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from contracts.errors import InvalidSettings, KeyServiceUnavailable
from contracts.outcomes import State
from contracts.receipts import read_keys, verify
from deploy.local.processes import PIPELINE, in_own_loop
from deploy.local.stack import LocalStack
from runtime.secrets import KvSecrets
from runtime.settings import load
from runtime.vault import VaultClient, VaultServer
from store.custody.settings import CustodianSettings
from store.erasure.answers.inventory import ROTATION_TAKES, first_day_after
from store.keys.transit import Transit
from tests.support import scan
from tests.support.bodies import encode, messenger
from tests.support.erasure import ERASED, Requests, job, person_request, psid, wait_state
from tests.support.forms import Wanted
from tests.support.key_policies import POLICIES
from tests.support.key_server import KeyServer
from tests.support.old_copies import Copy, copies, opened
from tests.support.openbao_server import openbao
from tests.support.servers import free_port
from tests.support.transit_server import served
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

PAGE, ANA, BIA, CIDA = "840000000000077", "8401", "8402", "8403"
BACKUP_HOURS = 6
HOLDS_KEYS = ("router", "store", "erasure", "custodian")


@dataclass(frozen=True, slots=True)
class Kept:
    """The service, and the server that keeps its keys."""

    world: World
    server: KeyServer
    tenant: Tenant
    folder: Path

    def post(self, mid: str, text: str, person: str) -> None:
        """A message that is accepted."""
        assert self.world.post(encode(messenger(mid, text, page=PAGE, person=person))) == 200

    def ask(self, person: str) -> UUID:
        """An erasure."""

        async def write() -> UUID:
            async with Requests(self.world) as requests:
                return await requests.ask(person_request(self.tenant, psid(person)))

        return in_own_loop(write())

    def readable(self, old: list[Copy]) -> list[bytes]:
        """The messages that open, asked with the custodian's rights."""

        async def read() -> list[bytes]:
            provider = Transit(VaultServer(self.server.url, self.folder / "custodian", self.server.tls()))
            try:
                bodies = [await opened(provider, self.tenant, copy) for copy in old]
            finally:
                await provider.close()
            return [body for body in bodies if body is not None]

        return in_own_loop(read())

    def status(self, request: UUID) -> Any:
        """What an operator is shown."""
        return self.world.mkc("erasure", "status", str(request))

    def verify_live(self, request: UUID, sample: Path) -> Any:
        """What `mkc receipt verify --live` says, with its exit code 0."""
        receipt = self.folder / "receipt.json"
        receipt.write_text(job(self.world, request)["receipt"])
        return self.world.mkc("receipt", "verify", str(receipt), "--live", "--sample", str(sample))["live"]


@pytest.fixture(scope="module", params=["double", "OpenBao"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyServer]:
    """Fresh: the service's root keys are its only ones."""
    if request.param == "double":
        with served() as double:
            yield double
    else:
        with openbao(tmp_path_factory.mktemp("openbao"), free_port()) as real:
            yield real


@pytest.fixture(scope="module")
def kept(
    servers: tuple[LocalStack, int], server: KeyServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kept]:
    """Every process up, with a tenant and a row."""
    stack, port_base = servers
    folder = tmp_path_factory.mktemp("tokens")
    given = server.settings(folder) | {
        f"MKC_{name}_TRANSIT_BACKUP_HOURS": str(BACKUP_HOURS) for name in ("CUSTODIAN", "ERASURE", "OPERATOR")
    }
    with pytest.MonkeyPatch.context() as patch, World.on(stack, port_base, overrides=given) as world:
        for name, value in given.items():
            patch.setenv(name, value)  # for `mkc`, which this process runs
        routing = (world.service.keys / "router" / "secrets" / "routing").read_bytes()
        for zone in ("router", "erasure"):
            server.put(f"mk-{zone}/routing", routing)
        world.start(PIPELINE)
        tenant = world.add_tenant("acme")
        world.connect(tenant, "messenger", {"page": PAGE})
        made = Kept(world, server, tenant, folder)
        made.post("m_1", "first", BIA)
        world.wait_rows(tenant, 1, 40)
        yield made
        assert world.dead() == set()


def test_no_key_lies_on_this_machine_and_nobody_reads_what_is_anothers(kept: Kept) -> None:
    world, server = kept.world, kept.server
    assert "first" in str(world.messages(kept.tenant))
    secrets = server.secrets("mk-router", "mk-store", "mk-erasure")
    assert {name.partition("-")[2].split("-")[0] for name in secrets} == {
        "router/routing", "router/raw", "router/pseudonym", "store/transport", "erasure/routing", "erasure/transport",
    }  # fmt: skip
    assert set(secrets.values()) == {1}
    assert server.root_keys() == {"mk-root-1"}
    for process in ("store", "router", "erasure"):
        names = {path.name for path in (world.service.keys / process / "secrets").iterdir()}
        assert names <= {"routing"}, names
    assert not list(world.service.keys.rglob("root-*"))

    async def read(process: str, zone: str, name: str) -> bytes:
        client = VaultClient(VaultServer(server.url, kept.folder / process, server.tls()))
        secrets = KvSecrets(client, "secret", f"mk-{zone}")
        try:
            return await secrets.get_secret(name)
        finally:
            await secrets.close()

    pseudonym = f"pseudonym-{kept.tenant.tenant}"
    half = next(name for name in secrets if name.startswith("mk-store/transport")).partition("/")[2]
    assert len(in_own_loop(read("router", "router", pseudonym))) == 32
    for process, zone, name in (
        ("custodian", "router", pseudonym),
        ("custodian", "router", "routing"),
        ("store", "router", pseudonym),
        ("router", "store", half),
        ("operator", "router", pseudonym),
        ("operator", "store", half),
        ("erasure", "router", pseudonym),
    ):
        with pytest.raises(KeyServiceUnavailable):
            in_own_loop(read(process, zone, name))


def test_no_token_shows_in_an_environment_a_title_or_a_log(kept: Kept) -> None:
    wanted = Wanted({process: (kept.folder / process).read_text().strip() for process in POLICIES})
    assert scan.in_files([kept.folder], wanted)[1]
    assert scan.in_processes(wanted)[1] == []
    assert scan.in_files([kept.world.service.run_dir], wanted)[1] == []


def test_a_custodian_whose_key_server_keeps_backups_too_long_does_not_start(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = Path(f"/proc/{kept.world.node('custodian').pid}/environ").read_bytes().decode()
    for name, _, value in (line.partition("=") for line in environment.split("\0")):
        if name.startswith("MKC_CUSTODIAN_"):
            monkeypatch.setenv(name, value)
    # Seven days, and half a day for the rotation: twelve hours are left of the eight days.
    monkeypatch.setenv("MKC_CUSTODIAN_TRANSIT_BACKUP_HOURS", "12")
    load(CustodianSettings).provider()
    monkeypatch.setenv("MKC_CUSTODIAN_TRANSIT_BACKUP_HOURS", "13")
    with pytest.raises(InvalidSettings, match="MKC_CUSTODIAN_ROOT_EPOCH_DAYS"):
        load(CustodianSettings).provider()


def test_the_server_away_stops_nothing_that_is_open_and_what_is_not_waits(kept: Kept) -> None:
    world, tenant = kept.world, kept.tenant
    kept.post("m_2", "second", ANA)
    world.wait_rows(tenant, 2, 40)
    kept.server.seal()
    kept.post("m_3", "third", BIA)
    world.wait_rows(tenant, 3, 40)
    # Erasure has not had this tenant's keys yet: the request is neither refused nor a row, and it shows as unread.
    asked = kept.ask(ANA)
    world.wait_until(lambda: world.metrics("erasure")["mk_erasure_requests_unread"] >= 1, 40, "it to wait")
    world.wait_until(lambda: "request.waited" in world.log("erasure"), 40, "erasure to have tried")
    kept.post("m_4", "fourth", BIA)
    world.wait_rows(tenant, 4, 40)
    assert job(world, asked) is None
    for process in HOLDS_KEYS:
        up = f"mk_{process}_key_provider_up"
        world.wait_until(lambda p=process, m=up: world.metrics(p)[m] == 0, 40, f"{process} to see it")  # type: ignore[misc]
        assert world.node(process).readiness()["keys"] is False

    # Whoever starts now has nothing open: it waits, takes nothing for tampered and needs no second start.
    cold = ("router", "store", "erasure")
    for process in cold:
        world.kill(process)
    with concurrent.futures.ThreadPoolExecutor(len(cold)) as pool:
        starts = [pool.submit(world.start, [process]) for process in cold]
        for process in cold:
            world.wait_until(lambda p=process: world.node(p).get("/livez", 1)[0] == 200, 40, process)  # type: ignore[misc]
            assert world.node(process).get("/readyz", 1)[0] == 503
        kept.post("m_5", "fifth", BIA)
        assert job(world, asked) is None
        assert not any(start.done() for start in starts)
        kept.server.unseal()
        for start in starts:
            start.result(40)
    wait_state(world, asked, *ERASED, timeout_s=40)
    world.wait_until(lambda: "fifth" in str(world.messages(tenant)), 40, "what came meanwhile")
    read = str(world.messages(tenant))
    assert "second" not in read
    assert all(text in read for text in ("first", "third", "fourth"))
    balanced = world.wait_balanced(40)
    assert not [one for one in balanced["tenants"].values() if one["quarantined_by_reason"]]
    assert world.dead() == set()


def test_an_erasure_is_whole_and_its_root_key_dies_when_the_receipt_says(kept: Kept) -> None:
    world, tenant, server = kept.world, kept.tenant, kept.server
    before = world.row_count(tenant)
    for number in range(3):
        kept.post(f"m_cida{number}", "segredo da cida", CIDA)
    world.wait_rows(tenant, before + 3, 40)
    old = copies(world, tenant)
    assert sum(b"segredo da cida" in body for body in kept.readable(old)) == 3
    sample = kept.folder / "before.jsonl"
    assert world.mkc_raw("receipt", "sample", tenant.name, str(sample))[0] == 0
    asked = kept.ask(CIDA)
    row = wait_state(world, asked, State.ANSWERED, timeout_s=40)
    keys = read_keys((world.service.keys / "public" / "receipts.pub").read_text())
    receipt = verify(row["receipt"].encode(), keys)
    assert {one.category: one.count for one in receipt.erased} == {
        "messages": 3, "identifiers": 1, "keys": 1,
    }  # fmt: skip
    live = kept.verify_live(asked, sample)
    assert (live["gone"], live["found"]) == (True, [])
    assert {
        "keys of erased generations in the database: 0",
        "samples of erased people: 3",
        "samples of erased people that open: 0",
        "records of the person on the tenant's topic that still read: 0",
    } <= set(live["seen"])
    # The root key of its epoch is there still, and the receipt says until when, the server's backups included: so long whoever
    # copied the database before, and may ask the server, reads it.
    assert sum(b"segredo da cida" in body for body in kept.readable(old)) == 3
    assert any("under root epoch 1" in one for one in live["waits"])
    assert server.root_keys() == {"mk-root-1"}
    if server.storage is not None:
        assert list(server.storage.rglob("*mk-root-1*"))
    (created,) = world.sql("SELECT created_at FROM mk.root_epoch WHERE epoch = 1")[0]
    dies = created + timedelta(days=7, hours=BACKUP_HOURS) + ROTATION_TAKES
    said = {str(one.system): one.on for one in receipt.removals if one.method == "expires_on"}
    assert said["postgres.wal_and_backups"] == said["key_exports"] == first_day_after(dies)

    # A rotation that the server's absence holds up destroys nothing, and goes on by itself.
    server.seal()
    assert world.mkc_raw("keys", "rotate", "--timeout-s", "1")[0] != 0
    assert [tuple(one) for one in world.sql("SELECT epoch, state FROM mk.root_epoch")] == [(1, "current")]
    server.unseal()

    def destroyed() -> Any:
        return world.sql("SELECT destroyed_at FROM mk.root_epoch WHERE epoch = 1 AND state = 'destroyed'")

    world.wait_until(destroyed, 60, "the rotation to end")
    assert server.root_keys() == {"mk-root-2"}
    assert kept.readable(old) == []
    # Nor with another key in the place of the one that is gone.
    server.must("POST", "transit/keys/mk-root-1", {"type": "aes256-gcm96"})
    assert kept.readable(old) == []
    server.must("POST", "transit/keys/mk-root-1/config", {"deletion_allowed": True})
    server.must("DELETE", "transit/keys/mk-root-1")
    if server.storage is not None:
        assert list(server.storage.rglob("*mk-root-1*")) == []
    (gone_at,) = destroyed()[0]
    ends = (gone_at + timedelta(hours=BACKUP_HOURS)).isoformat(timespec="minutes")
    shown = [copy["until"] for copy in kept.status(asked)["copies"] if copy["key"] == "root:1"]
    assert shown == [ends, ends]
    live = kept.verify_live(asked, sample)
    assert (live["gone"], live["found"]) == (True, [])
    assert not any("under root epoch 1" in one for one in live["waits"])
    # Those who stay read on, under the new root key.
    assert "first" in str(world.messages(tenant))
    assert set(server.secrets("mk-router", "mk-store", "mk-erasure").values()) == {1}
