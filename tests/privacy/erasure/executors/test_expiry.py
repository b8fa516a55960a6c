"""Suppression data ends in its own time, and not a day before; who is back, blocked or waited for is not forgotten."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from store.erasure.expiry import Expired, expire_requests, expire_tenant
from tests.integration.store.cell import alias, event, seconds
from tests.privacy.erasure.executors.acting import Acting

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

DAYS_229, DAYS_231 = timedelta(days=229), timedelta(days=231)


async def expire(acting: Acting) -> Expired:
    async with acting.tools() as tools:
        return await expire_tenant(tools.connection, await acting.schema(tools))


def age(acting: Acting, by: timedelta) -> None:
    """Everything happened that much earlier."""
    acting.sql(
        "UPDATE {s}.subject SET watermark = watermark - $1::interval, executed_at = executed_at - $1::interval",
        by,
    )
    acting.sql("UPDATE {s}.subject SET key_lost_at = key_lost_at - $1::interval", by)
    acting.sql("UPDATE {s}.erasure_step SET executed_at = executed_at - $1::interval", by)
    acting.sql("UPDATE {s}.tombstone SET expires_at = expires_at - $1::interval", by)
    acting.sql("UPDATE mk.erasure_request SET executed_at = executed_at - $1::interval", by)


async def erased(acting: Acting, name: str, state: str = "answered") -> UUID:
    request = acting.job("subject", "operator", pseudonyms=[alias(name)])
    await acting.execute(request)
    acting.sql("UPDATE mk.erasure_request SET state = $2 WHERE request_id = $1", request, state)
    return request


async def test_a_fence_lasts_its_time_and_then_everything_of_it_goes(acting: Acting) -> None:
    await acting.keys.cell.write(acting.tenant, event("ana"), event("ana", undated=True))
    request = await erased(acting, "ana")
    acting.sql("INSERT INTO {s}.erasure_wait VALUES ($1, 0, 5)", request)
    age(acting, DAYS_229)
    assert await expire(acting) == Expired()
    assert acting.sql("SELECT count(*) FROM {s}.tombstone")[0][0] == 1
    age(acting, DAYS_231 - DAYS_229)
    assert await expire(acting) == Expired(tombstones=1, steps=1, forgotten=1)
    for table in ("tombstone", "erasure_step", "erasure_wait", "alias", "subject"):
        assert acting.sql(f"SELECT count(*) FROM {{s}}.{table}")[0][0] == 0
    async with acting.tools() as tools:
        assert await expire_requests(tools.connection) == 1
        assert await expire_requests(tools.connection) == 0
    assert acting.sql("SELECT pseudonyms FROM mk.erasure_request")[0][0] == []


async def test_whoever_lost_the_key_with_an_account_is_forgotten_as_late_as_a_fence(acting: Acting) -> None:
    gone = UUID(int=7)
    await acting.keys.cell.write(
        acting.tenant, *(event(name, account=gone) for name in ("ana", "bia", "caio")), event("davi")
    )
    acting.said(gone, "withdrawn")
    await acting.execute(acting.job("account", "account_removed", account_id=gone))
    await acting.keys.cell.write(acting.tenant, event("bia"))
    await acting.execute(acting.job("subject", "operator", pseudonyms=[alias("caio")]))
    age(acting, DAYS_229)
    assert await expire(acting) == Expired()
    age(acting, DAYS_231 - DAYS_229)
    # Ana, Caio, and the subject that stands for nobody's events has no row here; Bia came back by another account.
    ended = await expire(acting)
    assert (ended.forgotten, ended.lifted) == (2, 1)
    subjects = acting.keys.cell.subjects(acting.tenant)
    assert set(subjects) == {alias("bia"), alias("davi")}
    assert (subjects[alias("bia")]["key_lost_at"], subjects[alias("bia")]["wrapped_dek"] is None) == (
        None,
        False,
    )
    assert await expire(acting) == Expired()


async def test_who_came_back_keeps_what_came_since_and_loses_the_fence(acting: Acting) -> None:
    await acting.keys.cell.write(acting.tenant, event("ana"))
    await erased(acting, "ana")
    back = datetime.now(UTC) + seconds(2)
    await acting.keys.cell.write(acting.tenant, event("ana", at=back, received=back))
    age(acting, DAYS_231)
    assert (await expire(acting)).lifted == 1
    row = acting.keys.cell.subjects(acting.tenant)[alias("ana")]
    assert (row["watermark"], row["executed_at"], row["wrapped_dek"] is not None) == (None, None, True)
    assert len(acting.texts()) == 1


async def test_nobody_blocked_and_no_request_that_is_not_over_is_forgotten(acting: Acting) -> None:
    request = await erased(acting, "ana", "executing")
    acting.sql("INSERT INTO {s}.erasure_wait VALUES ($1, 0, 5)", request)
    acting.sql("UPDATE {s}.subject SET blocked = true")
    age(acting, DAYS_231)
    assert await expire(acting) == Expired()
    assert acting.sql("SELECT count(*) FROM {s}.erasure_step")[0][0] == 1
    assert acting.sql("SELECT count(*) FROM {s}.erasure_wait")[0][0] == 1
    assert len(acting.keys.cell.subjects(acting.tenant)) == 1
