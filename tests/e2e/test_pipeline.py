"""The processes together: from a signed webhook to an encrypted row, and what bad input gets."""

import os

import pytest

from tests.support.bodies import encode, messenger, whatsapp, whatsapp_message
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

PAGE = "810000000000001"


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    """A tenant with a Page; every process runs."""
    world.start()
    tenant = world.add_tenant("livraria")
    world.connect(tenant, "messenger", {"page": PAGE})
    return tenant


@pytest.fixture(autouse=True)
def nobody_died(world: World, tenant: Tenant) -> object:
    """After each test every process still runs, and the ledger balances."""
    yield
    assert world.dead() == set()
    world.wait_balanced()


def test_a_signed_webhook_becomes_a_row_that_only_the_key_reads(world: World, tenant: Tenant) -> None:
    text = "Chegou o livro da Clarice?"
    before = world.row_count(tenant)
    assert world.post(encode(messenger("m_row", text, page=PAGE))) == 200
    world.wait_rows(tenant, before + 1)
    assert all(text.encode() not in row["body"] for row in world.rows(tenant))
    assert any(text in str(message) for message in world.messages(tenant))


def test_a_webhook_right_after_connect_is_a_row_without_a_rebalance(world: World, tenant: Tenant) -> None:
    rebalances = world.log("store").count("lanes.assigned")
    fresh = world.add_tenant("sebo-novo")
    page = "810000000000002"
    world.connect(fresh, "messenger", {"page": page})
    assert world.post(encode(messenger("m_first", "primeira", page=page))) == 200
    world.wait_rows(fresh, 1)
    assert world.log("store").count("lanes.assigned") == rebalances


def test_a_wrong_signature_is_refused_and_leaves_nothing(world: World, tenant: Tenant) -> None:
    before = world.ledger()[1]
    assert world.post(encode(messenger("m_forged", "falsa", page=PAGE)), b"another secret") == 401
    assert world.wait_balanced() == before


def test_four_mebibytes_of_noise_go_all_the_way_into_quarantine(world: World, tenant: Tenant) -> None:
    reason = 'mk_router_items_quarantined_total{reason="not_json"}'
    before = world.metrics("router").get(reason, 0)
    assert world.post(os.urandom(4 * 1024 * 1024)) == 200
    world.wait_until(lambda: world.metrics("router").get(reason, 0) == before + 1, 10, "the quarantine")


def test_one_byte_more_than_four_mebibytes_is_too_large(world: World, tenant: Tenant) -> None:
    assert world.post(b" " * (4 * 1024 * 1024 + 1)) == 413


ODD_BODIES = [
    b"", b" ", b"\xff\xfe", b"null", b"true", b"0", b"-", b"1e999", b'""', b'"\\ud800"', b"[]", b"{}", b"[" * 100_000,
    b'{"a":' * 100_000, b'{"object":"page","entry":' + b"9" * 5_000 + b"}", b'{"object":"page","entry":[]}',
    b'{"object":"page","entry":[{}]}', b'{"object":"page","entry":[null,1,"x",[]]}', b'{"object":1,"entry":{}}',
    b'{"object":"page","object":"instagram","entry":[]}', b'{"object":"page","entry":[{"id":"1","messaging":[{}]}]}',
    b'{"object":"unheard_of","entry":[{"id":"1"}]}', b"\xef\xbb\xbf{}", b'{"a":NaN}', b'{"a":1}garbage', b"{\x00}",
    b'{"object":"page","entry":[{"id":"1","time":' + b"9" * 400 + b',"messaging":[{"timestamp":' + b"9" * 400 + b"}]}]}",
]  # fmt: skip


def test_signed_bytes_of_any_kind_are_accepted_and_end_somewhere(world: World, tenant: Tenant) -> None:
    counted = "mk_router_deliveries_routed_total"
    before = world.metrics("router").get(counted, 0)
    for body in ODD_BODIES:
        assert world.post(body) == 200, body[:60]
    world.wait_until(
        lambda: world.metrics("router").get(counted, 0) >= before + len(ODD_BODIES), 15, "routing"
    )


def test_an_account_that_nobody_connected_is_refused_and_counted(world: World, tenant: Tenant) -> None:
    reason = 'mk_router_items_refused_total{reason="unknown_account"}'
    before = world.metrics("router").get(reason, 0)
    assert (
        world.post(encode(whatsapp([whatsapp_message("wamid.nobody", "?")], waba="1", phone_number_id="2")))
        == 200
    )
    world.wait_until(lambda: world.metrics("router").get(reason, 0) == before + 1, 10, "the refusal")


def test_the_same_webhook_twice_is_one_row(world: World, tenant: Tenant) -> None:
    before = world.row_count(tenant)
    body = encode(messenger("m_twice", "duas vezes", page=PAGE))
    assert [world.post(body), world.post(body)] == [200, 200]
    world.wait_balanced()
    assert world.row_count(tenant) == before + 1


def test_nothing_is_stored_once_an_account_is_disconnected(world: World, tenant: Tenant) -> None:
    page = "810000000000003"
    account = world.connect(tenant, "messenger", {"page": page})
    assert world.post(encode(messenger("m_before", "antes", page=page))) == 200
    world.wait_balanced()
    before = world.row_count(tenant)
    world.mkc("account", "disconnect", str(account))
    assert world.post(encode(messenger("m_after", "depois", page=page))) == 200
    world.wait_balanced()
    assert world.row_count(tenant) == before
