"""Identifiers of one person that become known as such late: after one of them was erased."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from store.erasure.execution import joins
from tests.integration.store.cell import alias, event, seconds
from tests.privacy.erasure.executors.acting import Acting

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def ago(number: float) -> datetime:
    return datetime.now(UTC) - seconds(number)


def later() -> datetime:
    """Strictly later than the second of a watermark set now."""
    return datetime.now(UTC) + seconds(2)


async def erase(acting: Acting, *names: str) -> UUID:
    """By these identifiers."""
    request = acting.job("subject", "operator", pseudonyms=[alias(name) for name in names])
    await acting.execute(request)
    return request


def subject(acting: Acting, name: str) -> UUID:
    found: UUID = acting.keys.cell.subjects(acting.tenant)[alias(name)]["subject_id"]
    return found


async def test_what_the_new_identifier_wrote_before_the_erasure_goes_and_what_came_after_stays(
    acting: Acting,
) -> None:
    write, tenant = acting.keys.cell.write, acting.tenant
    undated = event("new", undated=True, received=ago(50))
    await write(tenant, event("old", at=ago(60)), event("new", at=ago(60), received=ago(60)), undated)
    await erase(acting, "old")
    after = event("new", at=later(), received=later())
    await write(tenant, after)
    await write(tenant, event("new", "old", kind="identity.changed", at=later(), received=later()))
    assert len(acting.texts()) == 4
    (request,) = await acting.admit_joins()
    assert sorted(acting.texts()) == ["identity.changed", "message.received"]
    old, new = (acting.keys.cell.subjects(tenant)[alias(name)] for name in ("old", "new"))
    assert (new["watermark"], new["executed_at"]) == (old["watermark"], old["executed_at"])
    assert (new["wrapped_dek"] is not None, new["generation"], new["rekey"]) == (True, 1, True)
    assert acting.sql("SELECT count(*) FROM {s}.join_request")[0][0] == 0
    (step,) = await acting.execute(request)
    assert step.rows_deleted == 2
    assert step.fence is not None
    assert step.fence.pseudonyms == (alias("new").hex(),)
    assert (step.fence.generation, step.fence.undated) == (0, (undated.event_id.hex,))
    # And it stays gone: a replay of either, and of what has no time.
    replays = (event("new", at=ago(60), received=later()), undated._replace(received_at=later()))
    assert (await write(tenant, *replays)).fenced == 2
    assert acting.audited(request) == ["erasure.received", "erasure.executing", "join.executed"]


async def test_whoever_has_nothing_later_loses_the_key_at_once(acting: Acting) -> None:
    write, tenant = acting.keys.cell.write, acting.tenant
    await write(tenant, event("old", at=ago(60)), event("new", at=ago(60), received=ago(60)))
    await erase(acting, "old")
    await write(tenant, event("new", "old", kind="identity.changed", at=ago(30)))
    (request,) = await acting.admit_joins()
    row = acting.keys.cell.subjects(tenant)[alias("new")]
    assert (row["wrapped_dek"], row["generation"], row["erased_through_gen"]) == (None, 2, 1)
    assert acting.texts() == []
    (step,) = await acting.execute(request)
    assert step.fence is not None
    assert step.fence.generation == 1


async def test_the_larger_watermark_of_two_erased_goes_for_both_and_subjects_stay_apart(
    acting: Acting,
) -> None:
    write, tenant = acting.keys.cell.write, acting.tenant
    await write(tenant, event("old", at=ago(60)), event("new", at=ago(60)))
    await erase(acting, "old")
    await erase(acting, "new")
    marks = {acting.keys.cell.subjects(tenant)[alias(name)]["executed_at"] for name in ("old", "new")}
    assert len(marks) == 2
    await write(tenant, event("new", "old", kind="identity.changed", at=later(), received=later()))
    assert len(await acting.admit_joins()) == 1
    rows = [acting.keys.cell.subjects(tenant)[alias(name)] for name in ("old", "new")]
    assert {row["executed_at"] for row in rows} == {max(marks)}
    assert rows[0]["subject_id"] != rows[1]["subject_id"]


async def test_a_join_taken_twice_is_one_request_and_one_effect(acting: Acting) -> None:
    write, tenant = acting.keys.cell.write, acting.tenant
    await write(tenant, event("old", at=ago(60)), event("new", at=ago(60), received=ago(60)))
    await erase(acting, "old")
    await write(tenant, event("new", at=later(), received=later()))
    await write(tenant, event("new", "old", kind="identity.changed", at=later(), received=later()))
    (row,) = acting.sql("SELECT * FROM {s}.join_request")
    (request,) = await acting.admit_joins()
    assert request == joins.join_request_id(row["event_id"], row["kept"], row["joined"], row["created_at"])
    acting.sql(
        "INSERT INTO {s}.join_request (event_id, kept, joined, created_at) VALUES ($1, $2, $3, $4)",
        *list(row)[1:],
    )
    assert await acting.admit_joins() == []
    before = acting.texts()
    await acting.execute(request)
    assert acting.texts() == before
    # Put back from a backup, the same link is a join again.
    again = joins.join_request_id(
        row["event_id"], row["kept"], row["joined"], row["created_at"] + timedelta(microseconds=1)
    )
    assert again != request


async def test_a_number_change_seen_late_and_an_erasure_by_the_old_one_reach_everybody(
    acting: Acting,
) -> None:
    """Old number, new number and BSUID were three subjects; links that came late make them one person to erase."""
    write, tenant = acting.keys.cell.write, acting.tenant
    await write(tenant, event("old"), event("new"), event("bsuid"))
    await write(tenant, event("new", "old", kind="identity.changed"))
    await write(tenant, event("bsuid", "new"))
    assert len({subject(acting, name) for name in ("old", "new", "bsuid")}) == 3
    await erase(acting, "old")
    assert acting.texts() == []
    assert {row["wrapped_dek"] for row in acting.keys.cell.subjects(tenant).values()} == {None}


async def test_a_join_that_took_effect_takes_none_again_whatever_became_of_the_fence(acting: Acting) -> None:
    write, tenant = acting.keys.cell.write, acting.tenant
    await write(tenant, event("old", at=ago(60)), event("new", at=ago(60), received=ago(60)))
    await erase(acting, "old")
    await write(tenant, event("new", "old", kind="identity.changed", at=ago(30)))
    (request,) = await acting.admit_joins()
    await write(tenant, event("new", at=later(), received=later()))
    # A stricter fence of one of the two, which the other does not have yet: it has a request of its own.
    await acting.keys.cell.erase(tenant, "old", watermark=later() + seconds(60))
    before = acting.keys.cell.subjects(tenant)[alias("new")]
    steps = await acting.execute(request)
    assert steps == await acting.execute(request)
    assert acting.keys.cell.subjects(tenant)[alias("new")] == before
    assert acting.texts() == ["message.received"]
