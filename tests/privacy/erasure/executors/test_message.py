"""One message is erased: before it came, after it, twice; and what its old copies in the WAL still open with."""

from pathlib import Path
from uuid import UUID

import pytest

from contracts.errors import KeyNotYetKnown, TamperedRecord
from store.custody.epochs.flip import TenantEpoch, epochs_of
from store.custody.epochs.rewrap import open_kek
from store.erasure.endings import Refused
from store.keys.cells import CellBinding, decrypt_cell, open_dek
from tests.integration.store.cell import alias, event
from tests.privacy.erasure.executors.acting import Acting
from tests.security.keys.cell import schema_of

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def unsend(acting: Acting, ref: str) -> UUID:
    return acting.job("message", "unsent", asked_by="router", message_ref=alias(ref))


async def test_every_event_of_the_message_goes_but_the_unsend_and_statuses(acting: Acting) -> None:
    write, tenant = acting.keys.cell.write, acting.tenant
    kinds = ("message.received", "message.edited", "reaction.changed", "message.unsent", "message.read")
    await write(tenant, *(event("ana", kind=kind, ref="m1") for kind in kinds))
    await write(tenant, event("bob", kind="reaction.changed", ref="m1"), event("ana", ref="m2"))
    request = unsend(acting, "m1")
    (step,) = await acting.execute(request)
    assert sorted(acting.texts()) == ["message.read", "message.received", "message.unsent"]
    assert step.rows_deleted == 4
    assert step.deleted_at is not None
    assert step.fence is not None
    assert (step.fence.refs, step.fence.generation, step.fence.pseudonyms) == ((alias("m1").hex(),), 0, ())
    subjects = acting.keys.cell.subjects(tenant)
    assert (subjects[alias("ana")]["rekey"], subjects[alias("bob")]["rekey"]) == (True, True)
    assert acting.audited(request) == ["erasure.executing", "erasure.executed"]


async def test_an_unsend_that_came_first_leaves_a_tombstone_without_content_for_its_time(
    acting: Acting,
) -> None:
    await acting.execute(unsend(acting, "m1"))
    rows = acting.sql(
        "SELECT kind, ref, expires_at > clock_timestamp() + interval '200 days' AS lasts FROM {s}.tombstone"
    )
    assert [tuple(row) for row in rows] == [("r", alias("m1"), True)]
    ended = await acting.keys.cell.write(acting.tenant, event("ana", ref="m1"), event("ana", ref="m2"))
    assert (ended.fenced, ended.stored) == (1, 1)


async def test_the_same_request_again_is_one_step_and_takes_what_came_in_between(acting: Acting) -> None:
    request = unsend(acting, "m1")
    await acting.execute(request)
    # A writer that had read before the tombstone stood could not commit after it; a restored database can hold the row.
    acting.sql("DELETE FROM {s}.tombstone")
    await acting.keys.cell.write(acting.tenant, event("ana", ref="m1"))
    steps = await acting.execute(request)
    assert [step.rows_deleted for step in steps] == [1]
    assert acting.texts() == []
    assert acting.audited(request) == ["erasure.executing", "erasure.executed"]


async def test_a_request_that_names_no_message_is_refused(acting: Acting) -> None:
    with pytest.raises(Refused):
        await acting.execute(acting.job("message", "unsent"))


def wal_holding(acting: Acting, needle: bytes) -> bool:
    """Whether the WAL holds these bytes."""
    folder: Path = acting.keys.world.stack.postgres.data_dir / "pg_wal"
    return any(needle in path.read_bytes() for path in folder.iterdir() if path.is_file())


async def opened_with_any_key(
    acting: Acting,
    wraps: list[tuple[UUID, int, bytes, int]],
    epochs: list[TenantEpoch],
    row: UUID,
    cell: bytes,
) -> bytes | None:
    """The plaintext, if any key that exists opens the cell: every wrap ever seen, under every epoch ever seen."""
    tenant = schema_of(acting.tenant)
    binding = CellBinding(acting.tenant.tenant, "message", "body")
    for epoch in epochs:
        try:
            kek = await open_kek(acting.keys.provider(), tenant, epoch)
        except (TamperedRecord, KeyNotYetKnown):
            continue
        for subject, generation, wrapped, number in wraps:
            try:
                dek = open_dek(kek.cipher, wrapped, tenant.tenant, subject, generation, number)
                return decrypt_cell(dek, binding, subject, int.from_bytes(cell[1:3]), row, cell)
            except TamperedRecord:
                continue
    return None


async def wraps_and_epochs(acting: Acting) -> tuple[list[tuple[UUID, int, bytes, int]], list[TenantEpoch]]:
    """All wrapped keys and tenant epochs that the database has now."""
    rows = acting.sql(
        "SELECT subject_id, generation, wrapped_dek, dek_epoch FROM {s}.subject WHERE wrapped_dek IS NOT NULL UNION ALL"
        " SELECT subject_id, rekey_from_gen, rekey_from, rekey_from_epoch FROM {s}.subject WHERE rekey_from IS NOT NULL"
    )
    async with acting.keys.custodian() as connection:
        epochs = await epochs_of(connection, schema_of(acting.tenant))
    return [tuple(row) for row in rows], epochs


async def test_the_cell_stays_in_the_wal_and_after_the_next_flip_no_key_that_exists_opens_it(
    rotating: Acting,
) -> None:
    text = b'{"text":"apague isto"}'
    await rotating.keys.cell.write(rotating.tenant, event("ana", ref="m1", text=text), event("ana", ref="m2"))
    row, cell = rotating.sql("SELECT id, body FROM {s}.message WHERE message_ref = $1", alias("m1"))[0]
    wraps, epochs = await wraps_and_epochs(rotating)
    await rotating.execute(unsend(rotating, "m1"))
    # Deleted, and still there: in the WAL, and whoever has the person's key reads it.
    assert len(rotating.texts()) == 1
    assert wal_holding(rotating, cell)
    assert await opened_with_any_key(rotating, wraps, epochs, row, cell) == text

    await rotating.keys.rotate()

    assert rotating.keys.roots() == {1: "destroyed", 2: "current"}
    assert wal_holding(rotating, cell)
    new_wraps, new_epochs = await wraps_and_epochs(rotating)
    assert new_wraps
    assert await opened_with_any_key(rotating, wraps + new_wraps, epochs + new_epochs, row, cell) is None
    # What is left of the person reads as before.
    assert await rotating.keys.read(rotating.tenant) == [b'{"text":"hello"}']


async def test_without_the_mark_the_key_lives_on_and_opens_the_cell(rotating: Acting) -> None:
    """What the mark is for: the same, with the mark taken away."""
    text = b'{"text":"apague isto"}'
    await rotating.keys.cell.write(rotating.tenant, event("ana", ref="m1", text=text), event("ana", ref="m2"))
    row, cell = rotating.sql("SELECT id, body FROM {s}.message WHERE message_ref = $1", alias("m1"))[0]
    await rotating.execute(unsend(rotating, "m1"))
    rotating.sql("UPDATE {s}.subject SET rekey = false")
    await rotating.keys.rotate()
    wraps, epochs = await wraps_and_epochs(rotating)
    assert await opened_with_any_key(rotating, wraps, epochs, row, cell) == text
