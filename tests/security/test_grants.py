"""A downstream service reads a tenant exactly while its grant is active, with the contracts alone."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from contracts import topics
from contracts.access import grant_permits
from contracts.control import ControlView
from contracts.errors import AccessRefused
from contracts.hybrid import HybridPrivateKey
from contracts.reader import Event, EventOpener, GrantKeys, TenantReader, pinned
from runtime.kafka.acls import AclAdmin
from runtime.kafka.control import ControlReader
from store.custody.settings import load_control_signers
from tests.security.conftest import Secured
from tests.support.bodies import PAGE, encode, messenger
from tests.support.waiting import until
from tests.support.world import Tenant, World

TEXT = "a downstream service may read this"


@dataclass(frozen=True, slots=True)
class Downstream:
    """A service with its certificate and key."""

    secured: Secured
    name: str
    private: HybridPrivateKey
    grant: UUID

    def keys(self, tenant: Tenant) -> GrantKeys:
        """Its keys of that tenant."""
        return GrantKeys(
            self.secured.kafka,
            topics.tenant_keys_topic(tenant.slot),
            self.grant,
            self.private,
            signers(self.secured.world),
            tls=self.secured.tls(self.name),
        )

    @asynccontextmanager
    async def reader(self, tenant: Tenant, keys: GrantKeys) -> AsyncIterator[TenantReader]:
        """Its place on that tenant's topic, in a group of its own."""
        opener = EventOpener(keys, signers(self.secured.world), tenant=tenant.tenant)
        events = topics.tenant_events_topic(tenant.slot)
        group = f"{self.name}.all"
        tls = self.secured.tls(self.name)
        async with TenantReader(self.secured.kafka, events, group, opener, tls=tls) as reader:
            yield reader


def signers(world: World) -> Any:
    public = world.service.keys / "public"
    return pinned({name: (public / f"{name}.pub").read_text().strip() for name in ("router", "custodian")})


def give(secured: Secured, tenant: Tenant, name: str, folder: Path, until: str = "2099-12-31") -> Downstream:
    private = HybridPrivateKey.generate()
    public = folder / f"{name}.pub"
    public.write_bytes(b64encode(private.public.raw))
    secured.tls(name)
    told = secured.world.mkc(
        *("grant", "add", tenant.name, "--reader", name, "--public-key", str(public)),
        *("--given-to", "CRM Ltda", "--directed-by", "legal of acme", "--proof", "DPA-1", "--until", until),
    )
    assert told["events_topic"] == topics.tenant_events_topic(tenant.slot)
    return Downstream(secured, name, private, UUID(told["grant"]))


@pytest.fixture(scope="module")
def posted(secured: Secured) -> Secured:
    """An event of acme's on its topic."""
    world = secured.world
    world.connect(secured.acme, "messenger", {"page": PAGE})
    before = world.row_count(secured.acme)
    assert world.post(encode(messenger("m_granted", TEXT))) == 200
    world.wait_rows(secured.acme, before + 1)
    return secured


async def read_on(reader: TenantReader) -> None:
    async with asyncio.timeout(60):
        async for _ in reader:
            pass


async def eventually(condition: Callable[[], bool]) -> None:
    await until(condition, "a condition", 60)


async def first_event(reader: TenantReader) -> Event:
    async with asyncio.timeout(60):
        async for batch in reader:
            for placed in batch.placed:
                if isinstance(placed.value, Event):
                    return placed.value
    raise AssertionError("the topic ended")


async def test_a_service_reads_what_it_was_granted_and_nothing_after_it_was_revoked(
    posted: Secured, tmp_path: Path
) -> None:
    service = await asyncio.to_thread(give, posted, posted.acme, "reader-crm", tmp_path)
    async with service.keys(posted.acme) as keys, service.reader(posted.acme, keys) as reader:
        event = await first_event(reader)
        assert TEXT in event.raw.decode()
        assert keys.refused == 0

        await asyncio.to_thread(posted.world.mkc, "grant", "revoke", str(service.grant))
        with pytest.raises(AccessRefused):
            await read_on(reader)
        await eventually(lambda: isinstance(keys.failure, AccessRefused))
    with pytest.raises(AccessRefused):
        async with service.keys(posted.acme):
            pass


async def test_a_service_does_not_reach_another_tenant(posted: Secured, tmp_path: Path) -> None:
    service = await asyncio.to_thread(give, posted, posted.acme, "reader-curious", tmp_path)
    with pytest.raises(AccessRefused):
        async with service.keys(posted.rival):
            pass
    async with service.keys(posted.acme) as keys:
        with pytest.raises(AccessRefused):
            async with service.reader(posted.rival, keys):
                pass


