"""A lost database: an older copy of it, the keyring, and the newest export give back every key that was not erased."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import KeyNotYetKnown, TamperedRecord
from store.custody.epochs.export import export_keys
from store.custody.epochs.recover import newest_export, recover
from tests.integration.store.cell import event
from tests.security.keys.cell import KeyCell
from tests.security.keys.conftest import Prepared, copy_of
from tests.support.world import World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.fixture
def backup(cell: KeyCell, prepared: Prepared) -> Iterator[list[KeyCell]]:
    """Filled by `take`: copies of the database with the living keyring, as a base backup restored later."""
    taken: list[KeyCell] = []
    yield taken
    for copy in taken:
        World.drop_database(copy.world.stack, copy.world.service.database)


def take(cell: KeyCell, prepared: Prepared, taken: list[KeyCell]) -> KeyCell:
    copy = copy_of(cell.world, cell.world.service.root, prepared.port_base, keys=False)
    taken.append(KeyCell(copy, cell.tenants))
    return taken[-1]


async def test_a_copy_of_before_two_rotations_reads_again_and_the_erased_stay_erased(
    cell: KeyCell, prepared: Prepared, backup: list[KeyCell]
) -> None:
    tenant = cell.tenants[0]
    await cell.cell.write(tenant, *(event(f"p{number}") for number in range(6)))
    await cell.cell.erase(tenant, "p0")
    restored = take(cell, prepared, backup)
    # After the copy: p1 is erased, known to the export only. In the copy: p2 is erased, as a later WAL would say.
    await cell.cell.erase(tenant, "p1")
    await cell.rotate()
    await cell.rotate()
    await restored.cell.erase(tenant, "p2")
    with pytest.raises(KeyNotYetKnown):
        await restored.read(tenant)
    async with restored.custodian() as connection:
        done = await recover(connection, restored.provider(), newest_export(cell.places))
        again = await recover(connection, restored.provider(), newest_export(cell.places))
    assert (done.root_epoch, done.tenants, done.subjects, done.lost) == (3, 2, 4, 0)
    assert again.subjects == 0
    read = await restored.read(tenant)
    assert (len(read), read.count(None)) == (6, 3)
    assert restored.roots() == {1: "destroyed", 2: "destroyed", 3: "current"}
    # And it lives: writers write, the next rotation goes through.
    await restored.cell.write(tenant, event("p5"), event("new"))
    await restored.rotate()
    assert (await restored.read(tenant)).count(None) == 3


async def test_a_database_that_is_newer_than_the_export_keeps_everything_it_has(cell: KeyCell) -> None:
    tenant = cell.tenants[0]
    await cell.cell.write(tenant, *(event(f"p{number}") for number in range(3)))
    await cell.finish()
    async with cell.custodian() as connection:
        old = await export_keys(connection, cell.provider(), cell.places)
        await cell.cell.erase(tenant, "p0")
        await cell.cell.write(tenant, event("p9"))
        done = await recover(connection, cell.provider(), cell.places[0] / old.name)
    assert (done.subjects, done.lost) == (0, 0)
    read = await cell.read(tenant)
    assert (len(read), read.count(None)) == (4, 1)


async def test_an_export_that_was_changed_cut_or_mixed_is_refused_whole(
    cell: KeyCell, tmp_path: Path
) -> None:
    await cell.cell.write(cell.tenants[0], event("ana"))
    async with cell.custodian() as connection:
        one = await export_keys(connection, cell.provider(), cell.places)
        raw = (cell.places[0] / one.name).read_bytes()
        assert raw == (cell.places[1] / one.name).read_bytes()
        assert b"PGCOPY" not in raw
        path = tmp_path / "bad.mkexport"
        last = len(raw) - 21
        for bad in (raw[:-1], raw[:last], raw + b"\0", b"X" + raw[1:], raw[:300], raw[:10]):
            path.write_bytes(bad)
            with pytest.raises((TamperedRecord, KeyNotYetKnown)):
                await recover(connection, cell.provider(), path)
        for at in range(9, len(raw), max(1, len(raw) // 150)):
            path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
            with pytest.raises((TamperedRecord, KeyNotYetKnown)):
                await recover(connection, cell.provider(), path)


async def test_a_copy_that_does_not_read_back_is_never_recorded(
    cell: KeyCell, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cell.cell.write(cell.tenants[0], event("ana"))
    rename = Path.rename

    def lose_a_byte(self: Path, target: Path) -> Path:
        if cell.places[1] in self.parents:
            self.write_bytes(self.read_bytes()[:-1])
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", lose_a_byte)
    with pytest.raises(TamperedRecord):
        await cell.rotate()
    monkeypatch.undo()
    assert cell.waits_for(1) == "export"
    assert "root-1" in cell.root_files()
    shutil.rmtree(cell.places[1])
    await cell.finish()
    assert cell.roots()[1] == "destroyed"


async def test_exports_are_removed_after_eight_days(cell: KeyCell) -> None:
    await cell.rotate()
    names = {path.name for path in cell.places[0].iterdir()}
    assert names
    cell.world.sql("UPDATE mk.key_export SET begun_at = begun_at - interval '8 days 1 minute'")
    async with cell.custodian() as connection:
        assert await cell.rotation(connection).export_if_due()
    assert {path.name for path in cell.places[0].iterdir()}.isdisjoint(names)
    assert len(list(cell.places[1].iterdir())) == 1
