"""Edits that name nobody, of messages whose author was erased: kept out by the ref. Nobody else's events are."""

from datetime import UTC, datetime

import pytest

from store.lanes.event import TenantEvent
from tests.integration.store.cell import ACCOUNT, Cell, alias, event, seconds
from tests.integration.store.fencing import apply, fence
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def later() -> datetime:
    """Strictly later than the second of a watermark set now."""
    return datetime.now(UTC) + seconds(2)


def edit(ref: str) -> TenantEvent:
    """An edit that names nobody, received after everything here."""
    return event(kind="message.edited", ref=ref, text=b'{"text":"what ana wrote"}', received=later())


async def test_an_edit_stays_out_whose_message_a_fence_had_kept_out(cell: Cell, tenant: Tenant) -> None:
    await cell.erase_after(tenant, event("ana"))
    backlog = event("ana", ref="m1", at=datetime.now(UTC) - seconds(60))
    assert (await cell.write(tenant, backlog)).fenced == 1
    ended = await cell.write(tenant, edit("m1"), event("bia", ref="m2"))
    assert (ended.fenced, ended.stored) == (1, 1)
    assert (await cell.write(tenant, backlog)).fenced == 1, "read again it leaves what is there already"


async def test_what_somebody_does_with_anothers_message_leaves_nothing_that_keeps_that_out(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.erase_after(tenant, event("ana"))
    before = datetime.now(UTC) - seconds(60)
    acts = ("reaction.changed", "post.reaction_changed", "message.read")
    kept_out = [event("ana", kind=kind, ref=f"of-bia-{kind}", at=before) for kind in acts]
    assert (await cell.write(tenant, *kept_out)).fenced == 3
    assert (await cell.write(tenant, *(edit(f"of-bia-{kind}") for kind in acts))).stored == 3


async def test_a_fence_keeps_out_edits_of_messages_that_the_database_never_had(
    cell: Cell, tenant: Tenant
) -> None:
    await apply(cell, fence(tenant, "ana", refs=["m1"]))
    assert (await cell.write(tenant, edit("m1"))).fenced == 1


async def test_a_persons_fence_deletes_and_keeps_out_nothing_of_others_with_the_same_ref(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.write(
        tenant, event("ana", ref="m1"), event("bia", kind="reaction.changed", ref="m1"), event("caio")
    )
    made = fence(tenant, "ana", subject=cell.subjects(tenant)[alias("ana")]["subject_id"], refs=["m1"])
    assert await apply(cell, made) == ("applied", 1)
    assert sorted(row["event_type"] for row in cell.world.rows(tenant)) == [
        "message.received",
        "reaction.changed",
    ]
    assert cell.subjects(tenant)[alias("bia")]["rekey"] is False
    again = event("caio", kind="reaction.changed", ref="m1", received=later())
    assert (await cell.write(tenant, again, edit("m1"))).fenced == 1


async def test_an_erased_accounts_events_are_kept_out_however_late_they_are_read(
    cell: Cell, tenant: Tenant
) -> None:
    gone = ACCOUNT.__class__(int=4)
    await apply(cell, fence(tenant, account=gone))
    ended = await cell.write(
        tenant,
        event("ana", account=gone),
        event("ana", account=gone, at=later(), received=later()),
        event("bia"),
    )
    assert (ended.fenced, ended.stored) == (2, 1)
    assert alias("ana") not in cell.subjects(tenant), "nobody is made of what is kept out"
