"""Erasure and Meta: a callback about an administrator starts and awaits their accounts' erasures, about others there is
nothing; and Meta itself is asked to forget a person."""

import asyncio
import base64
import hashlib
import hmac
import http.client
import json
import secrets
import time
from datetime import timedelta
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import pytest

from contracts.control import app_scoped_user_hash
from contracts.erasure_requests import CallbackRequest, Identifier, callback_request_id
from contracts.outcomes import RefusalReason, State
from store.desk.words import ENGLISH
from store.erasure.execution.callback import account_request_id
from tests.privacy.erasure.process.conftest import META_NUMBER, META_SECRET, META_TOKEN
from tests.support.erasure import Requests, job, person_request, told, wait_state
from tests.support.graph_server import graph_server
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
ENDED = (State.ANSWERED,)


def callback(user: str, kind: str = "data_deletion", *, issued_at: int | None = None) -> CallbackRequest:
    """As ingest makes it of one delivery, issued now: of one issue the request is the same each time, the code another."""
    assert kind in ("data_deletion", "deauthorized")
    issued_at = int(time.time()) if issued_at is None else issued_at
    return CallbackRequest(
        request=callback_request_id(kind, "demo", user, issued_at),
        received_at_ms=int(time.time() * 1000),
        callback="data_deletion" if kind == "data_deletion" else "deauthorized",
        app="demo",
        user_id=user,
        issued_at_s=issued_at,
        code_sha256=hashlib.sha256(secrets.token_bytes(16)).hexdigest() if kind == "data_deletion" else None,
    )


def connected(world: World, name: str, user: str, page: str) -> tuple[Tenant, UUID]:
    tenant = world.add_tenant(name)
    return tenant, world.connect(tenant, "messenger", {"page": page, "app-scoped-user": f"demo:{user}"})


def codes_of(world: World, request: UUID) -> set[str]:
    rows = world.sql("SELECT code_sha256 FROM mk.erasure_code WHERE request_id = $1", request)
    return {row["code_sha256"].hex() for row in rows}


def state_of(world: World, account: UUID) -> tuple[str, str]:
    row = world.sql(
        "SELECT a.state, c.state AS consent FROM mk.account a JOIN mk.consent c USING (account_id) WHERE account_id = $1",
        account,
    )[0]
    return row["state"], row["consent"]


async def test_somebody_who_connected_nothing_is_answered_and_a_redelivery_is_the_same_request(
    erasing: World, requests: Requests
) -> None:
    first, again = (callback("9000001", issued_at=1_700_000_000) for _ in range(2))
    await requests.ask(first, by="ingest")
    row = await asyncio.to_thread(wait_state, erasing, first.request, *ENDED)
    assert (row["tenant_id"], row["account_id"], row["reason"], row["pseudonyms"]) == (None, None, None, [])
    assert row["requested_at"].timestamp() == first.issued_at_s
    await requests.ask(again, by="ingest")
    wanted = {first.code_sha256, again.code_sha256}
    await asyncio.to_thread(erasing.wait_until, lambda: codes_of(erasing, first.request) == wanted, 10)
    same = job(erasing, first.request)
    assert (same["received_at"], same["state"]) == (row["received_at"], row["state"])
    states = [outcome.state for outcome in await told(erasing, requests.view, [first.request])]
    assert states[:4] == [State.RECEIVED, State.DECIDED, State.EXECUTING, State.LIVE_ERASED]
    # Nothing of the id itself is kept: neither plain nor in a hash of its own.
    found = erasing.sql(
        "SELECT r::text AS whole FROM mk.erasure_request r WHERE request_id = $1", first.request
    )
    assert "9000001" not in found[0]["whole"]


@pytest.mark.parametrize("kind", ["data_deletion", "deauthorized"])
async def test_an_administrators_accounts_stop_at_once_and_are_erased_after_their_restriction(
    erasing: World, requests: Requests, kind: str
) -> None:
    user, page = ("9000002", "840000000000002") if kind == "data_deletion" else ("9000003", "840000000000003")
    tenant, account = await asyncio.to_thread(connected, erasing, f"admin-{kind}", user, page)
    asked = callback(user, kind)
    started = account_request_id(asked.request, account)
    await requests.ask(asked, by="ingest")
    # 1. The account's own request exists, restricted, and the consent is withdrawn without waiting for it.
    row = await asyncio.to_thread(wait_state, erasing, started, State.DECIDED)
    assert (row["kind"], row["origin"], row["tenant_id"]) == ("account", kind, tenant.tenant)
    assert row["execute_after"] - row["decided_at"] > timedelta(hours=72, seconds=-60)
    assert row["execute_after"] >= row["received_at"] + timedelta(hours=72)
    await asyncio.to_thread(
        erasing.wait_until, lambda: state_of(erasing, account) == ("disconnected", "withdrawn"), 10
    )
    # 2. The callback is not reported as done while the account's erasure is open.
    assert job(erasing, asked.request)["state"] in (State.RECEIVED, State.DECIDED)


async def test_a_callback_whose_accounts_erasure_is_refused_says_so(
    erasing: World, requests: Requests
) -> None:
    tenant, account = await asyncio.to_thread(connected, erasing, "admin-held", "9000004", "840000000000004")
    asked = callback("9000004")
    started = account_request_id(asked.request, account)
    # The account's request stands refused before the callback looks.
    erasing.sql(
        "INSERT INTO mk.erasure_request (request_id, tenant_id, kind, origin, asked_by, account_id, requested_at,"
        " received_at, state, told_state, reason)"
        " VALUES ($1, $2, 'account', 'data_deletion', 'erasure', $3, now(), now(), 'refused', 'refused', 'legal_hold')",
        started,
        tenant.tenant,
        account,
    )
    await requests.ask(asked, by="ingest")
    row = await asyncio.to_thread(wait_state, erasing, asked.request, State.REFUSED)
    assert row["reason"] == RefusalReason.LEGAL_HOLD


