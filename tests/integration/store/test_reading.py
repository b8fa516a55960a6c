"""`mkc messages` and `mkc events`: nothing personal without a purpose on record."""

import json
from uuid import UUID

import pytest

from tests.integration.store.cell import Cell, event
from tests.integration.store.sealed import Router
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.fixture(scope="module")
def connected(cell: Cell) -> tuple[World, Tenant, str]:
    """A tenant with one account."""
    tenant = cell.world.add_tenant("reading")
    account = cell.world.connect(tenant, "messenger", {"page": "4711"})
    return cell.world, tenant, str(account)


def records(world: World, tenant: Tenant) -> list[tuple[str, str, int | None]]:
    """Purpose, object and rows of each access record."""
    found = world.sql(
        "SELECT purpose, object, rows_read FROM mk.access_record WHERE tenant_id = $1 ORDER BY id",
        tenant.tenant,
    )
    return [(row["purpose"], row["object"], row["rows_read"]) for row in found]


async def test_events_show_headers_and_open_only_with_a_purpose(connected: tuple[World, Tenant, str]) -> None:
    world, tenant, account = connected
    async with Router(world) as router:
        for _ in range(3):
            await router.publish(tenant, UUID(account))
        await router.publish(tenant, UUID(account), spoil=True)
    closed = [json.loads(line) for line in world.mkc_raw("events", "reading", "--json")[1].splitlines()]
    assert [one["offset"] for one in closed] == [0, 1, 2, 3]
    assert all("data" not in one for one in closed)
    assert records(world, tenant) == []
    assert world.mkc_raw("events", "reading", "--open")[0] == 2
    opened = world.mkc_raw("events", "reading", "--open", "--purpose", "ticket", "--limit", "2", "--json")[1]
    assert [
        json.loads(line).get("data", json.loads(line).get("unreadable")) for line in opened.splitlines()
    ] == [
        {"text": "hi"},
        "tampered",
    ]
    assert records(world, tenant)[0][0] == "ticket"
    assert records(world, tenant)[0][2] == 2


async def test_an_erased_persons_messages_read_as_erased(cell: Cell, tenant: Tenant) -> None:
    await cell.write(tenant, event("ana"), event("bia"))
    await cell.erase(tenant, "ana")
    read = cell.world.messages(tenant)
    assert sorted("erased" if message.get("erased") else "data" for message in read) == ["data", "erased"]
    text = cell.world.mkc_raw("messages", tenant.name, "--purpose", "test")[1]
    assert "[erased]" in text
    assert "hello" in text


async def test_one_conversation_can_be_read_alone(cell: Cell, tenant: Tenant) -> None:
    await cell.write(tenant, event("ana"))
    mine = cell.world.messages(tenant)[0]["conversation"]
    found = cell.world.mkc("messages", tenant.name, "--purpose", "t", "--conversation", mine)
    assert len(found if isinstance(found, list) else [found]) == 1
    assert (
        cell.world.mkc_raw("messages", tenant.name, "--purpose", "t", "--conversation", "00" * 16, "--json")[
            1
        ]
        == "[]\n"
    )
    assert cell.world.mkc_raw("messages", tenant.name, "--purpose", "t", "--conversation", "zz")[0] == 2


def test_a_limit_below_nothing_is_a_wrong_use_and_no_defect(cell: Cell, tenant: Tenant) -> None:
    assert cell.world.mkc_raw("messages", tenant.name, "--purpose", "t", "--limit", "-1")[0] == 2


def test_a_tenant_nobody_knows_is_an_error(cell: Cell) -> None:
    code, _, errors = cell.world.mkc_raw("messages", "nobody", "--purpose", "t")
    assert code == 1
    assert "no_such_tenant" in errors
