"""Kills, replays and gaps: nothing is lost, nothing ends twice, ids stay the same."""

import asyncio
import itertools
import json
import signal

import pytest
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.structs import TopicPartition

from contracts.control import IdKind
from contracts.topics import LEDGER, QUARANTINE_RAW, RAW
from tests.support import bodies
from tests.support.plant import Plant
from tests.support.servers import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.kafka

WHATSAPP = ((IdKind.WABA, bodies.WABA), (IdKind.PHONE_NUMBER, bodies.PHONE_NUMBER_ID))


def block(number: int, count: int) -> list[object]:
    """Deliveries of one WhatsApp message each."""
    return [
        bodies.whatsapp([bodies.whatsapp_message(f"wamid.{number}.{at}", f"text {number} {at}")])
        for at in range(count)
    ]


async def test_a_router_killed_midway_loses_nothing_and_gives_the_same_ids(plant: Plant) -> None:
    tenant = await plant.add_tenant()
    await plant.connect(tenant, "whatsapp", WHATSAPP)
    process = await plant.start()
    sent: list[tuple[int, int]] = []
    for number in range(120):
        partition = number % 4
        sent.append((partition, await plant.post(*block(number, 5), partition=partition)))
        if number == 60:
            assert await plant.stop(process, signal.SIGKILL) == -signal.SIGKILL
            process = await plant.start(wait=False)
    assert all(line.tenants[str(tenant.tenant)].events == 5 for line in await plant.lines_of(sent))
    by_message: dict[str, set[str]] = {}
    for event in await plant.events(tenant):
        by_message.setdefault(event.headers["mk_ref"].decode(), set()).add(event.event_id)
    assert len(by_message) == 600
    assert all(len(ids) == 1 for ids in by_message.values())


async def test_a_router_that_slept_past_its_session_wakes_without_losing_or_recounting(plant: Plant) -> None:
    tenant = await plant.add_tenant()
    await plant.connect(tenant, "whatsapp", WHATSAPP)
    sleeper = await plant.start()
    sent: list[tuple[int, int]] = []

    async def post_all(numbers: range) -> None:
        for number in numbers:
            partition = number % 4
            sent.append((partition, await plant.post(*block(number, 5), partition=partition)))

    await post_all(range(40))
    sleeper.send_signal(signal.SIGSTOP)  # With records fetched, begun and not committed.
    await post_all(range(40, 80))
    health, plant.health_port = plant.health_port, free_port()
    await plant.start(wait=False)
    await plant.lines_of(sent)  # The group has given the sleeper up, and its partitions to the other.
    sleeper.send_signal(signal.SIGCONT)
    await post_all(range(80, 120))
    await plant.lines_of(sent)
    plant.health_port = health

    async def takes_part_again() -> bool:
        return (await plant.page("/readyz"))[0] == 200 and plant.log.count("partitions.assigned") >= 3

    await plant.until(takes_part_again, 20, "the sleeper to join again")
    await post_all(range(120, 140))
    assert all(line.tenants[str(tenant.tenant)].events == 5 for line in await plant.lines_of(sent))
    by_message: dict[str, set[str]] = {}
    for event in await plant.events(tenant):
        by_message.setdefault(event.headers["mk_ref"].decode(), set()).add(event.event_id)
    assert len(by_message) == 700
    assert all(len(ids) == 1 for ids in by_message.values())
    assert [await plant.stop(process) for process in plant.processes] == [0, 0]


async def test_a_stop_drains_and_its_successor_routes_nothing_again(plant: Plant) -> None:
    tenant = await plant.add_tenant()
    await plant.connect(tenant, "whatsapp", WHATSAPP)
    process = await plant.start()
    offsets = [await plant.post(*block(number, 20)) for number in range(20)]
    await plant.line(offsets[-1])
    assert await plant.stop(process) == 0
    await plant.start()
    await plant.line(await plant.post(*block(99, 1)))
    assert len(await plant.events(tenant)) == 401