async def test_when_the_accounts_erasure_has_ended_the_administrator_is_forgotten(
    erasing: World, requests: Requests
) -> None:
    user = "9000005"
    tenant, account = await asyncio.to_thread(connected, erasing, "admin-gone", user, "840000000000005")
    asked = callback(user)
    started = account_request_id(asked.request, account)
    routing = (erasing.service.root / "keys" / "router" / "secrets" / "routing").read_bytes()
    digest = app_scoped_user_hash(routing, "demo", user)
    erasing.mkc("account", "disconnect", str(account))
    erasing.sql(
        "INSERT INTO mk.erasure_request (request_id, tenant_id, kind, origin, asked_by, account_id, requested_at,"
        " received_at, state, told_state)"
        " VALUES ($1, $2, 'account', 'data_deletion', 'erasure', $3, now(), now(), 'answered', 'answered')",
        started,
        tenant.tenant,
        account,
    )
    assert erasing.sql("SELECT 1 FROM mk.account_id WHERE value = $1", digest)
    await requests.ask(asked, by="ingest")
    row = await asyncio.to_thread(wait_state, erasing, asked.request, *ENDED)
    assert row["pseudonyms"] == []
    assert erasing.sql("SELECT 1 FROM mk.account_id WHERE value = $1", digest) == []


async def test_nobody_but_the_receiver_may_say_a_callback(erasing: World, requests: Requests) -> None:
    asked = callback("9000006")
    await requests.ask(asked, by="operator")
    row = await asyncio.to_thread(wait_state, erasing, asked.request, State.REFUSED)
    assert (row["reason"], row["pseudonyms"]) == (RefusalReason.NOT_ALLOWED, [])


async def test_a_person_is_shredded_while_meta_is_away_and_answered_once_meta_has_deleted(
    erasing: World, requests: Requests, meta_port: int
) -> None:
    bsuid = "BR.4711canary"
    tenant = await asyncio.to_thread(erasing.add_tenant, "meta-asked")
    ids = {"waba": "15510000001", "phone-number-id": META_NUMBER}
    await asyncio.to_thread(erasing.connect, tenant, "whatsapp", ids)
    asked = await requests.ask(person_request(tenant, Identifier(kind="bsuid", value=bsuid)))
    # 1. Meta does not answer: the person is erased all the same, and the request is not answered yet.
    row = await asyncio.to_thread(wait_state, erasing, asked, State.LIVE_ERASED)
    assert row["details"] is not None
    assert bsuid.encode() not in row["details"]
    # 2. Meta is back: it is asked as it demands, and the receipt says what it said.
    async with graph_server({META_TOKEN: META_SECRET}, meta_port) as meta:
        row = await asyncio.to_thread(wait_state, erasing, asked, State.ANSWERED, timeout_s=30)
        assert (meta.deleted, meta.wrong) == ([(META_NUMBER, bsuid)], [])
    assert row["details"] is None
    receipt = json.loads(row["receipt"])["receipt"]
    assert [one["method"] for one in receipt["removals"] if one["system"] == "meta.contact_book"] == [
        "deleted_by_meta"
    ]
    assert "meta" in [one["who"] for one in receipt["told"]]
    shown = row["receipt"] + erasing.log("erasure")
    for hidden in (bsuid, META_TOKEN, META_NUMBER):
        assert hidden not in shown


def post_callback(world: World, user: str, secret: bytes) -> tuple[int, dict[str, str]]:
    """As Meta posts it to the receiver."""
    payload = {"algorithm": "HMAC-SHA256", "issued_at": int(time.time()), "user_id": user}
    part = base64.urlsafe_b64encode(json.dumps(payload).encode()).rstrip(b"=")
    signature = base64.urlsafe_b64encode(hmac.digest(secret, part, "sha256")).rstrip(b"=")
    form = urlencode({"signed_request": (signature + b"." + part).decode()})
    connection = http.client.HTTPConnection("127.0.0.1", world.service.ports.receiver, timeout=10)
    try:
        connection.request("POST", "/callbacks/meta/demo/data-deletion", form)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def page(world: World, url: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", world.service.ports.desk, timeout=10)
    try:
        connection.request("GET", urlsplit(url).path, headers={"Accept-Language": "en"})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


async def test_what_meta_is_answered_with_leads_to_the_page_of_that_request(erasing: World) -> None:
    await asyncio.to_thread(erasing.start, ("desk",))
    assert (await asyncio.to_thread(post_callback, erasing, "9000007", b"forged"))[0] == 401
    status, says = await asyncio.to_thread(post_callback, erasing, "9000007", erasing.service.app_secret())
    assert status == 200
    assert says["url"] == f"{erasing.service.page_url}/{says['confirmation_code']}"

    def shown() -> str | None:
        code, html = page(erasing, says["url"])
        return html if code == 200 else None

    await asyncio.to_thread(erasing.wait_until, shown, 10, "the page of the request")
    digest = hashlib.sha256(says["confirmation_code"].encode()).digest()
    [row] = erasing.sql("SELECT request_id FROM mk.erasure_code WHERE code_sha256 = $1", digest)
    await asyncio.to_thread(wait_state, erasing, row["request_id"], *ENDED)
    html = shown()
    assert html is not None
    # The request has ended, and the page does not say so: nobody can tell that there was nothing.
    assert ENGLISH.stages["processing"] in html
    assert ENGLISH.stages["completed"] not in html
