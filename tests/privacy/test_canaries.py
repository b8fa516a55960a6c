"""Names, phones, ids and texts of posted webhooks stand nowhere in the clear: not in Kafka, Postgres, logs or metrics."""

import asyncio
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from contracts.topics import LEDGER
from deploy.local.stack import LocalStack
from tests.support import scan
from tests.support.bodies import (
    INSTAGRAM,
    PAGE,
    PHONE_NUMBER_ID,
    WABA,
    delivery,
    encode,
    messenger,
    whatsapp,
    whatsapp_message,
)
from tests.support.world import Tenant, World, data_folders

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

NAME, PHONE, OLD_PHONE = "Zulmira Anacleto Brás", "5531994417703", "553194417703"
TEXT, WAMID = "Meu CPF secreto é canário-7f3a9c", "wamid.HBgMNTUzMTk5NDQxNzcwMxUC"
PSID, IGSID, MID = "7318820094417703", "17899441770331", "m_canarinho-mid-51b0"
POSTBACK, REFUSED, FORGED, NOISE = (
    "CANARIO_BOTAO_88",
    "canário recusado 41",
    "canário forjado 17",
    "canário sem json 90",
)
ERROR_DATA = "canário no erro 66"
CANARIES = (
    NAME, PHONE, OLD_PHONE, TEXT, WAMID.removeprefix("wamid."), PSID, IGSID, MID, POSTBACK, REFUSED, FORGED, NOISE, ERROR_DATA,
)  # fmt: skip


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    """A tenant with all three products, and every canary posted: stored, refused, set aside, forged."""
    world.start()
    tenant = world.add_tenant("discreta")
    world.connect(tenant, "whatsapp", {"waba": WABA, "phone-number-id": PHONE_NUMBER_ID})
    world.connect(tenant, "messenger", {"page": PAGE})
    world.connect(tenant, "instagram", {"instagram": INSTAGRAM})
    message = whatsapp_message(WAMID, TEXT, phone=PHONE)
    assert world.post(encode(whatsapp([message], name=NAME))) == 200
    status = {"id": WAMID, "status": "failed", "timestamp": message["timestamp"], "recipient_id": OLD_PHONE}
    status |= {"errors": [{"code": 131000, "title": ERROR_DATA, "error_data": {"details": ERROR_DATA}}]}
    change = {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": PHONE_NUMBER_ID},
        "statuses": [status],
    }
    entry = {"id": WABA, "changes": [{"field": "messages", "value": change}]}
    assert world.post(encode(delivery("whatsapp_business_account", [entry]))) == 200
    assert world.post(encode(messenger(MID, TEXT, person=PSID))) == 200
    now_ms = int(message["timestamp"]) * 1000
    postback = {"sender": {"id": IGSID}, "recipient": {"id": INSTAGRAM}, "timestamp": now_ms}
    postback |= {"postback": {"mid": MID, "title": TEXT, "payload": POSTBACK}}
    assert (
        world.post(
            encode(delivery("instagram", [{"id": INSTAGRAM, "time": now_ms, "messaging": [postback]}]))
        )
        == 200
    )
    old = whatsapp_message(WAMID, TEXT, phone=PHONE, at_s=1_400_000_000)
    assert world.post(encode(whatsapp([old], name=NAME))) == 200
    assert world.post(encode(messenger("m_refused", REFUSED, page="1", person=PSID))) == 200
    assert world.post(encode(messenger("m_forged", FORGED)), b"not the secret") == 401
    assert world.post(NOISE.encode()) == 200
    assert (
        world.post(
            b'{"object":"page","entry":[{"id":' + encode(NOISE) + b',"messaging":[' + encode(TEXT) + b"]}]}"
        )
        == 200
    )
    world.wait_balanced()
    assert world.row_count(tenant) >= 4
    # A process that is killed must not leave payload behind either; what is read is logged, without what was read.
    world.kill("router")
    world.restart("router")
    assert TEXT in str(world.messages(tenant))
    return tenant


def test_no_file_of_kafka_and_postgres_and_no_log_holds_a_canary(
    world: World, tenant: Tenant, stack: LocalStack
) -> None:
    # What is still in memory only is written out, so that it is searched too.
    world.sql("CHECKPOINT", database="postgres")
    assert scan.in_files(data_folders(stack), CANARIES) == []


def test_no_record_holds_a_canary_where_a_client_reads_it(world: World, tenant: Tenant) -> None:
    count, found = world.run(scan.in_records(world.stack.endpoints.kafka, CANARIES))
    assert count > 15
    assert found == []


def test_no_metrics_page_and_no_readiness_page_holds_a_canary(world: World, tenant: Tenant) -> None:
    for name in ("ingest", "router", "store", "custodian"):
        for page in ("/metrics", "/readyz"):
            status, body = world.node(name).get(page, 2)
            assert status == 200
            assert scan.in_text(body.decode(), CANARIES) == []


def test_what_operators_commands_print_of_the_clear_side_holds_no_canary(
    world: World, tenant: Tenant
) -> None:
    for command in (
        ("tenant", "list"),
        ("account", "list"),
        ("ledger",),
        ("quarantine", "list"),
        ("events", tenant.name),
    ):
        code, output, errors = world.mkc_raw(*command)
        assert code == 0, errors
        assert scan.in_text(output + errors, CANARIES) == []


def test_the_search_finds_a_canary_in_each_place_where_it_is_planted(
    world: World, tenant: Tenant, stack: LocalStack, tmp_path: Path
) -> None:
    planted = "canário-plantado-3e8d"

    async def produce() -> None:
        async with AIOKafkaProducer(bootstrap_servers=stack.endpoints.kafka) as producer:
            await producer.send_and_wait(LEDGER, b"x", headers=[("planted", planted.encode())])

    asyncio.run(produce())
    world.sql(f"CREATE TABLE public.planted AS SELECT '{planted}'::text AS value")
    world.sql("CHECKPOINT", database="postgres")
    log = world.service.run_dir / "planted.log"
    log.write_text(planted)
    try:
        places = scan.in_files(data_folders(stack), [planted])
        assert any(str(stack.kafka.data_dir) in place for place in places)
        assert any("/base/" in place for place in places)
        assert any("/pg_wal/" in place for place in places)
        assert any("planted.log" in place for place in places)
        assert asyncio.run(scan.in_records(stack.endpoints.kafka, [planted]))[1]
        (tmp_path / "forms").write_bytes(planted.encode("utf-16-le") + planted.encode().hex().encode())
        assert scan.in_files([tmp_path], [planted])
    finally:
        log.unlink()
        world.sql("DROP TABLE public.planted")
