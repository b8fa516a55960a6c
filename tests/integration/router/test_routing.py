"""Blocks in, events out: a real router process between the real topics."""

import asyncio
import itertools
import json
import os
import time
from base64 import b64encode

import pytest

from contracts.control import IdKind, SignerRecord, tenant_recipient
from contracts.erasure_requests import MessageRequest
from contracts.hybrid import HybridPrivateKey
from contracts.sealing import RecordOpener
from contracts.topics import ERASURE_REQUESTS, QUARANTINE_RAW, slot_topics
from router.raw_keys import days_wanted
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from tests.support import bodies
from tests.support.plant import Plant
from tests.support.plant_seen import known

pytestmark = pytest.mark.kafka

WHATSAPP = ((IdKind.WABA, bodies.WABA), (IdKind.PHONE_NUMBER, bodies.PHONE_NUMBER_ID))
PAGE = ((IdKind.PAGE, bodies.PAGE),)
INSTAGRAM = ((IdKind.INSTAGRAM, bodies.INSTAGRAM),)


def text(number: int) -> dict[str, object]:
    """A WhatsApp delivery with one message."""
    return bodies.whatsapp([bodies.whatsapp_message(f"wamid.{number}", f"text {number}")])


def unsend(mid: str) -> dict[str, object]:
    """An Instagram user takes a message back."""
    at = int(time.time() * 1000)
    message = {
        "sender": {"id": "5001"},
        "recipient": {"id": bodies.INSTAGRAM},
        "timestamp": at,
        "message": {"mid": mid, "is_deleted": True},
    }
    return bodies.delivery("instagram", [{"id": bodies.INSTAGRAM, "time": at, "messaging": [message]}])


async def test_a_message_becomes_one_event_that_its_tenant_can_open(plant: Plant) -> None:
    tenant = await plant.add_tenant()
    account = await plant.connect(tenant, "whatsapp", WHATSAPP)
    await plant.start()
    offset = await plant.post(text(1))
    line = await plant.line(offset)
    assert line.deliveries == line.items == 1
    assert line.tenants[str(tenant.tenant)].events == 1
    (event,) = await plant.events(tenant)
    assert event.headers["ce_type"] == b"message.received"
    assert event.headers["ce_subject"] == event.key.hex().encode()
    assert event.headers["ce_tenant"] == str(tenant.tenant).encode()
    assert event.headers["mk_account"] == str(account).encode()
    assert event.headers["mk_dir"] == b"i"
    assert len(event.headers["mk_ref"]) == 32
    assert "text 1" in json.dumps(event.data)
    assert bodies.PHONE_NUMBER_ID.encode() in event.headers["ce_source"]
    assert not any(b"5531987650001" in value for value in event.headers.values())


async def test_a_batch_of_two_tenants_and_a_bad_delivery_goes_to_each_its_own(plant: Plant) -> None:
    first, second = await plant.add_tenant(), await plant.add_tenant(partitions=4)
    await plant.connect(first, "messenger", PAGE)
    await plant.connect(second, "messenger", ((IdKind.PAGE, "99887766"),))
    await plant.start()
    mine = bodies.messenger("m_1", "one")
    theirs = bodies.messenger("m_2", "two", page="99887766")
    mixed = bodies.delivery("page", [*mine["entry"], {"id": "99887766", "messaging": [17]}, *theirs["entry"]])
    offset = await plant.post(mixed, b"not json", text(3))
    line = await plant.line(offset)
    assert line.deliveries == 3
    assert line.items == 5
    assert line.tenants[str(first.tenant)].events == 1
    assert line.tenants[str(second.tenant)].events == 1
    assert line.tenants[""].quarantined == {"contract_violation": 1, "not_json": 1}
    assert line.tenants[""].refused == {"unknown_account": 1}
    (event,) = await plant.events(second)
    assert event.partition == int.from_bytes(event.key[:8]) % 4
    (record,) = await plant.records(QUARANTINE_RAW)
    items = json.loads(dict(record.headers)["q_items"])
    assert ["deliveries[1]", "not_json"] in items
    assert record.key == f"mk.raw.v1:0:{offset}".encode()


async def test_an_account_connected_while_its_webhook_waits_is_not_refused(plant: Plant) -> None:
    """The record is fetched before control says a word about the account."""
    tenant = await plant.add_tenant()
    await plant.connect(tenant, "messenger", PAGE)
    await plant.start()
    await plant.line(await plant.post(bodies.messenger("m_0", "warm")))
    refused = await plant.post(text(1))
    line = await plant.line(refused)
    assert line.tenants[""].refused == {"unknown_account": 1}
    await plant.connect(tenant, "whatsapp", WHATSAPP)
    offset = await plant.post(text(2))
    line = await plant.line(offset)
    assert line.tenants[str(tenant.tenant)].events == 1


