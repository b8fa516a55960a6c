"""Accounts: on control when the command returns, each id once, consent withdrawn for good."""

import asyncio
from uuid import UUID, uuid4

import pytest
from aiokafka import TopicPartition

from contracts.control import IdKind, app_scoped_user_hash, encode
from contracts.topics import CONTROL
from runtime.kafka.clients import Producer, acknowledged, consumer
from store.custody.cli_account import Connect, connect, disconnect
from store.custody.cli_tenant import add_tenant
from store.custody.database import SQL
from store.custody.errors import AccountIdTaken, NameTaken, TenantNotReady, UnknownName
from store.custody.operating import Desk
from store.custody.settings import load_signer
from tests.integration.custody.conftest import Cell
from tests.support.waiting import until
from tests.support.world import WAITING_FOR_LOCKS

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def _page(tenant: UUID, page: str) -> Connect:
    return Connect(str(tenant), "messenger", [(IdKind.PAGE, page)], "M. Silva", "contract-17")


def _number(tenant: UUID, waba: str, phone: str) -> Connect:
    ids = [(IdKind.WABA, waba), (IdKind.PHONE_NUMBER, phone)]
    return Connect(str(tenant), "whatsapp", ids, "M. Silva", "contract-17")


async def test_a_connected_account_is_on_control_when_the_command_returns(cell: Cell) -> None:
    async with cell.custodian() as custodian, cell.desk() as desk:
        await custodian.prepare()
        tenant = await custodian.add_tenant()
        wanted = Connect(
            str(tenant),
            "messenger",
            [(IdKind.PAGE, "901")],
            "M. Silva",
            "contract-17",
            app_scoped_users=[("demo", "7788")],
        )
        record = await connect(desk, wanted)
        async with cell.view() as view:
            assert view.accounts_named(IdKind.PAGE, "901") == (record,)
            hashed = app_scoped_user_hash(cell.secrets("router").get("routing"), "demo", "7788")
            assert view.accounts_named(IdKind.APP_SCOPED_USER, hashed) == (record,)
        stored = await desk.connection.fetch("SELECT value FROM mk.account_id")
        assert "7788" not in {row["value"] for row in stored}
        await disconnect(desk, record.account)
        async with cell.view() as view:
            assert view.accounts_named(IdKind.PAGE, "901") == ()
            assert view.accounts[record.account].consent.state == "withdrawn"


async def test_an_id_of_another_connected_account_is_refused_until_that_one_is_disconnected(
    cell: Cell,
) -> None:
    async with cell.custodian() as custodian, cell.desk() as desk:
        await custodian.prepare()
        a, b = await custodian.add_tenant(), await custodian.add_tenant()
        first = await connect(desk, _page(a, "77"))
        for tenant in (a, b):
            with pytest.raises(AccountIdTaken):
                await connect(desk, _page(tenant, "77"))
        await disconnect(desk, first.account)
        second = await connect(desk, _page(b, "77"))
        async with cell.view() as view:
            assert view.accounts_named(IdKind.PAGE, "77") == (second,)


async def test_a_waba_has_several_numbers_but_one_tenant_also_when_two_ask_at_once(cell: Cell) -> None:
    async with cell.custodian() as custodian, cell.desk() as desk, cell.desk() as other:
        await custodian.prepare()
        a, b = await custodian.add_tenant(), await custodian.add_tenant()
        await connect(desk, _number(a, "5", "50"))
        await connect(desk, _number(a, "5", "51"))
        with pytest.raises(AccountIdTaken):
            await connect(desk, _number(b, "5", "52"))
        # While the first command's transaction is open the second waits for it, and then sees what it did.
        async with other.connection.transaction():
            await other.connection.execute(SQL["claim_waba"], "6")
            late = asyncio.create_task(connect(desk, _number(b, "6", "61")))
            await until(lambda: other.connection.fetchval(WAITING_FOR_LOCKS), "the second command to wait")
            account = uuid4()
            await other.connection.execute(SQL["insert_account"], account, a, "whatsapp", "", "test")
            await other.connection.execute(SQL["insert_account_id"], account, "waba", "6")
        with pytest.raises(AccountIdTaken):
            await late


async def test_what_an_operator_committed_and_could_not_announce_the_custodian_announces(cell: Cell) -> None:
    async with cell.custodian() as custodian, cell.desk() as desk:
        await custodian.prepare()
        tenant = await custodian.add_tenant()
        record = await connect(desk, _page(tenant, "31"))
        await custodian.connection.execute(
            "UPDATE mk.consent SET state = 'withdrawn', since = clock_timestamp() WHERE account_id = $1",
            record.account,
        )
        await custodian.duties.full_pass()
        async with cell.view() as view:
            assert view.accounts[record.account].consent.state == "withdrawn"


async def test_a_tenant_is_added_once_and_only_with_a_custodian(cell: Cell) -> None:
    async with cell.custodian() as custodian, cell.desk() as desk:
        await custodian.prepare()
        hurried = Desk(desk.settings.model_copy(update={"timeout_s": 0.2}), desk.connection)
        with pytest.raises(TenantNotReady):
            await add_tenant(hurried, "acme")
        with pytest.raises(NameTaken):
            await add_tenant(hurried, "acme")
        with pytest.raises(UnknownName):
            await desk.tenant("nobody")
        with pytest.raises(UnknownName):
            await disconnect(desk, uuid4())


async def test_what_a_stranger_displaces_or_puts_back_on_control_is_announced_again(cell: Cell) -> None:
    """Without a key: a removal nobody signed, which compaction would obey, and an old record that was signed once."""
    async with cell.custodian() as custodian, cell.desk() as desk:
        await custodian.prepare()
        tenant = await custodian.add_tenant()
        kept, gone = await connect(desk, _page(tenant, "81")), await connect(desk, _page(tenant, "82"))
        withdrawn = await disconnect(desk, gone.account)
        assert withdrawn.said_at > gone.said_at
        await custodian.duties.full_pass()
        operator = load_signer("operator", cell.keys / "operator" / "signing.key", "key")
        key, value, headers = encode(gone, operator)
        producer = Producer(cell.kafka, "stranger", tls=cell.tls("admin"))
        await producer.start()
        try:
            unsigned = await producer.send(CONTROL, None, key=kept.record_id.encode(), partition=0)
            await acknowledged(unsigned)
            old = await producer.send(CONTROL, value, key=key, headers=headers, partition=0)
            after = (await acknowledged(old)).offset
        finally:
            await producer.stop()
        assert await custodian.duties.full_pass()
        said = await _last_on_control(cell, after + 1)
        assert {key for key, value in said if value} >= {kept.record_id.encode(), key}
        async with cell.view() as view:
            assert view.accounts[gone.account].consent.state == "withdrawn"
            assert view.accounts_named(IdKind.PAGE, "81")[0].account == kept.account
        before = len(await _last_on_control(cell, after + 1))
        assert await custodian.duties.full_pass()
        assert len(await _last_on_control(cell, after + 1)) == before


async def _last_on_control(cell: Cell, first: int) -> list[tuple[bytes, bytes | None]]:
    """Key and value of each record from there on."""
    at = TopicPartition(CONTROL, 0)
    reader = consumer(cell.kafka, "test-control", group=None, tls=cell.tls("router"))
    await reader.start()
    try:
        reader.assign([at])
        reader.seek(at, first)
        end = (await reader.end_offsets([at]))[at]
        found: list[tuple[bytes, bytes | None]] = []
        while await reader.position(at) < end:
            for records in (await reader.getmany(at, timeout_ms=300)).values():
                found += [(record.key, record.value) for record in records]
        return found
    finally:
        await reader.stop()
