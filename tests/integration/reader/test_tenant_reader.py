"""The consumer on a real Kafka: nothing lost, nothing handled twice without need, no gap in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from uuid import UUID

import pytest

from contracts.hybrid import HybridPrivateKey
from contracts.reader import Batch, Gap, Placed, RecentIds, Refused, SubjectErased, TenantReader
from deploy.local.stack import LocalStack
from tests.integration.reader.tenant_topic import JOSE, MARIA, TenantTopic, texts

pytestmark = [pytest.mark.kafka]


@pytest.fixture
async def tenant(stack: LocalStack, tmp_path: Path) -> AsyncIterator[TenantTopic]:
    async with TenantTopic.on(stack.endpoints, tmp_path) as fresh:
        yield fresh


@pytest.fixture
async def wide(stack: LocalStack, tmp_path: Path) -> AsyncIterator[TenantTopic]:
    async with TenantTopic.on(stack.endpoints, tmp_path, partitions=2) as fresh:
        yield fresh


async def take(reader: TenantReader, count: int, *, commit: bool = True) -> list[Placed]:
    """Read until there are `count`; AssertionError after 10 s."""
    found: list[Placed] = []
    async with asyncio.timeout(60):
        async for batch in reader:
            found += batch.placed
            if len(found) >= count:
                break
    if commit:
        await reader.commit()
    return found


async def nothing_more(reader: TenantReader, seconds: float = 0.8) -> None:
    """No batch comes within that time."""
    batch: Batch | None = None
    try:
        async with asyncio.timeout(seconds):
            batch = await anext(reader)
    except TimeoutError:
        return
    raise AssertionError(f"{len(batch.placed)} more")


def said(placed: list[Placed]) -> list[str]:
    return texts(one.value for one in placed)


async def test_a_group_reads_everything_in_order_and_goes_on_where_it_committed(tenant: TenantTopic) -> None:
    await tenant.say("um", "dois", "três")
    async with tenant.reader() as reader:
        assert said(await take(reader, 3)) == ["um", "dois", "três"]
    await tenant.say("quatro")
    async with tenant.reader() as reader:
        assert said(await take(reader, 1)) == ["quatro"]
    async with tenant.reader("another group") as reader:
        assert said(await take(reader, 4)) == ["um", "dois", "três", "quatro"]


async def test_what_was_handed_out_and_not_handled_is_given_again(tenant: TenantTopic) -> None:
    await tenant.say("um", "dois")

    async def fail() -> None:
        async with tenant.reader() as reader:
            async for batch in reader:
                assert batch.placed
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with tenant.reader() as reader:
        assert said(await take(reader, 2)) == ["um", "dois"]


async def test_a_caller_that_stops_waiting_loses_nothing(tenant: TenantTopic) -> None:
    class Slow(RecentIds):
        async def seen(self, partition: int, ids: Collection[UUID]) -> Collection[UUID]:
            await asyncio.sleep(0.3)
            return await super().seen(partition, ids)

    await tenant.say("um", "dois")
    async with tenant.reader(seen=Slow()) as reader:
        found: list[Placed] = []
        async with asyncio.timeout(60):
            while not found:
                try:
                    async with asyncio.timeout(0.1):
                        found += (await anext(reader)).placed
                except TimeoutError:
                    continue
        assert said(found) == ["um", "dois"]
        await reader.commit()
    async with tenant.reader() as reader:
        await nothing_more(reader)


async def test_an_event_published_again_is_read_once(tenant: TenantTopic) -> None:
    await tenant.say("um", "um", "dois")
    async with tenant.reader() as reader:
        assert said(await take(reader, 2)) == ["um", "dois"]
        await tenant.say("dois", "um", "três")
        assert said(await take(reader, 1)) == ["três"]


async def test_a_group_that_begins_at_the_end_keeps_its_beginning_from_the_first_moment(
    tenant: TenantTopic,
) -> None:
    await tenant.say("antes")
    async with tenant.reader("late", begin="end") as reader:
        await nothing_more(reader)
    await tenant.say("depois")
    async with tenant.reader("late", begin="end") as reader:
        assert said(await take(reader, 1)) == ["depois"]


async def test_records_that_expired_unread_are_a_gap_with_its_bounds(tenant: TenantTopic) -> None:
    await tenant.say("um", "dois", "três", "quatro", "cinco")
    async with tenant.reader(max_records=1) as reader:
        assert said(await take(reader, 1)) == ["um"]
    await tenant.expire(4)
    async with tenant.reader() as reader:
        gap, five = await take(reader, 2)
    assert gap.value == Gap(1, 4)
    assert (said([five]), five.offset) == (["cinco"], 4)
    async with tenant.reader() as reader:
        await nothing_more(reader)


async def test_records_that_expire_under_a_running_reader_are_a_gap_too(tenant: TenantTopic) -> None:
    late = HybridPrivateKey.generate()
    await tenant.say("um")
    await tenant.say("dois", private=late)
    await tenant.say("três", "quatro")
    async with tenant.reader() as reader:
        assert said(await take(reader, 1)) == ["um"]
        # It waits for a key before "dois"; meanwhile retention takes what it waits for.
        await tenant.expire(3)
        gap, four = await take(reader, 2)
    assert gap.value == Gap(1, 3)
    assert said([four]) == ["quatro"]


async def test_a_partition_waits_for_its_key_and_the_others_go_on(wide: TenantTopic) -> None:
    late = HybridPrivateKey.generate()
    await wide.say("a1", partition=0)
    await wide.say("a2", partition=0, private=late)
    await wide.say("a3", partition=0)
    async with wide.reader() as reader:
        assert said(await take(reader, 1)) == ["a1"]
        await wide.say("b1", "b2", partition=1)
        assert said(await take(reader, 2)) == ["b1", "b2"]
        await nothing_more(reader)
        (wide.keys / f"transport-{late.public.key_id.hex()}").write_bytes(late.raw)
        assert said(await take(reader, 2)) == ["a2", "a3"]


async def test_a_forged_record_is_a_value_and_what_follows_is_read(tenant: TenantTopic) -> None:
    await tenant.say("um")
    await tenant.say("falsa", signer="mallory")
    await tenant.say("dois")
    async with tenant.reader() as reader:
        found = await take(reader, 3)
    assert said(found) == ["um", "Refused", "dois"]
    assert found[1].value == Refused("tampered")


async def test_after_an_erasure_its_person_reads_as_erased_on_every_partition_and_others_as_usual(
    wide: TenantTopic,
) -> None:
    await wide.say("um", partition=0)
    async with wide.reader() as reader:
        assert said(await take(reader, 1)) == ["um"]
        erased = await wide.erase(MARIA)
        await wide.say("de José", partition=1, person=JOSE)
        found = await take(reader, 3)
        told = [one for one in found if isinstance(one.value, SubjectErased)]
        assert [one.value for one in told] == [erased, erased]
        assert {one.partition for one in told} == {0, 1}
        assert "de José" in said(found)
        # Meta sends the past again, first received before the erasure; then Maria writes anew.
        await wide.say("de antes", partition=0, received_ms=erased.executed_at_ms)
        await wide.say("de volta", partition=0)
        assert said(await take(reader, 2)) == ["Erased", "de volta"]


async def test_two_readers_of_a_group_share_the_partitions_and_lose_nothing(wide: TenantTopic) -> None:
    everything = [f"{number}" for number in range(60)]
    for number, text in enumerate(everything[:30]):
        await wide.say(text, partition=number % 2)
    handled: list[str] = []
    async with wide.reader(max_records=5) as first:
        handled += said(await take(first, 10))
        second = wide.reader(max_records=5)
        async with second:
            stop = asyncio.Event()

            async def drain(reader: TenantReader) -> None:
                while not stop.is_set():
                    try:
                        async with asyncio.timeout(0.5):
                            batch = await anext(reader)
                    except TimeoutError:
                        continue
                    handled.extend(texts(one.value for one in batch.placed))
                    await reader.commit()

            draining = [asyncio.create_task(drain(one)) for one in (first, second)]
            async with asyncio.timeout(60):
                while {len(one._connected().assignment()) for one in (first, second)} != {1}:  # noqa: ASYNC110  # the client has no event for it
                    await asyncio.sleep(0.05)
            for number, text in enumerate(everything[30:]):
                await wide.say(text, partition=number % 2)
            async with asyncio.timeout(60):
                while set(everything) - set(handled):
                    assert not any(task.done() for task in draining)
                    await asyncio.sleep(0.05)
            stop.set()
            await asyncio.gather(*draining)
    assert set(handled) == set(everything)


async def test_a_reader_needs_its_context(tenant: TenantTopic) -> None:
    from contracts.errors import BrokerUnavailable

    with pytest.raises(BrokerUnavailable):
        await anext(tenant.reader())
    elsewhere = TenantReader("127.0.0.1:1", tenant.topic, "g", tenant.opener())
    with pytest.raises(BrokerUnavailable):
        async with elsewhere:
            pass