async def test_withdrawn_consent_and_missing_scope_are_refused_and_counted(plant: Plant) -> None:
    tenant = await plant.add_tenant()
    account = await plant.connect(tenant, "messenger", PAGE)
    await plant.connect(tenant, "whatsapp", WHATSAPP, scopes=frozenset({"comments"}))
    await plant.start()
    await plant.line(await plant.post(bodies.messenger("m_1", "before")))
    await plant.connect(tenant, "messenger", PAGE, consent="withdrawn", account=account)
    line = await plant.line(await plant.post(bodies.messenger("m_2", "after"), text(1)))
    assert line.tenants[str(tenant.tenant)].refused == {"no_consent": 1, "outside_scope": 1}
    assert len(await plant.events(tenant)) == 1


async def test_an_old_item_is_set_aside_by_the_brokers_time(plant: Plant) -> None:
    tenant = await plant.add_tenant()
    await plant.connect(tenant, "whatsapp", WHATSAPP)
    await plant.start()
    now_s = int(time.time())
    old = bodies.whatsapp([bodies.whatsapp_message("w.1", "old", at_s=now_s - 191 * 86_400)])
    future = bodies.whatsapp([bodies.whatsapp_message("w.2", "future", at_s=now_s + 400)])
    edge = bodies.whatsapp([bodies.whatsapp_message("w.3", "edge", at_s=now_s - 189 * 86_400)])
    line = await plant.line(await plant.post(old, future, edge))
    counts = line.tenants[str(tenant.tenant)]
    assert counts.quarantined == {"time_out_of_range": 2}
    assert counts.events == 1


async def test_a_number_of_another_waba_is_set_aside(plant: Plant) -> None:
    tenant = await plant.add_tenant()
    await plant.connect(tenant, "whatsapp", WHATSAPP)
    await plant.start()
    moved = bodies.whatsapp([bodies.whatsapp_message("w.1", "moved")], waba="123123123")
    line = await plant.line(await plant.post(moved))
    assert line.tenants[str(tenant.tenant)].quarantined == {"account_mismatch": 1}


async def test_a_changed_byte_is_tampering_and_a_receiver_not_yet_announced_is_waited_for(
    plant: Plant,
) -> None:
    tenant = await plant.add_tenant()
    await plant.connect(tenant, "whatsapp", WHATSAPP)
    await plant.start()
    value, headers = plant.sealed([json.dumps(text(1)).encode()])
    changed = await plant.publish(value[:-1] + bytes((value[-1] ^ 1,)), headers)
    assert (await plant.line(changed)).tenants[""].quarantined == {"tampered": 1}
    stranger = type(plant.ingest).from_bytes("ingest-2", b"s" * 32)

    value, headers = plant.sealed([json.dumps(text(2)).encode()], epochs=EpochSource(stranger, SystemClock()))

    announced = SignerRecord(
        name="ingest-2",
        public_key=b64encode(stranger.public_raw),
        may=known(plant.ingest, "ingest").may,
    )
    before = await plant.publish(value, headers)
    assert (await plant.line(before)).tenants[""].quarantined == {"tampered": 1}
    await plant.say(announced)
    after = await plant.publish(value, headers)
    assert (await plant.line(after)).tenants[str(tenant.tenant)].events == 1


async def test_a_key_that_is_not_there_yet_holds_its_partition_and_no_other(plant: Plant) -> None:
    tenant = await plant.add_tenant()
    await plant.connect(tenant, "whatsapp", WHATSAPP)
    await plant.start()
    late = HybridPrivateKey.generate()
    value, headers = plant.sealed([json.dumps(text(1)).encode()], recipient=late)
    held = await plant.publish(value, headers, partition=1)
    other = await plant.post(text(2), partition=2)
    await plant.line(other, partition=2)
    assert (1, held) not in await plant.lines()
    assert await plant.metric("mk_router_partitions_paused") == 1
    plant.secrets.put(f"raw-{days_wanted(SystemClock().now())[0]:%Y}0101", late.raw)
    line = await plant.line(held, partition=1)
    assert line.tenants[str(tenant.tenant)].events == 1