async def test_the_next_days_key_comes_at_its_time_and_only_to_active_grants(
    posted: Secured, tmp_path: Path
) -> None:
    world, tenant = posted.world, posted.acme
    stays = await asyncio.to_thread(give, posted, tenant, "reader-stays", tmp_path)
    leaves = await asyncio.to_thread(give, posted, tenant, "reader-leaves", tmp_path)
    # Its first pass makes the keys of the days ahead.
    await asyncio.to_thread(world.restart, "custodian")
    world_keys = "SELECT key_id, active_from <= now() AS active FROM mk.transport_key WHERE recipient = $1 ORDER BY active_from"
    rows = await asyncio.to_thread(world.sql, world_keys, f"tenant/{tenant.tenant}")
    future = [row["key_id"] for row in rows if not row["active"]]
    assert future
    async with stays.keys(tenant) as staying, leaves.keys(tenant) as leaving:
        given = {row["key_id"] for row in rows if row["active"] and staying.get(row["key_id"])}
        assert given, "the key of today is there when the grant is"
        assert all(staying.get(key_id) is None for key_id in future), "none is given ahead"
        assert leaving.get(next(iter(given))) is not None
        await asyncio.to_thread(world.mkc, "grant", "revoke", str(leaves.grant))
        # Midnight.
        await asyncio.to_thread(
            world.sql,
            "UPDATE mk.transport_key SET active_from = now() - interval '1 second' WHERE key_id = $1",
            future[0],
        )
        await eventually(lambda: staying.get(future[0]) is not None)
        published = await asyncio.to_thread(
            world.sql, "SELECT grant_id FROM mk.reader_grant_key WHERE key_id = $1", future[0]
        )
        assert stays.grant in {row["grant_id"] for row in published}
        assert leaves.grant not in {row["grant_id"] for row in published}
        assert leaving.get(future[0]) is None


def test_a_grant_ends_by_itself(posted: Secured, tmp_path: Path) -> None:
    world = posted.world
    service = give(posted, posted.acme, "reader-briefly", tmp_path)
    world.sql(
        "UPDATE mk.reader_grant SET since = now() - interval '2 s', until = now() - interval '1 s' WHERE grant_id = $1",
        service.grant,
    )

    async def permitted() -> bool:
        async with AclAdmin(posted.kafka, posted.tls("operator")) as admin:
            existing, _ = await admin.existing()
        return bool(grant_permits(service.name, posted.acme.slot) & existing)

    world.wait_until(lambda: not world.run(permitted()), 15, "the permission to end")
    listed = {row["grant_id"]: row for row in world.mkc("grant", "list", "--tenant", "acme")}
    assert listed[str(service.grant)]["state"] == "ended"
    assert listed[str(service.grant)]["ended_by"] == "time"


async def test_control_says_who_may_read_and_no_name_or_proof(posted: Secured, tmp_path: Path) -> None:
    service = await asyncio.to_thread(give, posted, posted.acme, "reader-known", tmp_path)
    keys = posted.world.service.keys / "public" / "control_signers.json"
    view = ControlView(load_control_signers(keys, "test"))
    async with ControlReader(posted.kafka, "test", view, tls=posted.tls("operator")):
        await eventually(lambda: service.grant in view.grants)
    said = view.grants[service.grant]
    assert (said.reader, said.tenant, said.state) == (service.name, posted.acme.tenant, "active")
    assert "CRM Ltda" not in said.model_dump_json()
    assert "DPA-1" not in said.model_dump_json()


def test_a_second_grant_for_the_same_reader_and_tenant_is_refused(posted: Secured, tmp_path: Path) -> None:
    give(posted, posted.acme, "reader-twice", tmp_path)
    code, _, errors = posted.world.mkc_raw(
        *(
            "grant",
            "add",
            "acme",
            "--reader",
            "reader-twice",
            "--public-key",
            str(tmp_path / "reader-twice.pub"),
        ),
        *("--given-to", "x", "--directed-by", "x", "--proof", "x", "--until", "2099-12-31"),
    )
    assert code == 1
    assert "grant_exists" in errors


def test_the_list_shows_no_proof(posted: Secured, tmp_path: Path) -> None:
    give(posted, posted.acme, "reader-listed", tmp_path)
    _, output, _ = posted.world.mkc_raw("grant", "list", "--json")
    assert "reader-listed" in output
    assert "DPA-1" not in output
    assert json.loads(output)
