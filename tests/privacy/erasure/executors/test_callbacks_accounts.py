"""Which accounts a callback is about: those that its administrator had connected by then, and none that came while it waits."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from store.erasure.endings import NotYet
from store.erasure.execution import callback
from store.erasure.execution.callback import account_request_id
from store.erasure.jobs import load_job
from tests.privacy.erasure.executors.acting import Acting

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

ADMINISTRATOR = bytes(range(32))
HOUR = timedelta(hours=1)


def connect(acting: Acting, account: UUID) -> None:
    """The administrator's, connected now."""
    acting.said(account, "active")
    acting.sql("INSERT INTO mk.account_id VALUES ($1, 'app_scoped_user', $2)", account, ADMINISTRATOR.hex())


async def look(acting: Acting, request: UUID) -> set[UUID]:
    """The callback's turn while its accounts' erasures wait; the requests that there are for accounts."""
    async with acting.tools() as tools:
        with pytest.raises(NotYet):
            await callback.execute(tools, await load_job(tools.connection, request))
    return {row[0] for row in acting.sql("SELECT request_id FROM mk.erasure_request WHERE kind = 'account'")}


async def test_an_account_connected_while_a_callback_waits_for_others_is_not_erased(acting: Acting) -> None:
    before, came_back = UUID(int=21), UUID(int=22)
    connect(acting, before)
    request = acting.job(
        "callback", "deauthorized", asked_by="ingest", tenant_id=None, pseudonyms=[ADMINISTRATOR]
    )
    wanted = {account_request_id(request, before)}
    assert await look(acting, request) == wanted
    connect(acting, came_back)
    acting.sql(
        "UPDATE mk.account SET connected_at = clock_timestamp() + $2 WHERE account_id = $1",
        came_back,
        timedelta(hours=1),
    )
    assert await look(acting, request) == wanted


async def test_an_account_connected_after_a_callback_was_issued_is_not_meant_however_late_it_arrives(
    acting: Acting,
) -> None:
    """Meta tried again for an hour; our clock is some seconds ahead of Meta's."""
    issued, received = datetime.now(UTC).replace(microsecond=0) - HOUR, datetime.now(UTC)
    accounts = {
        UUID(int=31): issued - HOUR,
        UUID(int=32): issued + timedelta(seconds=5),
        UUID(int=33): issued + timedelta(seconds=12),
        UUID(int=34): received - timedelta(seconds=1),
    }
    for account, at in accounts.items():
        connect(acting, account)
        acting.sql("UPDATE mk.account SET connected_at = $2 WHERE account_id = $1", account, at)
    request = acting.job(
        "callback",
        "deauthorized",
        asked_by="ingest",
        tenant_id=None,
        pseudonyms=[ADMINISTRATOR],
        requested_at=issued,
        received_at=received,
    )
    found = await look(acting, request)
    assert [account.int for account in accounts if account_request_id(request, account) in found] == [31, 32]
