"""`mk.apply_fence` on a database that was restored: who was erased is erased again, and nobody else is touched."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.fences import Fence, kept
from tests.integration.store.cell import ACCOUNT, Cell, alias, event, seconds
from tests.integration.store.fencing import apply, fence
from tests.support.waiting import until
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def later() -> datetime:
    """Strictly later than the second of a watermark set now."""
    return datetime.now(UTC) + seconds(2)


def counted(cell: Cell, query: str, *arguments: object) -> int:
    """One number out of the database."""
    return int(cell.world.sql(query, *arguments)[0][0])


async def test_a_person_who_is_back_by_a_restore_is_erased_again(cell: Cell, tenant: Tenant) -> None:
    await cell.write(tenant, event("ana"), event("ana"), event("bia"))
    subject = cell.subjects(tenant)[alias("ana")]["subject_id"]
    made = fence(tenant, "ana", subject=subject)
    assert await apply(cell, made) == ("applied", 1)
    row = cell.subjects(tenant)[alias("ana")]
    assert (row["generation"], row["erased_through_gen"], row["wrapped_dek"], row["dek_epoch"]) == (
        2,
        1,
        None,
        None,
    )
    assert row["watermark"] is not None
    assert row["executed_at"] is not None
    assert cell.world.row_count(tenant) == 1
    assert cell.subjects(tenant)[alias("bia")]["wrapped_dek"] is not None
    step = cell.world.sql(f"SELECT * FROM {tenant.schema}.erasure_step WHERE request_id = $1", made.request)
    assert [
        (one["rows_deleted"], one["deleted_at"] is not None, one["fence"] is not None) for one in step
    ] == [(2, True, True)]
    told = cell.world.sql("SELECT convert_from(entry, 'UTF8') FROM mk.audit_entry ORDER BY id DESC LIMIT 1")[
        0
    ][0]
    assert '"fence.applied"' in told
    assert str(made.request) in told
    old = datetime.now(UTC) - seconds(60)
    assert (await cell.write(tenant, event("ana", at=old))).fenced == 1


async def test_a_person_younger_than_the_backup_is_fenced_before_they_come(
    cell: Cell, tenant: Tenant
) -> None:
    assert await apply(cell, fence(tenant, "new", "new-by-phone")) == ("applied", 1)
    old = datetime.now(UTC) - seconds(60)
    assert (await cell.write(tenant, event("new", at=old), event("new-by-phone", at=old))).fenced == 2
    assert (await cell.write(tenant, event("new", at=later(), received=later()))).stored == 1
    assert cell.subjects(tenant)[alias("new-by-phone")]["generation"] == 2


async def test_an_old_fence_does_not_kill_a_returned_persons_key(cell: Cell, tenant: Tenant) -> None:
    await cell.write(tenant, event("ana"))
    made = fence(tenant, "ana", subject=cell.subjects(tenant)[alias("ana")]["subject_id"])
    await apply(cell, made)
    await cell.write(tenant, event("ana", at=later(), received=later()))
    assert await apply(cell, made) == ("known", 1)
    cell.world.sql(f"DELETE FROM {tenant.schema}.erasure_step")
    assert await apply(cell, made) == ("applied", 1)
    row = cell.subjects(tenant)[alias("ana")]
    assert (row["generation"], row["erased_through_gen"]) == (2, 1)
    assert row["wrapped_dek"] is not None
    assert [message["generation"] for message in cell.world.rows(tenant)] == [2]


async def test_two_fences_of_one_person_leave_only_what_came_after_both(cell: Cell, tenant: Tenant) -> None:
    await cell.write(tenant, event("ana"))
    subject = cell.subjects(tenant)[alias("ana")]["subject_id"]
    await apply(cell, fence(tenant, "ana", subject=subject))
    await apply(cell, fence(tenant, "ana", subject=subject, generation=2))
    row = cell.subjects(tenant)[alias("ana")]
    assert (row["generation"], row["erased_through_gen"], row["wrapped_dek"]) == (3, 2, None)
    # An older one that comes after them, as it does where two topics were written together, loosens neither.
    early = datetime.now(UTC) - seconds(60)
    await apply(cell, fence(tenant, "ana", subject=subject, at=early))
    assert cell.subjects(tenant)[alias("ana")] == row
    # Nor does it number the key of somebody who is back, which a rekey has replaced since.
    await cell.write(tenant, event("ana", at=later(), received=later()))
    cell.world.sql(f"UPDATE {tenant.schema}.subject SET generation = 5")
    back = cell.subjects(tenant)[alias("ana")]
    await apply(cell, fence(tenant, "ana", subject=subject, at=early))
    assert cell.subjects(tenant)[alias("ana")] == back


async def test_a_key_that_a_rekey_replaced_since_the_restore_goes_as_well(cell: Cell, tenant: Tenant) -> None:
    await cell.write(tenant, event("ana"))
    subject = cell.subjects(tenant)[alias("ana")]["subject_id"]
    s = tenant.schema
    cell.world.sql(
        f"UPDATE {s}.subject SET rekey_from = wrapped_dek, rekey_from_gen = 1, rekey_from_epoch = dek_epoch, generation = 2"
    )
    cell.world.sql(f"UPDATE {s}.message SET generation = 2")
    assert await apply(cell, fence(tenant, "ana", subject=subject)) == ("applied", 1)
    row = cell.subjects(tenant)[alias("ana")]
    assert (row["generation"], row["erased_through_gen"]) == (3, 2)
    assert (row["wrapped_dek"], row["rekey_from"], row["rekey_from_gen"], row["rekey"]) == (
        None,
        None,
        None,
        False,
    )
    assert cell.world.row_count(tenant) == 0


async def test_aliases_that_were_joined_after_the_backup_are_several_subjects_and_all_go(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.write(tenant, event("phone"), event("psid"), event("other"))
    made = fence(tenant, "phone", "psid", "bsuid", subject=uuid4(), generation=4)
    assert await apply(cell, made) == ("applied", 1)
    subjects = cell.subjects(tenant)
    for name in ("phone", "psid", "bsuid"):
        assert subjects[alias(name)]["wrapped_dek"] is None
    assert subjects[alias("other")]["wrapped_dek"] is not None
    assert cell.world.row_count(tenant) == 1
    assert counted(cell, f"SELECT count(*) FROM {tenant.schema}.same_person") == 1
    assert (
        counted(
            cell, f"SELECT count(*) FROM {tenant.schema}.erasure_step WHERE request_id = $1", made.request
        )
        == 3
    )


async def test_generations_of_a_subject_that_the_fence_does_not_number_are_judged_by_time(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.write(tenant, event("ana"), event("bia"))
    before, between = datetime.now(UTC) - seconds(60), datetime.now(UTC) - seconds(30)
    for name, at in (("ana", before), ("bia", datetime.now(UTC))):
        await apply(
            cell, fence(tenant, name, subject=cell.subjects(tenant)[alias(name)]["subject_id"], at=at)
        )
        await cell.write(tenant, event(name, at=later(), received=later()))
    await apply(cell, fence(tenant, "ana", "bia", at=between))
    subjects = cell.subjects(tenant)
    assert subjects[alias("ana")]["wrapped_dek"] is None, (
        "erased last at the minute before: these are of the past"
    )
    assert subjects[alias("bia")]["wrapped_dek"] is not None, "fenced since, and returned"


async def test_the_fence_of_somebody_whom_another_fence_of_the_request_reached_adds_its_own_names(
    cell: Cell, tenant: Tenant
) -> None:
    # Two subjects when they were erased; here one of them has both first names, and of the other nothing is known.
    await cell.write(tenant, event("phone", "psid"), event("psid"))
    one = cell.subjects(tenant)[alias("phone")]["subject_id"]
    made = fence(tenant, "phone", "bsuid", subject=uuid4())
    other = fence(tenant, "psid", "mail", subject=one, generation=3, at=None).model_copy(
        update={"request": made.request, "executed_at_us": made.executed_at_us}
    )
    assert await apply(cell, made) == ("applied", 1)
    await cell.write(tenant, event("phone", at=later(), received=later()))
    assert await apply(cell, other, without_lock=True) == ("lock", 0)
    assert await apply(cell, other) == ("applied", 1)
    assert await apply(cell, other, without_lock=True) == ("known", 1)
    old = datetime.now(UTC) - seconds(60)
    assert (await cell.write(tenant, event("mail", at=old), event("bsuid", at=old))).fenced == 2
    step = f"SELECT fence IS NOT NULL FROM {tenant.schema}.erasure_step WHERE request_id = $1 AND subject_id = $2"
    assert cell.world.sql(step, made.request, one)[0][0] is True, "it can be written to a lost topic again"
    row = cell.subjects(tenant)[alias("phone")]
    assert row["wrapped_dek"] is not None, "who came back between the two keeps the key"
    assert len(cell.world.rows(tenant)) == 1


async def test_an_unknown_alias_of_somebody_known_becomes_theirs(cell: Cell, tenant: Tenant) -> None:
    await cell.write(tenant, event("ana"))
    subject = cell.subjects(tenant)[alias("ana")]["subject_id"]
    await apply(cell, fence(tenant, "ana", "ana-by-phone", subject=subject))
    assert cell.subjects(tenant)[alias("ana-by-phone")]["subject_id"] == subject
    assert (await cell.write(tenant, event("ana-by-phone", at=datetime.now(UTC) - seconds(60)))).fenced == 1


async def test_one_erased_message_goes_with_its_edits_and_marks_its_persons_key(
    cell: Cell, tenant: Tenant
) -> None:
    kinds = ("message.received", "message.edited", "message.unsent", "message.read")
    await cell.write(
        tenant, *(event("ana", ref="m1", kind=kind) for kind in kinds), event("ana", ref="m2"), event("bia")
    )
    assert await apply(cell, fence(tenant, refs=["m1"])) == ("applied", 1)
    left = sorted(row["event_type"] for row in cell.world.rows(tenant))
    assert left == ["message.read", "message.received", "message.received", "message.unsent"]
    subjects = cell.subjects(tenant)
    assert subjects[alias("ana")]["rekey"] is True
    assert subjects[alias("ana")]["wrapped_dek"] is not None
    assert subjects[alias("bia")]["rekey"] is False
    assert (await cell.write(tenant, event("ana", ref="m1"))).fenced == 1
    days = counted(
        cell, f"SELECT extract(day FROM min(expires_at) - clock_timestamp()) FROM {tenant.schema}.tombstone"
    )
    assert days >= 200


async def test_an_erased_persons_undated_events_stay_out(cell: Cell, tenant: Tenant) -> None:
    undated = event("ana", undated=True, received=later())
    await cell.write(tenant, event("ana"))
    subject = cell.subjects(tenant)[alias("ana")]["subject_id"]
    await apply(cell, fence(tenant, "ana", subject=subject, undated=[undated.event_id]))
    await cell.write(tenant, event("ana", at=later(), received=later()))
    assert (await cell.write(tenant, undated)).fenced == 1


async def test_an_erased_accounts_rows_go_and_who_has_others_keeps_those(cell: Cell, tenant: Tenant) -> None:
    gone = uuid4()
    await cell.write(
        tenant, event("ana", account=gone), event("ana"), event("bia"), event("caio", account=gone)
    )
    await cell.write(tenant, event("ana", account=gone, received=later()))
    await apply(cell, fence(tenant, account=gone))
    assert [row["account_id"] for row in cell.world.rows(tenant)] == [ACCOUNT, ACCOUNT]
    subjects = cell.subjects(tenant)
    assert [subjects[alias(name)]["rekey"] for name in ("ana", "bia", "caio")] == [True, False, False]
    assert [subjects[alias(name)]["wrapped_dek"] is None for name in ("ana", "bia", "caio")] == [
        False,
        False,
        True,
    ]
    assert [subjects[alias(name)]["key_lost_at"] is None for name in ("ana", "bia", "caio")] == [
        True,
        True,
        False,
    ]


async def test_an_accounts_fence_withdraws_the_consent_that_a_backup_brought_back(
    cell: Cell, tenant: Tenant
) -> None:
    gone, stays = (
        cell.world.connect(tenant, "messenger", {"page": f"{tenant.tenant.int % 10**14 + n}"}) for n in (0, 1)
    )
    assert await apply(cell, fence(tenant, account=gone)) == ("applied", 1)
    for account, state, consent in ((gone, "disconnected", "withdrawn"), (stays, "connected", "active")):
        row = cell.world.sql(
            "SELECT a.state, c.state, (SELECT bool_or(active) FROM mk.account_id i WHERE i.account_id = a.account_id)"
            " FROM mk.account a JOIN mk.consent c USING (account_id) WHERE a.account_id = $1",
            account,
        )[0]
        assert tuple(row) == (state, consent, state == "connected")


async def test_a_joins_fence_takes_what_is_not_later_and_no_key(cell: Cell, tenant: Tenant) -> None:
    mark = datetime.now(UTC) - seconds(100)
    old = event("ana", at=mark - seconds(10))
    late = event("ana", at=mark - seconds(5), received=mark - seconds(5))
    await cell.write(tenant, old, late, event("ana"), event("bia"))
    made = fence(
        tenant, "ana", subject=cell.subjects(tenant)[alias("ana")]["subject_id"], generation=0, at=mark
    )
    assert await apply(cell, made) == ("applied", 1)
    row = cell.subjects(tenant)[alias("ana")]
    assert (row["generation"], row["erased_through_gen"], row["rekey"]) == (1, 0, True)
    assert row["wrapped_dek"] is not None
    assert cell.world.row_count(tenant) == 2
    assert (await cell.write(tenant, old)).fenced == 1


async def test_each_part_of_a_long_fence_adds_its_tombstones_and_nothing_else(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.write(tenant, event("ana"))
    subject = cell.subjects(tenant)[alias("ana")]["subject_id"]
    undated = [event("ana", undated=True, received=later()) for _ in range(2)]
    made = fence(tenant, "ana", subject=subject)
    parts = [made.model_copy(update={"undated": (one.event_id.hex,)}) for one in undated]
    assert await apply(cell, parts[0]) == ("applied", 1)
    await cell.write(tenant, event("ana", at=later(), received=later()))
    assert await apply(cell, parts[1], without_lock=True) == ("lock", 0)
    assert await apply(cell, parts[1]) == ("applied", 1)
    assert await apply(cell, parts[1], without_lock=True) == ("known", 1)
    assert cell.subjects(tenant)[alias("ana")]["wrapped_dek"] is not None
    assert (await cell.write(tenant, *undated)).fenced == 2
    step = cell.world.sql(f"SELECT fence, fence_parts FROM {tenant.schema}.erasure_step")[0]
    assert [Fence.model_validate_json(kept(one)[1]) for one in (step["fence"], *step["fence_parts"])] == parts


async def test_without_the_tenants_own_lock_nothing_is_done(
    cell: Cell, tenant: Tenant, other: Tenant
) -> None:
    await cell.write(tenant, event("ana"))
    made = fence(tenant, "ana", subject=cell.subjects(tenant)[alias("ana")]["subject_id"])
    assert await apply(cell, made, without_lock=True) == ("lock", 0)
    assert await apply(cell, made, lock=other.tenant) == ("lock", 0)
    assert cell.subjects(tenant)[alias("ana")]["wrapped_dek"] is not None
    assert await apply(cell, made) == ("applied", 1)
    assert await apply(cell, made, without_lock=True) == ("known", 1)


async def test_what_a_writer_commits_while_the_fence_waits_for_it_is_erased(
    cell: Cell, tenant: Tenant
) -> None:
    async with cell.connection() as writer:
        batch = cell.batch(tenant, [event("ana")])
        await writer.execute(batch.statements.enter("begin", batch.tenant, 1000))
        await cell.persister().write(writer, batch)
        applying = asyncio.create_task(apply(cell, fence(tenant, "ana")))
        await until(cell.world.waiting_for_locks, "the fence to wait")
        assert not applying.done()
        await writer.execute("COMMIT")
        assert await applying == ("applied", 1)
    assert cell.subjects(tenant)[alias("ana")]["wrapped_dek"] is None
    assert cell.world.row_count(tenant) == 0


async def test_another_databases_tenants_fence_only_moves_the_position(cell: Cell, tenant: Tenant) -> None:
    entries = counted(cell, "SELECT count(*) FROM mk.audit_entry")
    stranger = Tenant("nobody", UUID(int=7), "t_nobodyhere", "none")
    assert await apply(cell, fence(stranger, "ana"), without_lock=True) == ("elsewhere", 1)
    assert counted(cell, "SELECT count(*) FROM mk.audit_entry") == entries


async def test_a_position_that_is_not_there_any_more_keeps_the_fence_from_being_applied(
    cell: Cell, tenant: Tenant
) -> None:
    made = fence(tenant, "ana")
    assert await apply(cell, made, position=1) == ("moved", 1)
    assert await apply(cell, made, topic="another topic") == ("moved", 0)
    assert cell.people(tenant) == (0, 0)


async def test_a_tenant_whose_schema_is_not_there_yet_is_waited_for(cell: Cell, tenant: Tenant) -> None:
    cell.world.stop("custodian")  # It would look after a schema that is not there.
    cell.world.sql("UPDATE mk.tenant SET schema_name = 't_notyetmade' WHERE tenant_id = $1", tenant.tenant)
    try:
        assert await apply(cell, fence(tenant, "ana")) == ("unready", 0)
    finally:
        cell.world.sql(
            "UPDATE mk.tenant SET schema_name = $2 WHERE tenant_id = $1", tenant.tenant, tenant.schema
        )
        cell.world.start(["custodian"])


async def test_only_store_and_erasure_may_apply_fences_and_the_store_moves_positions_no_other_way(
    cell: Cell, tenant: Tenant
) -> None:
    made = fence(tenant, "ana")
    assert (await apply(cell, made, login="mk_erasure"))[0] == "applied"
    for login in ("mk_custodian", "mk_reader"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await apply(cell, made, login=login)
    async with cell.connection() as store:
        for statement in ("UPDATE mk.fence_position SET next_offset = 0", "DELETE FROM mk.fence_position"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await store.execute(statement)