async def test_an_unsend_is_an_event_and_a_sealed_erasure_request(plant: Plant) -> None:
    erasure = await plant.erasure_key()
    tenant = await plant.add_tenant()
    account = await plant.connect(tenant, "instagram", INSTAGRAM)
    await plant.start()
    line = await plant.line(await plant.post(unsend("mid.unsent")))
    assert line.tenants[str(tenant.tenant)].events == 1
    (event,) = await plant.events(tenant)
    assert event.headers["ce_type"] == b"message.unsent"
    (record,) = await plant.records(ERASURE_REQUESTS)
    opener = RecordOpener(
        {erasure.public.key_id: erasure}.get, {"router": known(plant.router_signer, "router")}.get
    )
    opened = opener.open(
        ERASURE_REQUESTS, record.value, record.headers, broker_time_s=record.timestamp / 1000
    )
    request = MessageRequest.model_validate_json(opened.plaintext)
    assert record.key == tenant.tenant.bytes
    assert (request.kind, request.account, str(request.cause)) == ("message", account, event.event_id)
    assert request.message_ref == event.headers["mk_ref"].decode()
    assert dict(record.headers)["mk_request"] == str(request.request).encode()


async def test_four_mebibytes_of_noise_go_all_the_way_into_quarantine(plant: Plant) -> None:

    await plant.start()
    noise = os.urandom(4 * 1_048_576)
    offset = await plant.post(noise)
    assert (await plant.line(offset)).tenants[""].quarantined == {"not_json": 1}
    (record,) = await plant.records(QUARANTINE_RAW)
    assert len(record.value) > len(noise)


async def test_a_tenant_in_trouble_is_set_aside_after_a_while_and_holds_up_nobody(plant: Plant) -> None:
    plant.overrides["MKC_ROUTER_TENANT_UNAVAILABLE_AFTER_S"] = "1.5"
    healthy, ended = await plant.add_tenant(), await plant.add_tenant(key_ended=True)
    await plant.connect(healthy, "messenger", PAGE)
    await plant.connect(ended, "whatsapp", WHATSAPP)
    await plant.start()
    stuck = await plant.post(text(1))
    async with asyncio.timeout(60):
        for number in itertools.count():
            offset = await plant.post(bodies.messenger(f"m_{number}", "fine"))
            assert (await plant.line(offset)).tenants[str(healthy.tenant)].events == 1
            if (0, stuck) in await plant.lines():
                break
    assert number > 0, "nobody was held up while it waited"
    line = await plant.line(stuck)
    assert line.tenants[str(ended.tenant)].quarantined == {"tenant_unavailable": 1}
    await plant.say_key(tenant_recipient(ended.tenant), ended.private)

    async def put_back() -> bool:
        return len(await plant.events(ended)) == 2

    fresh = await plant.post(text(2))
    await plant.until(put_back, 15, "the item that was set aside")
    assert (await plant.line(fresh)).tenants[str(ended.tenant)].events == 1
    assert all(line.replay == 0 for line in (await plant.lines()).values())


async def test_a_tenant_without_its_topic_holds_up_nobody(plant: Plant) -> None:
    healthy, missing = await plant.add_tenant(), await plant.add_tenant(topic=False)
    await plant.connect(healthy, "messenger", PAGE)
    await plant.connect(missing, "whatsapp", WHATSAPP)
    await plant.start()
    stuck = await plant.post(text(1))
    for number in range(5):
        line = await plant.line(await plant.post(bodies.messenger(f"m_{number}", "fine")), timeout_s=5)
        assert line.tenants[str(healthy.tenant)].events == 1
    assert (0, stuck) not in await plant.lines()
    await plant.make_topics(slot_topics(missing.slot, 1)[:1])
    assert (await plant.line(stuck, timeout_s=40)).tenants[str(missing.tenant)].events == 1


async def test_an_unsend_waits_for_erasures_key_and_other_events_do_not(plant: Plant) -> None:
    tenant = await plant.add_tenant()
    await plant.connect(tenant, "instagram", INSTAGRAM)
    await plant.connect(tenant, "whatsapp", WHATSAPP)
    await plant.start()
    waiting = await plant.post(unsend("mid.1"))
    await plant.line(await plant.post(text(1)))
    assert len(await plant.events(tenant)) == 2
    assert (0, waiting) not in await plant.lines()
    await plant.erasure_key()
    assert (await plant.line(waiting)).tenants[str(tenant.tenant)].events == 1
    assert len(await plant.records(ERASURE_REQUESTS)) == 1
