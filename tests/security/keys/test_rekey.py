"""Subjects marked `rekey`: what is left of them is rewritten, and old copies of what was deleted open with no key."""

import itertools
from uuid import UUID

import pytest

from contracts.errors import TamperedRecord
from store.custody.epochs import rekey
from store.custody.epochs.flip import epochs_of
from store.custody.epochs.rewrap import open_kek
from store.keys.cells import CellBinding, decrypt_cell, open_dek
from tests.integration.store.cell import alias, event
from tests.security.keys.cell import KeyCell, Killed, schema_of

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


async def with_an_unsent_message(cell: KeyCell, messages: int = 12) -> tuple[UUID, UUID, int, bytes]:
    """Ana's messages, one of which is then deleted; an old copy of its row."""
    tenant = cell.tenants[0]
    s = tenant.schema
    await cell.cell.write(tenant, *(event("ana", text=b'{"text":"%d"}' % n) for n in range(messages)))
    await cell.cell.write(tenant, event("bob"))
    subject = cell.cell.subjects(tenant)[alias("ana")]["subject_id"]
    old = cell.world.sql(
        f"SELECT id, generation, body FROM {s}.message WHERE subject_id = $1 LIMIT 1", subject
    )[0]
    cell.world.sql(f"DELETE FROM {s}.message WHERE id = $1", old["id"])
    cell.world.sql(f"UPDATE {s}.subject SET rekey = true WHERE subject_id = $1", subject)
    return subject, old["id"], old["generation"], old["body"]


async def test_the_rest_is_rewritten_and_the_deleted_cell_opens_with_nothing(cell: KeyCell) -> None:
    tenant = cell.tenants[0]
    subject, row_id, generation, body = await with_an_unsent_message(cell)
    await cell.rotate()
    assert cell.roots() == {1: "destroyed", 2: "current"}
    row = cell.cell.subjects(tenant)[alias("ana")]
    assert (row["generation"], row["rekey"], row["rekey_from"], row["dek_epoch"]) == (2, False, None, 2)
    bob = cell.cell.subjects(tenant)[alias("bob")]
    assert (bob["generation"], bob["dek_epoch"]) == (1, 2)
    read = await cell.read(tenant)
    assert len(read) == 12
    assert None not in read
    async with cell.custodian() as connection:
        (epoch,) = await epochs_of(connection, schema_of(tenant))
        kek = await open_kek(cell.provider(), schema_of(tenant), epoch)
    dek = open_dek(kek.cipher, row["wrapped_dek"], tenant.tenant, row["subject_id"], 2, 2)
    with pytest.raises(TamperedRecord):
        decrypt_cell(
            dek,
            CellBinding(tenant.tenant, "message", "body"),
            subject,
            generation,
            row_id,
            body,
        )


async def test_half_rewritten_everything_reads_and_an_erasure_in_between_takes_both_keys(
    cell: KeyCell,
) -> None:
    tenant = cell.tenants[0]
    await with_an_unsent_message(cell)

    # The first five cells are rewritten, then the custodian is killed.
    batch, rekey.CELLS = rekey.CELLS, 5  # type: ignore[misc]
    calls = itertools.count()
    rewrite = rekey._rewrite

    async def once(*arguments: object) -> bool:
        if next(calls) == 1:
            raise Killed
        return await rewrite(*arguments)  # type: ignore[arg-type]

    rekey._rewrite = once  # type: ignore[assignment]
    try:
        with pytest.raises(Killed):
            await cell.rotate()
    finally:
        rekey.CELLS, rekey._rewrite = batch, rewrite  # type: ignore[misc]
    s = tenant.schema
    assert {row[0] for row in cell.world.sql(f"SELECT DISTINCT generation FROM {s}.message")} == {1, 2}
    assert None not in await cell.read(tenant)
    # A message that comes now goes to the new generation, and the half-way state bears it.
    await cell.cell.write(tenant, event("ana"))
    assert len(await cell.read(tenant)) == 13
    assert None not in await cell.read(tenant)
    async with cell.cell.connection("mk_erasure") as connection, connection.transaction():
        await connection.execute(f'SET LOCAL ROLE "{s}_erase"')
        await connection.execute(
            f"UPDATE {s}.subject SET generation = generation + 1, erased_through_gen = generation, wrapped_dek = NULL,"
            f" dek_epoch = NULL, rekey_from = NULL WHERE subject_id = (SELECT subject_id FROM {s}.alias WHERE pseudonym = $1)",
            alias("ana"),
        )
    await cell.finish()
    assert cell.roots() == {1: "destroyed", 2: "current"}
    row = cell.cell.subjects(tenant)[alias("ana")]
    assert (row["wrapped_dek"], row["rekey_from"]) == (None, None)
    assert [read for read in await cell.read(tenant) if read is not None] == [b'{"text":"hello"}']


async def test_a_rekey_that_was_killed_is_finished_before_the_old_epoch_dies(cell: KeyCell) -> None:
    tenant = cell.tenants[0]
    await with_an_unsent_message(cell)
    s = tenant.schema

    def kill(step: str) -> None:
        if step == "tenant flipped":
            raise Killed

    with pytest.raises(Killed):
        await cell.rotate(kill)
    await cell.finish()
    assert {row[0] for row in cell.world.sql(f"SELECT DISTINCT generation FROM {s}.message")} == {1, 2}
    assert (
        cell.world.sql(f"SELECT count(*) FROM {s}.subject WHERE rekey_from IS NOT NULL OR rekey")[0][0] == 0
    )
    assert None not in await cell.read(tenant)
