"""A database put back from a backup: what its fences must tell it, and what it has left over to delete."""

import contextlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from contracts.fences import Fence
from store.erasure.equipment import Step
from store.erasure.execution import joins, subject
from store.erasure.recovery.leftovers import delete_leftovers
from tests.integration.store.cell import Cell, alias, event, seconds
from tests.integration.store.fencing import apply
from tests.privacy.erasure.executors.acting import Acting
from tests.security.keys.cell import Killed

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

GONE = UUID(int=7)


def killing(at: Step) -> Any:
    """What is reached when the process ends."""

    def reached(_request: UUID, step: Step) -> None:
        if step is at:
            raise Killed

    return reached


def cell(acting: Acting) -> Cell:
    """What writes as the store does."""
    return acting.keys.cell


def restore_empty(acting: Acting) -> None:
    """Put a backup back that is older than everything."""
    acting.sql(
        "TRUNCATE {s}.message, {s}.subject, {s}.alias, {s}.same_person, {s}.tombstone, {s}.erasure_step"
    )


async def edited(acting: Acting, ref: str) -> tuple[int, int]:
    """An edit that names nobody comes after everything: how many were stored and kept out."""
    after = datetime.now(UTC) + seconds(2)
    ended = await cell(acting).write(acting.tenant, event(kind="message.edited", ref=ref, received=after))
    return ended.stored, ended.fenced


async def test_an_edit_stays_out_of_a_database_that_never_had_the_message_of_an_erased_person(
    acting: Acting,
) -> None:
    await cell(acting).write(
        acting.tenant,
        *(event("ana", ref=f"m{number}") for number in range(5)),
        event("ana", kind="message.edited", ref="m0"),
        event("ana", kind="reaction.changed", ref="of bia"),
        event("ana", kind="message.read", ref="of the company"),
    )
    (step,) = await acting.execute(acting.job("subject", "operator", pseudonyms=[alias("ana")]))
    assert step.fence is not None
    assert step.fence.refs == tuple(sorted(alias(f"m{number}").hex() for number in range(5)))
    restore_empty(acting)
    await apply(cell(acting), step.fence)
    assert await edited(acting, "m3") == (0, 1)
    assert await edited(acting, "of bia") == (1, 0), "what an erased person only reacted to is another's"
    assert await edited(acting, "of the company") == (1, 0)


async def test_a_joins_fence_names_what_was_written_as_well(acting: Acting) -> None:
    before = datetime.now(UTC) - seconds(60)
    await cell(acting).write(
        acting.tenant, event("ana"), event("bob", ref="old", at=before), event("bob", ref="new")
    )
    await acting.execute(acting.job("subject", "operator", pseudonyms=[alias("ana")]))
    after = datetime.now(UTC) + seconds(2)
    await cell(acting).write(acting.tenant, event("ana", "bob", ref="now", at=after, received=after))
    (request,) = await acting.admit_joins()
    fences = [
        step.fence for step in await acting.execute(request) if step.fence is not None and step.fence.refs
    ]
    assert [fence.refs for fence in fences] == [tuple(sorted(alias(ref).hex() for ref in ("old", "new")))]
    assert await edited(acting, "old") == (0, 1)
    restore_empty(acting)
    await apply(cell(acting), fences[0])
    assert await edited(acting, "new") == (0, 1)


async def test_killed_between_deletes_the_fence_still_names_all(
    acting: Acting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "DELETED_AT_ONCE", 2)
    await cell(acting).write(acting.tenant, *(event("ana", ref=f"m{number}") for number in range(5)))
    request = acting.job("subject", "operator", pseudonyms=[alias("ana")])
    for at in (Step.EXECUTED, Step.REFS_NAMED, Step.SOME_DELETED, Step.SOME_DELETED):
        with contextlib.suppress(Killed):
            await acting.execute(request, killing(at))
    (step,) = await acting.execute(request)
    assert isinstance(step.fence, Fence)
    assert len(step.fence.refs) == 5
    assert step.rows_deleted == 5


@pytest.mark.parametrize("kind", ["subject", "account", "join"])
async def test_rows_that_a_backup_of_the_middle_of_an_erasure_brought_back_are_deleted(
    acting: Acting, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "DELETED_AT_ONCE", 2)
    monkeypatch.setattr(joins, "DELETED_AT_ONCE", 2)
    rows = [event("ana", account=GONE) for _ in range(3)]
    await cell(acting).write(acting.tenant, *rows, event("bob"))
    acting.said(GONE, "withdrawn")
    request = acting.job(
        kind.replace("join", "subject"),
        "join" if kind == "join" else "operator",
        account_id=GONE if kind == "account" else None,
        pseudonyms=[alias("ana")],
    )
    if kind == "join":
        acting.sql("UPDATE {s}.subject SET watermark = clock_timestamp() + interval '1 s', executed_at = clock_timestamp()"
                   " WHERE subject_id = (SELECT subject_id FROM {s}.alias WHERE pseudonym = $1)", alias("bob"))  # fmt: skip
        acting.sql(
            "INSERT INTO {s}.same_person SELECT (array_agg(subject_id ORDER BY subject_id))[1], (array_agg(subject_id ORDER BY subject_id))[2] FROM {s}.subject"
        )
    with contextlib.suppress(Killed):
        await acting.execute(request, killing(Step.EXECUTED))
    assert len(acting.texts()) == 4
    async with acting.tools() as tools:
        assert await delete_leftovers(tools, await acting.schema(tools)) == 0, (
            "a request that runs is left alone"
        )
        acting.sql("UPDATE mk.erasure_request SET state = 'answered' WHERE request_id = $1", request)
        assert await delete_leftovers(tools, await acting.schema(tools)) == 1
        assert await delete_leftovers(tools, await acting.schema(tools)) == 0
    assert len(acting.texts()) == 1
