"""Readers of a tenant's topic are told of an erasure; each has acknowledged once it committed, and nobody waits for it."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from contracts import topics
from contracts.access import groups_of
from contracts.hybrid import HybridPrivateKey
from contracts.outcomes import Outcome, State
from contracts.reader import EventOpener, GrantKeys, SubjectErased, TenantReader, pinned
from contracts.receipts import read_keys, verify
from runtime.tls import client_context
from tests.support.bodies import encode, messenger
from tests.support.erasure import Requests, person_request, psid, told, wait_state
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

ANA, PAGE = "6512378904512", "830000000000091"
PROMPT, LATE, GONE = "reader-prompt", "reader-late", "reader-gone"


def grant(world: World, tenant: Tenant, name: str, folder: Path) -> tuple[UUID, HybridPrivateKey]:
    """A certificate, a key and an active grant."""
    authority = world.stack.endpoints.authority
    assert authority is not None
    authority.issue(name)
    private = HybridPrivateKey.generate()
    public = folder / f"{name}.pub"
    public.write_bytes(b64encode(private.public.raw))
    said = world.mkc(
        *("grant", "add", tenant.name, "--reader", name, "--public-key", str(public), "--given-to", "CRM"),
        *("--directed-by", "legal", "--proof", "DPA-1", "--until", "2099-12-31"),
    )
    return UUID(said["grant"]), private


@asynccontextmanager
async def reading(
    world: World, tenant: Tenant, name: str, grant: UUID, private: HybridPrivateKey
) -> AsyncIterator[TenantReader]:
    """A downstream service, with the contracts alone."""
    authority, kafka = world.stack.endpoints.authority, world.stack.endpoints.kafka
    assert authority is not None
    tls = client_context(authority.files(name), "test")
    public = world.service.keys / "public"
    names = ("router", "custodian", "erasure")
    signers = pinned({signer: (public / f"{signer}.pub").read_text().strip() for signer in names})
    async with AsyncExitStack() as stack:
        keys = await stack.enter_async_context(
            GrantKeys(kafka, topics.tenant_keys_topic(tenant.slot), grant, private, signers, tls=tls)
        )
        opener = EventOpener(keys, signers, tenant=tenant.tenant)
        topic = topics.tenant_events_topic(tenant.slot)
        yield await stack.enter_async_context(
            TenantReader(kafka, topic, f"{groups_of(name)}all", opener, tls=tls)
        )


async def until_told(reader: TenantReader, request: UUID, partitions: int) -> None:
    """Until the notice was handed out on every partition: what was handed out last is not committed."""
    seen: set[int] = set()
    async with asyncio.timeout(15):
        async for batch in reader:
            for placed in batch.placed:
                if isinstance(placed.value, SubjectErased) and placed.value.request == request:
                    seen.add(placed.partition)
            if len(seen) == partitions:
                return


def settled(world: World, request: UUID) -> dict[str, str | None]:
    """What became of each reader that was told."""
    rows = world.sql(
        "SELECT reader, settled FROM mk.reader_notice JOIN mk.reader_grant USING (grant_id) WHERE request_id = $1",
        request,
    )
    return {row["reader"]: row["settled"] for row in rows}


def counts(outcome: Outcome) -> tuple[int, int, int, int]:
    return (
        outcome.readers_told,
        outcome.readers_acknowledged,
        outcome.readers_ended,
        outcome.readers_missed,
    )


async def becomes(world: World, condition: Callable[[], Any], what: str) -> Any:
    return await asyncio.to_thread(world.wait_until, condition, 20, what)


async def test_a_reader_has_acknowledged_when_it_committed_and_the_outcome_says_so_once_none_is_waited_for(
    erasing: World, requests: Requests, tmp_path: Path
) -> None:
    world = erasing
    tenant = await asyncio.to_thread(world.add_tenant, "leitores")
    await asyncio.to_thread(world.connect, tenant, "messenger", {"page": PAGE})
    assert world.post(encode(messenger("m_reader_1", "antes", page=PAGE, person=ANA))) == 200
    await asyncio.to_thread(world.wait_rows, tenant, 1)
    grants = {
        name: await asyncio.to_thread(grant, world, tenant, name, tmp_path) for name in (PROMPT, LATE, GONE)
    }
    partitions = world.sql("SELECT partitions FROM mk.slot WHERE slot = $1", tenant.slot)[0][0]

    async with (
        reading(world, tenant, PROMPT, *grants[PROMPT]) as prompt,
        reading(world, tenant, LATE, *grants[LATE]) as late,
    ):
        asked = await requests.ask(person_request(tenant, psid(ANA)))
        row = await asyncio.to_thread(wait_state, world, asked, State.ANSWERED)
        await until_told(prompt, asked, partitions)
        await until_told(late, asked, partitions)
        assert settled(world, asked) == {PROMPT: None, LATE: None, GONE: None}

        await prompt.commit()
        await asyncio.to_thread(world.mkc, "grant", "revoke", str(grants[GONE][0]))
        others = {PROMPT: "acknowledged", GONE: "ended"}
        await becomes(world, lambda: settled(world, asked) == {**others, LATE: None}, "the first commit")
        shown = await asyncio.to_thread(world.mkc, "erasure", "status", str(asked))
        assert [shown[f"readers_{how}"] for how in ("told", "acknowledged", "ended", "missed")] == [
            3,
            1,
            1,
            0,
        ]
        waiting = {one["reader"]: one["settled"] for one in shown["not_acknowledged"]}
        assert waiting == {LATE: None, GONE: "ended"}
        _, text, _ = await asyncio.to_thread(world.mkc_raw, "erasure", "status", str(asked))
        assert f"waits for reader     {LATE} (grant {grants[LATE][0]})" in text
        said = [one for one in await told(world, requests.view, [asked]) if one.state is State.ANSWERED]
        assert [counts(one)[0] for one in said] == [3]

        await late.commit()
        reported = "SELECT bool_and(reported_at IS NOT NULL) FROM mk.reader_notice WHERE request_id = $1"
        await becomes(world, lambda: world.sql(reported, asked)[0][0], "the outcome to be said again")

    assert settled(world, asked) == {**others, LATE: "acknowledged"}
    said = [one for one in await told(world, requests.view, [asked]) if one.state is State.ANSWERED]
    assert len(said) == 2
    assert counts(said[-1]) == (3, 2, 1, 0)
    assert said[-1].receipt == said[0].receipt == row["receipt"]
    keys = read_keys((world.service.root / "keys" / "public" / "receipts.pub").read_text())
    readers = [one.count for one in verify(row["receipt"].encode(), keys).told if one.who == "tenant_readers"]
    assert readers == [3]
    notices = "mk_erasure_reader_notices_total"
    counted = world.metrics("erasure")
    assert [counted[f'{notices}{{result="{how}"}}'] for how in ("told", "acknowledged", "ended")] == [3, 2, 1]
