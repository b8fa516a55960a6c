"""An account's erasure waits until control says that its consent is withdrawn; the custodian says it for the job row."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from aiokafka import TopicPartition

from contracts.control import IdKind
from contracts.erasure_requests import AccountRequest, parse_request, request_id
from contracts.hybrid import HybridPrivateKey
from contracts.sealing import RecordOpener
from contracts.topics import ERASURE_REQUESTS
from runtime.kafka.clients import consumer
from store.custody.cli_account import Connect, connect, disconnect
from store.custody.withdrawals import Withdrawals, withdraw
from tests.integration.custody.conftest import Cell, Custodian

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def _page(tenant: UUID, page: str) -> Connect:
    return Connect(str(tenant), "messenger", [(IdKind.PAGE, page)], "M. Silva", "contract-17")


async def job(cell: Cell, tenant: UUID, account: UUID, state: str = "decided") -> None:
    """A job row as the erasure consumer writes it."""
    async with cell.connection("mk_erasure") as connection:
        await connection.execute(
            "INSERT INTO mk.erasure_request (request_id, tenant_id, kind, origin, asked_by, state, account_id,"
            " requested_at, received_at) VALUES ($1, $2, 'account', 'account_removed', 'router', $3, $4, $5, $5)",
            uuid4(),
            tenant,
            state,
            account,
            datetime.now(UTC),
        )


async def consents(cell: Cell) -> dict[UUID, str]:
    """What control says of each account."""
    async with cell.view() as view:
        return {account: record.consent.state for account, record in view.accounts.items()}


async def test_a_job_row_withdraws_the_consent_and_control_says_so(cell: Cell) -> None:
    async with cell.custodian() as custodian, cell.desk() as desk:
        await custodian.prepare()
        mine, other = await custodian.add_tenant(), await custodian.add_tenant()
        accounts = [(await connect(desk, _page(mine, page))).account for page in ("11", "12", "13")]
        await job(cell, mine, accounts[0])
        await job(cell, other, accounts[1])
        await job(cell, mine, accounts[2], "refused")
        await custodian.duties.quick_pass()
        # The second was asked for by a tenant whose account it is not; the third request is over.
        assert list((await consents(cell)).values()) == ["withdrawn", "active", "active"]


async def test_a_custodian_killed_before_control_knows_says_it_when_it_comes_back(cell: Cell) -> None:
    async with cell.custodian() as custodian, cell.desk() as desk:
        await custodian.prepare()
        tenant = await custodian.add_tenant()
        account = (await connect(desk, _page(tenant, "21"))).account
        await job(cell, tenant, account)
        await withdraw(custodian.connection, account, "custodian")
        assert await consents(cell) == {account: "active"}
        duty = Withdrawals(custodian.connection, custodian.tools.publisher)
        assert await duty.tend() == 1
        assert await consents(cell) == {account: "withdrawn"}


async def test_disconnecting_asks_for_the_erasure_of_what_the_account_brought_once(cell: Cell) -> None:
    async with cell.custodian() as custodian, cell.desk() as desk:
        await custodian.prepare()
        tenant = await custodian.add_tenant()
        record = await connect(desk, _page(tenant, "41"))
        before = await ends(cell)
        await disconnect(desk, record.account)
        await disconnect(desk, record.account)
        asked = await requests(cell, custodian, before)
        assert [one.account for one in asked] == [record.account] * 2
        assert {one.request for one in asked} == {request_id("account", record.consent.proof_ref)}
        assert {(one.reason, one.tenant) for one in asked} == {("consent_withdrawn", tenant)}


async def ends(cell: Cell) -> dict[TopicPartition, int]:
    """Where the topic of requests ends now."""
    reader = consumer(cell.kafka, "test-requests", group=None, tls=cell.tls("erasure"))
    await reader.start()
    try:
        found = await reader.end_offsets([TopicPartition(ERASURE_REQUESTS, number) for number in range(4)])
        return dict(found)
    finally:
        await reader.stop()


async def requests(
    cell: Cell, custodian: Custodian, since: dict[TopicPartition, int]
) -> list[AccountRequest]:
    """What erasure finds on its topic from there on, opened with its key."""
    secrets = cell.secrets("erasure")

    def private(key_id: bytes) -> HybridPrivateKey | None:
        name = f"transport-{key_id.hex()}"
        return HybridPrivateKey.from_bytes(secrets.get(name)) if name in secrets.names() else None

    until = await ends(cell)
    found: list[AccountRequest] = []
    async with cell.view() as view:
        opener = RecordOpener(private, view.signer)
        reader = consumer(cell.kafka, "test-requests", group=None, tls=cell.tls("erasure"))
        await reader.start()
        try:
            reader.assign(list(since))
            for at, offset in since.items():
                reader.seek(at, offset)
            while any([await reader.position(at) < until[at] for at in since]):
                for records in (await reader.getmany(timeout_ms=300)).values():
                    for record in records:
                        opened = opener.open(
                            record.topic,
                            record.value,
                            tuple(record.headers),
                            broker_time_s=record.timestamp / 1000,
                        )
                        request = parse_request(opened.plaintext)
                        assert isinstance(request, AccountRequest)
                        found.append(request)
        finally:
            await reader.stop()
    return found
