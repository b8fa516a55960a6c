"""Under the tenant's lock: each rule of PRIVACY.md section 3 that somebody was seen to come back without."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import pytest

from store.erasure.equipment import Step
from store.lanes.database import connect
from store.lanes.queries import lock_number
from tests.integration.store.cell import Cell, alias, event, seconds
from tests.support.eraser import Eraser
from tests.support.waiting import until
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def later() -> datetime:
    """Strictly later than the second of a watermark set now."""
    return datetime.now(UTC) + seconds(2)


def shredded(cell: Cell, tenant: Tenant, *names: str) -> set[bool]:
    """Whether those people's keys are gone."""
    subjects = cell.subjects(tenant)
    return {subjects[alias(name)]["wrapped_dek"] is None for name in names}


async def test_the_key_goes_with_everything_that_could_bring_it_back(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    await cell.write(tenant, event("ana"), event("ana"), event("bia"))
    cell.world.sql(
        f"UPDATE {tenant.schema}.subject SET generation = 2, rekey = true, rekey_from = wrapped_dek, rekey_from_gen = 1,"
        " rekey_from_epoch = dek_epoch WHERE subject_id = (SELECT subject_id FROM"
        f" {tenant.schema}.alias WHERE pseudonym = $1)",
        alias("ana"),
    )
    began = datetime.now(UTC)
    request = await eraser.erase(tenant, "ana")
    row = cell.subjects(tenant)[alias("ana")]
    assert (row["generation"], row["erased_through_gen"]) == (3, 2)
    gone = ("wrapped_dek", "dek_epoch", "rekey_from", "rekey_from_gen", "rekey_from_epoch")
    assert [row[name] for name in gone] == [None] * 5
    assert row["rekey"] is False
    assert began <= row["executed_at"] <= row["watermark"]
    (step,) = eraser.steps(tenant, request)
    assert (step["subject_id"], step["erased_through_gen"], step["rows_deleted"]) == (row["subject_id"], 2, 2)
    assert [one["subject_id"] for one in cell.world.rows(tenant)] == [
        cell.subjects(tenant)[alias("bia")]["subject_id"]
    ]


async def test_the_same_request_again_does_not_destroy_what_was_written_since(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    await cell.write(tenant, event("ana"))
    request = await eraser.ask(tenant, "ana")
    await eraser.drive(request)
    await cell.write(tenant, event("ana", at=later(), received=later()))
    again = await eraser.ask(tenant, "ana", request=request)
    assert again == request
    # As after a restore that lost the job's end: the steps are there, the job begins anew.
    cell.world.sql(
        "UPDATE mk.erasure_request SET state = 'decided', told_state = 'decided' WHERE request_id = $1",
        request,
    )
    cell.world.sql(f"DELETE FROM {tenant.schema}.erasure_wait")
    await eraser.drive(request)
    row = cell.subjects(tenant)[alias("ana")]
    assert (row["generation"], row["erased_through_gen"], row["wrapped_dek"] is None) == (2, 1, False)
    assert len(cell.world.rows(tenant)) == 1


async def test_a_request_that_took_effect_goes_no_further_than_it_could_then(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    await cell.write(tenant, event("ana"))
    request = await eraser.erase(tenant, "ana")
    await cell.write(tenant, event("ana", "new-name", at=later(), received=later()), event("other"))
    await cell.write(tenant, event("new-name", "other", at=later(), received=later()))
    cell.world.sql(
        "UPDATE mk.erasure_request SET state = 'decided', told_state = 'decided' WHERE request_id = $1",
        request,
    )
    cell.world.sql(f"DELETE FROM {tenant.schema}.erasure_wait")
    await eraser.drive(request)
    assert shredded(cell, tenant, "ana", "new-name", "other") == {False}
    assert len(eraser.steps(tenant, request)) == 1


async def test_somebody_nobody_knows_is_fenced_before_they_are_seen(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    backlog = event("ana", "ana-by-phone"), event("ana-by-phone", at=later())
    await eraser.erase(tenant, "ana", "ana-by-phone")
    subjects = cell.subjects(tenant)
    assert subjects[alias("ana")]["subject_id"] == subjects[alias("ana-by-phone")]["subject_id"]
    assert (await cell.write(tenant, *backlog)).fenced == 2
    assert (await cell.write(tenant, event("ana", at=later(), received=later()))).stored == 1


async def test_a_name_nobody_knows_becomes_the_known_persons(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    await cell.write(tenant, event("ana"))
    backlog = event("ana-by-phone")
    await eraser.erase(tenant, "ana-by-phone", "ana")
    subjects = cell.subjects(tenant)
    assert subjects[alias("ana")]["subject_id"] == subjects[alias("ana-by-phone")]["subject_id"]
    assert (await cell.write(tenant, backlog)).fenced == 1


async def test_everybody_behind_a_link_goes_too(cell: Cell, tenant: Tenant, eraser: Eraser) -> None:
    await cell.write(tenant, event("phone"), event("psid"), event("bsuid"), event("stranger"))
    await cell.write(tenant, event("phone", "psid"), event("psid", "bsuid"))
    request = await eraser.erase(tenant, "bsuid")
    assert shredded(cell, tenant, "phone", "psid", "bsuid") == {True}
    assert shredded(cell, tenant, "stranger") == {False}
    assert len(eraser.steps(tenant, request)) == 3


async def test_two_people_that_one_request_names_are_linked_not_merged(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    await cell.write(tenant, event("phone"), event("psid"))
    await eraser.erase(tenant, "phone", "psid")
    assert cell.people(tenant) == (2, 2)
    links = cell.world.sql(f"SELECT low, high FROM {tenant.schema}.same_person")
    assert {frozenset(link) for link in links} == {
        frozenset(row["subject_id"] for row in cell.subjects(tenant).values())
    }


async def test_the_watermark_is_not_before_the_newest_event(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    soon = datetime.now(UTC) + seconds(120)
    newest = event("ana", at=soon)
    await cell.write(tenant, newest, event("ana"))
    await eraser.erase(tenant, "ana")
    assert cell.subjects(tenant)[alias("ana")]["watermark"] == soon.replace(microsecond=0)
    # First received after the erasure, as a replay of a lost raw record would be.
    assert (await cell.write(tenant, event("ana", at=soon, received=later()))).fenced == 1


async def test_a_clock_that_goes_back_opens_nothing(cell: Cell, tenant: Tenant, eraser: Eraser) -> None:
    await cell.write(tenant, event("ana"))
    ahead = datetime.now(UTC) + seconds(3_600)
    await cell.erase(tenant, "ana", watermark=ahead)
    cell.world.sql(f"UPDATE {tenant.schema}.subject SET executed_at = $1", ahead)
    request = await eraser.erase(tenant, "ana")
    row = cell.subjects(tenant)[alias("ana")]
    assert (row["watermark"], row["executed_at"]) == (ahead, ahead)
    (step,) = eraser.steps(tenant, request)
    assert (step["watermark"], step["executed_at"]) == (ahead, ahead)


async def test_rows_without_a_time_leave_tombstones_of_their_ids(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    undated = event("ana", undated=True, native="a comment")
    await cell.write(tenant, undated, event("ana"))
    await eraser.erase(tenant, "ana")
    tombstones = cell.world.sql(f"SELECT kind, ref, expires_at FROM {tenant.schema}.tombstone")
    assert [(one["kind"], one["ref"]) for one in tombstones] == [("e", undated.event_id.bytes)]
    assert tombstones[0]["expires_at"] > datetime.now(UTC) + seconds(229 * 86_400)
    await cell.write(tenant, event("ana", at=later(), received=later()))
    again = event("ana", undated=True, native="a comment", received=later())
    assert again.event_id == undated.event_id
    assert (await cell.write(tenant, again)).fenced == 1


async def test_an_old_edit_that_names_nobody_is_not_stored_for_the_account_instead(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    await cell.write(tenant, event("ana", ref="m1"), event("ana", kind="reaction.changed", ref="m1"))
    await eraser.erase(tenant, "ana")
    edit = event(kind="message.edited", ref="m1", text=b'{"text":"what ana wrote"}', received=later())
    ended = await cell.write(tenant, edit)
    assert (ended.stored, ended.fenced) == (0, 1)
    assert cell.world.rows(tenant) == []


async def test_what_a_person_writes_after_the_erasure_is_not_deleted_with_the_rest(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    await cell.write(tenant, event("ana"), event("ana"))
    request = await eraser.ask(tenant, "ana")
    await eraser.drive(request, killed_at=Step.EXECUTED)
    assert len(cell.world.rows(tenant)) == 2
    await cell.write(tenant, event("ana", at=later(), received=later()))
    await eraser.drive(request)
    assert [row["generation"] for row in cell.world.rows(tenant)] == [2]
    assert [step["rows_deleted"] for step in eraser.steps(tenant, request)] == [2]


async def test_what_a_writer_committed_while_the_lock_was_waited_for_is_erased_too(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    request = await eraser.ask(tenant, "ana")
    writer = await connect(cell.dsn("mk_store"))
    try:
        async with writer.transaction():
            await writer.execute(f'SET LOCAL ROLE "{tenant.schema}"')
            await writer.execute(f"SELECT pg_advisory_xact_lock_shared({lock_number(tenant.tenant)})")
            erasing = asyncio.create_task(eraser.drive(request))
            await _waits_for_lock(cell)
            subject = UUID(int=7)
            await writer.execute(
                f"INSERT INTO {tenant.schema}.subject (subject_id, wrapped_dek, dek_epoch) VALUES ($1, $2, 1)",
                subject,
                b"w" * 60,
            )
            await writer.execute(f"INSERT INTO {tenant.schema}.alias VALUES ($1, $2)", alias("ana"), subject)
            committed = await writer.fetchval("SELECT clock_timestamp()")
        await erasing
    finally:
        await writer.close()
    row = cell.subjects(tenant)[alias("ana")]
    assert (row["subject_id"], row["wrapped_dek"], row["generation"]) == (subject, None, 2)
    # The moment is read under the lock, with the clock: what was received while it waited is before it.
    assert row["executed_at"] > committed
    assert row["watermark"] > committed


async def _waits_for_lock(cell: Cell) -> None:
    await until(cell.world.waiting_for_locks, "somebody to wait for the tenant's lock")
