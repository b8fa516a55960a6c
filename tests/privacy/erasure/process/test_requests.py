"""What arrives on the requests topic: the same request is the same, what cannot be believed is said, nothing is lost."""

import asyncio
import json
import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.erasure_requests import Identifier, MessageRequest, request_id
from contracts.hybrid import HybridPrivateKey
from contracts.outcomes import RefusalReason, State
from contracts.signing import Signer
from tests.support.bodies import encode, messenger, whatsapp, whatsapp_message
from tests.support.erasure import (
    ERASED,
    Requests,
    headers_of,
    job,
    person_request,
    phone,
    psid,
    told,
    wait_state,
)
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

PAGE = "830000000000001"


@pytest.fixture(scope="module")
def tenant(erasing: World) -> Tenant:
    """A tenant with a Messenger page."""
    tenant = erasing.add_tenant("apaga")
    erasing.connect(tenant, "messenger", {"page": PAGE})
    return tenant


def write(world: World, tenant: Tenant, person: str, text: str = "oi") -> None:
    """One stored message of that person."""
    before = world.row_count(tenant)
    assert world.post(encode(messenger(f"m_{uuid4().hex}", text, page=PAGE, person=person))) == 200
    world.wait_rows(tenant, before + 1)


def audited(world: World, what: str) -> list[Any]:
    """Entries of the audit log of that kind, oldest first."""
    return [
        row["entry"]
        for row in world.sql(
            "SELECT convert_from(entry, 'UTF8')::jsonb AS entry FROM mk.audit_entry"
            " WHERE convert_from(entry, 'UTF8')::jsonb ->> 'what' = $1 ORDER BY id",
            what,
        )
    ]


async def after_all(requests: Requests, world: World, tenant: Tenant) -> None:
    """A good request behind the bad ones comes to its end: reading went on."""
    good = await requests.ask(person_request(tenant, psid("nobody yet")))
    await asyncio.to_thread(wait_state, world, good, *ERASED)


async def test_the_same_request_again_is_the_same_request(
    erasing: World, requests: Requests, tenant: Tenant
) -> None:
    await asyncio.to_thread(write, erasing, tenant, "6001")
    asked = person_request(tenant, psid("6001"))
    request = await requests.ask(asked)
    first = await asyncio.to_thread(wait_state, erasing, request, *ERASED)
    metrics = erasing.metrics("erasure")['mk_erasure_requests_received_total{result="repeated"}']
    await requests.ask(asked)
    await after_all(requests, erasing, tenant)
    again = job(erasing, request)
    assert [again[name] for name in ("executed_at", "state")] == [first["executed_at"], again["state"]]
    steps = erasing.sql(f"SELECT * FROM {tenant.schema}.erasure_step WHERE request_id = $1", request)
    assert len(steps) == 1
    assert erasing.metrics("erasure")['mk_erasure_requests_received_total{result="repeated"}'] == metrics + 1
    received = [one for one in await told(erasing, requests.view, [request]) if one.state is State.RECEIVED]
    assert len(received) == 1


async def test_what_cannot_be_believed_or_read_has_an_entry_with_its_offset_and_reading_goes_on(
    erasing: World, requests: Requests, tenant: Tenant
) -> None:
    before = len(await asyncio.to_thread(audited, erasing, "erasure.unreadable"))
    asked = person_request(tenant, psid("6002"))
    plain, headers = asked.model_dump_json().encode(), headers_of(asked)
    operator = requests.signer("operator")
    sealed, sealed_headers = await requests.seal(plain, headers, signer=operator)
    other = HybridPrivateKey.generate().public
    foreign = (other, datetime.now(UTC) + timedelta(days=1))
    unlisted = [(name, value) for name, value in headers if name != "mk_tenant"]
    other_request = [("mk_request", str(uuid4()).encode()), *headers[1:]]
    stranger = Signer.from_bytes("operator", os.urandom(32))
    store = requests.signer("store")
    wrong: dict[str, tuple[bytes | None, list[tuple[str, bytes]]]] = {
        "unsigned": (plain, headers),
        "without a value": (None, headers),
        "one bit turned": (sealed[:-1] + bytes((sealed[-1] ^ 1,)), sealed_headers),
        "another header": (sealed, [("mk_request", str(uuid4()).encode()), *sealed_headers[1:]]),
        "signed by a stranger": await requests.seal(plain, headers, signer=stranger),
        "signed by who may not ask": await requests.seal(plain, headers, signer=store),
        "sealed to another key": await requests.seal(plain, headers, signer=operator, recipient=foreign),
        "no JSON": await requests.seal(b"{", headers, signer=operator),
        "another kind of JSON": await requests.seal(b"[1]", headers, signer=operator),
        "no tenant in the clear": await requests.seal(plain, unlisted, signer=operator),
        "another id in the clear": await requests.seal(plain, other_request, signer=operator),
        "of before 1970": await requests.seal(
            asked.model_copy(update={"received_at_ms": -1}).model_dump_json().encode(),
            headers,
            signer=operator,
        ),
    }
    offsets = [
        await requests.put(tenant.tenant.bytes, value, all_headers, 0)
        for value, all_headers in wrong.values()
    ]
    good = await requests.ask(person_request(tenant, psid("nobody yet")))
    await asyncio.to_thread(wait_state, erasing, good, *ERASED)
    entries = erasing.wait_until(
        lambda: (
            found if len(found := audited(erasing, "erasure.unreadable")[before:]) >= len(wrong) else None
        ),
        20,
        "an entry for each record",
    )

    said = [json.loads(entry) for entry in entries]
    assert [one["numbers"]["offset"] for one in said] == offsets
    reasons = dict(zip(wrong, (one["reason"] for one in said), strict=True))
    contract = {"no JSON", "another kind of JSON", "of before 1970"}
    assert reasons == {
        name: "contract_violation"
        if name in contract
        else "wrong_recipient"
        if name == "sealed to another key"
        else "tampered"
        for name in wrong
    }
    assert job(erasing, asked.request) is None