async def test_what_was_set_aside_is_listed_shown_and_routed_again_under_its_first_time(
    plant: Plant,
) -> None:
    tenant = await plant.add_tenant()
    await plant.connect(tenant, "whatsapp", WHATSAPP)
    await plant.start()
    moved = bodies.whatsapp([bodies.whatsapp_message("w.1", "secret words")], waba="4242")
    offset = await plant.post(*block(1, 2), moved)
    await plant.line(offset)
    code, (listed,) = await plant.mkc("quarantine", "list")
    assert code == 0
    assert listed["id"] == f"mk.raw.v1:0:{offset}"
    assert listed["reasons"] == {"account_mismatch": 1}
    code, (shown,) = await plant.mkc("quarantine", "show", listed["id"])
    assert "secret words" not in json.dumps(shown)
    assert shown["items"][0]["path"].startswith("deliveries[2].entry[0]")
    code, (shown,) = await plant.mkc("quarantine", "show", listed["id"], "--open", "--purpose", "test")
    assert "secret words" in json.dumps(shown)
    await plant.connect(
        tenant, "whatsapp", ((IdKind.WABA, "4242"), (IdKind.PHONE_NUMBER, bodies.PHONE_NUMBER_ID))
    )
    code, (put_back,) = await plant.mkc("quarantine", "replay", listed["id"])
    assert (code, put_back["replay"]) == (0, 1)
    line = await plant.line(put_back["offset"])
    assert (line.replay, line.items) == (1, 1)
    assert line.tenants[str(tenant.tenant)].events == 1
    events = await plant.events(tenant)
    assert len(events) == 3
    first, *_, last = (event.headers["mk_received_at"] for event in events)
    assert first == last


async def test_a_record_is_replayed_three_times_at_most_and_unsigned_facts_are_tampering(
    plant: Plant,
) -> None:
    await plant.start()
    offset = await plant.post(b"not json")
    await plant.line(offset)
    identity = f"mk.raw.v1:0:{offset}"
    for replay in (1, 2, 3):
        code, (put_back,) = await plant.mkc("quarantine", "replay", identity)
        assert (code, put_back["replay"]) == (0, replay)
        line = await plant.line(put_back["offset"])
        assert line.tenants[""].quarantined == {"not_json": 1}
        identity = f"mk.raw.v1:0:{put_back['offset']}"
    code, (refused,) = await plant.mkc("quarantine", "replay", identity)
    assert (code, refused["failed"]) == (1, "replay_limit")
    record = (await plant.records(QUARANTINE_RAW))[0]
    headers = [(name, b"7" if name == "q_replay" else value) for name, value in record.headers]
    forged = await plant.publish(record.value, headers)
    assert (await plant.line(forged)).tenants[""].quarantined == {"tampered": 1}


async def test_offsets_that_retention_removed_are_a_ledger_line_not_silence(plant: Plant) -> None:
    tenant = await plant.add_tenant()
    await plant.connect(tenant, "whatsapp", WHATSAPP)
    process = await plant.start()
    first = await plant.post(*block(0, 1))
    await plant.line(first)
    assert await plant.stop(process) == 0
    for number in range(1, 6):
        await plant.post(*block(number, 1))
    admin = AIOKafkaAdminClient(**plant.endpoints.kafka_client())
    await admin.start()
    await admin.delete_records({TopicPartition(RAW, 0): RecordsToDelete(before_offset=first + 4)})
    await admin.close()
    await plant.start()
    await plant.line(first + 5)

    async def expired() -> list[dict[str, object]]:
        lines = [json.loads(record.value) for record in await plant.records(LEDGER)]
        return [line for line in lines if line["kind"] == "expired_unread"]

    (line,) = await plant.until(expired, 5, "the line of the gap")
    assert (line["first_offset"], line["next_offset"]) == (first + 1, first + 4)
    assert len(await plant.events(tenant)) == 3


async def test_a_second_router_takes_over_half_and_gives_it_back(plant: Plant) -> None:
    tenant = await plant.add_tenant()
    await plant.connect(tenant, "whatsapp", WHATSAPP)
    await plant.start()
    sent: list[tuple[int, int]] = []
    enough = asyncio.Event()

    async def post_all() -> None:
        for number in itertools.count():
            if enough.is_set():
                return
            sent.append((number % 4, await plant.post(*block(number, 2), partition=number % 4)))
            await asyncio.sleep(0.01)

    async def assigned(times: int) -> None:
        """Each router that takes part says so, again whenever its share changes; and work goes on for a while."""
        await until(lambda: plant.log.count("partitions.assigned") >= times, f"{times} shares")
        goal = len(sent) + 40
        await until(lambda: len(sent) >= goal, "more work")

    posting = asyncio.create_task(post_all())
    await assigned(1)
    health, plant.health_port = plant.health_port, free_port()
    second = await plant.start()
    await assigned(3)
    assert await plant.stop(second) == 0
    plant.health_port = health
    await assigned(4)
    enough.set()
    await posting
    assert all(line.items == 2 for line in await plant.lines_of(sent))
    assert len({event.event_id for event in await plant.events(tenant)}) == 2 * len(sent)
