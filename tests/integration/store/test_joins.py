"""Two identifiers turn out to be one person of whom one was erased: the lane links them and asks erasure for the rest."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.integration.store.cell import Cell, alias, event, seconds
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def joins(cell: Cell, tenant: Tenant) -> list[Any]:
    """What lanes asked erasure to join."""
    return cell.world.sql(f"SELECT event_id, kept, joined FROM {tenant.schema}.join_request ORDER BY id")


def later() -> datetime:
    """Strictly later than the second of a watermark set now."""
    return datetime.now(UTC) + seconds(2)


async def test_a_link_with_somebody_erased_asks_for_a_join_in_the_same_transaction(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.write(tenant, event("old number"), event("new number"))
    await cell.erase(tenant, "old number")
    changed = event("new number", "old number", kind="identity.changed", at=later(), received=later())
    await cell.write(tenant, changed)
    subjects = cell.subjects(tenant)
    pair = sorted(subjects[alias(name)]["subject_id"] for name in ("old number", "new number"))
    assert [tuple(row) for row in joins(cell, tenant)] == [(changed.event_id, *pair)]


async def test_a_link_through_others_to_somebody_erased_asks_too_though_its_event_is_dropped(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.write(tenant, event("phone"), event("bsuid"), event("psid"))
    await cell.write(tenant, event("phone", "bsuid"))
    await cell.erase(tenant, "phone")
    old = datetime.now(UTC) - seconds(60)
    assert (await cell.write(tenant, event("bsuid", "psid", at=old))).fenced == 1
    assert len(joins(cell, tenant)) == 1


async def test_nothing_is_asked_where_nobody_was_erased_or_the_link_stood_before(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.write(tenant, event("phone"), event("bsuid"))
    await cell.write(tenant, event("phone", "bsuid"))
    await cell.erase(tenant, "phone", "bsuid")
    await cell.write(tenant, event("phone", "bsuid", at=later(), received=later()))
    assert joins(cell, tenant) == []


async def test_a_name_that_only_an_erased_persons_backlog_tells_is_theirs_whichever_event_came_first(
    cell: Cell, tenant: Tenant
) -> None:
    await cell.write(tenant, event("old number"))
    await cell.erase(tenant, "old number")
    old = datetime.now(UTC) - seconds(60)
    # The new name stands alone before the event that says whose it is; both are of before the erasure.
    first = [
        event("new number", at=old, received=old),
        event("new number", "old number", kind="identity.changed", at=old, received=old),
    ]
    assert (await cell.write(tenant, *first)).fenced == 2
    late = await cell.write(tenant, event("new number", at=old, received=old))
    assert (late.stored, late.fenced) == (0, 1)
    subjects = cell.subjects(tenant)
    assert subjects[alias("new number")]["subject_id"] == subjects[alias("old number")]["subject_id"]