async def test_who_may_not_ask_for_this_is_refused_and_nothing_of_it_is_kept(
    erasing: World, requests: Requests, tenant: Tenant
) -> None:
    await asyncio.to_thread(write, erasing, tenant, "6003")
    request = await requests.ask(person_request(tenant, psid("6003")), by="router")
    row = await asyncio.to_thread(wait_state, erasing, request, State.REFUSED)
    assert (row["reason"], row["pseudonyms"], row["asked_by"]) == (RefusalReason.NOT_ALLOWED, [], "router")
    outcomes = await told(erasing, requests.view, [request])
    assert [(one.state, one.reason) for one in outcomes] == [
        (State.RECEIVED, None),
        (State.REFUSED, RefusalReason.NOT_ALLOWED),
    ]
    assert [json.loads(one)["request"] for one in audited(erasing, "erasure.refused")][-1] == str(request)


async def test_a_tenant_that_is_not_here_is_said_to_be_unknown(erasing: World, requests: Requests) -> None:
    request = await requests.ask(person_request(uuid4(), phone()))
    row = await asyncio.to_thread(wait_state, erasing, request, State.REFUSED)
    assert row["reason"] == RefusalReason.UNKNOWN_TENANT


async def test_a_request_that_names_nothing_is_refused(
    erasing: World, requests: Requests, tenant: Tenant
) -> None:
    request = await requests.ask(person_request(tenant, phone("no digits"), psid("  ")))
    row = await asyncio.to_thread(wait_state, erasing, request, State.REFUSED)
    assert row["reason"] == RefusalReason.NOTHING_NAMED
    cause = uuid4()
    asked = MessageRequest(
        request=request_id("message", cause),
        tenant=tenant.tenant,
        account=uuid4(),
        cause=cause,
        reason="unsent",
        message_ref=None,
        received_at_ms=int(time.time() * 1000),
    )
    await requests.ask(asked, by="router")
    row = await asyncio.to_thread(wait_state, erasing, asked.request, State.REFUSED)
    assert row["reason"] == RefusalReason.NOTHING_NAMED


async def test_another_tenants_person_is_not_found_here(
    erasing: World, requests: Requests, tenant: Tenant
) -> None:
    other = await asyncio.to_thread(erasing.add_tenant, "outra")
    await asyncio.to_thread(write, erasing, tenant, "6004")
    request = await requests.ask(person_request(other, psid("6004")))
    await asyncio.to_thread(wait_state, erasing, request, *ERASED)
    stub = f"SELECT FROM {other.schema}.subject WHERE watermark IS NOT NULL AND wrapped_dek IS NULL"
    assert len(erasing.sql(stub)) == 1
    steps = f"SELECT FROM {tenant.schema}.erasure_step WHERE request_id = $1"
    assert len(erasing.sql(steps, request)) == 0
    assert "oi" in str(erasing.messages(tenant))


async def test_an_id_that_another_request_has_is_not_taken_for_it(
    erasing: World, requests: Requests, tenant: Tenant
) -> None:
    request = await requests.ask(person_request(tenant, psid("6005")))
    await asyncio.to_thread(wait_state, erasing, request, *ERASED)
    before = len(audited(erasing, "erasure.unreadable"))
    await requests.ask(person_request(uuid4(), psid("6006"), request=request))
    await after_all(requests, erasing, tenant)
    erasing.wait_until(lambda: len(audited(erasing, "erasure.unreadable")) > before, 20, "an entry")
    assert job(erasing, request)["tenant_id"] == tenant.tenant


async def test_a_brazilian_mobile_is_found_with_and_without_its_ninth_digit(
    erasing: World, requests: Requests
) -> None:
    tenant = await asyncio.to_thread(erasing.add_tenant, "nono-digito")
    numbers = {"waba": "830000000000011", "phone-number-id": "830000000000012"}
    await asyncio.to_thread(erasing.connect, tenant, "whatsapp", numbers)
    body = whatsapp(
        [whatsapp_message("wamid.9", "nono", phone="551187654321")],
        waba=numbers["waba"],
        phone_number_id=numbers["phone-number-id"],
    )
    assert erasing.post(encode(body)) == 200
    await asyncio.to_thread(erasing.wait_rows, tenant, 1)
    request = await requests.ask(person_request(tenant, phone("+55 (11) 98765-4321")))
    row = await asyncio.to_thread(wait_state, erasing, request, *ERASED)
    assert len(row["pseudonyms"]) == 2
    assert erasing.row_count(tenant) == 0


async def test_no_plain_identifier_reaches_a_row(erasing: World, requests: Requests, tenant: Tenant) -> None:
    request = await requests.ask(
        person_request(tenant, phone("5511912345678"), Identifier(kind="bsuid", value="BR.canary4711"))
    )
    await asyncio.to_thread(wait_state, erasing, request, *ERASED)
    row = str(dict(job(erasing, request)))
    assert "12345678" not in row
    assert "canary4711" not in row
    log = erasing.log("erasure")
    assert "12345678" not in log
    assert "canary4711" not in log


def test_a_message_is_the_same_request_whoever_repeats_it() -> None:
    cause = UUID(int=3)
    assert request_id("message", cause) == request_id("message", cause) != request_id("account", cause)
