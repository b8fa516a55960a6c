"""A rotation of epochs: everything moves, nothing comes back, nothing is destroyed too early, a kill costs nothing."""

import asyncio
from typing import Any

import asyncpg
import pytest

from contracts.errors import DatabaseUnavailable, KeyNotYetKnown, KeyServiceUnavailable, TamperedRecord
from runtime.files import SecretFolder
from store.custody.database import custody
from store.custody.epochs.flip import epochs_of, flip_root, flip_tenant
from store.custody.epochs.rewrap import FIRST, open_kek, rewrap_batch
from store.custody.epochs.rotation import Rotation
from store.keys.cells import kek_aad, pseudonym_key_aad, unwrap_key
from store.lanes.queries import lock_number
from store.lanes.transaction import store_batches
from tests.integration.store.cell import alias, event
from tests.security.keys.cell import KeyCell, Killed, schema_of
from tests.support.waiting import until

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


async def fill(cell: KeyCell, people: int = 20) -> None:
    """Some people in both tenants."""
    for tenant in cell.tenants:
        await cell.cell.write(tenant, *(event(f"p{number}") for number in range(people)))


async def to_the_end(rotation: Rotation) -> None:
    """Until nothing is left to do now."""
    while not await rotation.advance():
        pass


async def test_everything_moves_and_the_old_epoch_is_gone_from_keyring_and_escrow(cell: KeyCell) -> None:
    await fill(cell)
    tenant = cell.tenants[0]
    await cell.cell.erase(tenant, "p3")
    before = cell.world.sql(f"SELECT id, body FROM {tenant.schema}.message ORDER BY id")
    wrapped_kek = cell.world.sql(f"SELECT wrapped_kek FROM {tenant.schema}.epoch")[0][0]
    await cell.rotate()
    assert cell.roots() == {1: "destroyed", 2: "current"}
    assert cell.root_files() == ["root-2", "root-2"]
    assert cell.epochs(tenant) == {1: "destroyed", 2: "current"}
    assert [cell.dek_epochs(tenant), cell.dek_epochs(cell.tenants[1])] == [{2, None}, {2}]
    assert sorted(map(bool, await cell.read(tenant))) == [False] + [True] * 19
    assert all(await cell.read(cell.tenants[1]))
    # No cell was rewritten, and what an old copy of the database holds opens with nothing.
    assert cell.world.sql(f"SELECT id, body FROM {tenant.schema}.message ORDER BY id") == before
    with pytest.raises(KeyNotYetKnown):
        await cell.provider().unwrap(1, wrapped_kek, kek_aad(tenant.tenant, 1))


async def test_the_pseudonym_key_moves_and_stays_the_same(cell: KeyCell) -> None:
    tenant = cell.tenants[0]
    await cell.rotate()
    async with cell.custodian() as connection:
        (epoch,) = await epochs_of(connection, schema_of(tenant))
        kek = await open_kek(cell.provider(), schema_of(tenant), epoch)
    row = cell.world.sql(f"SELECT epoch, wrapped FROM {tenant.schema}.pseudonym_key")[0]
    key = unwrap_key(kek.cipher, row["wrapped"], pseudonym_key_aad(tenant.tenant, 2))
    assert key == SecretFolder(cell.keys / "router" / "secrets").get(f"pseudonym-{tenant.tenant}")


async def test_a_root_epoch_ends_by_its_age(cell: KeyCell) -> None:
    await cell.finish()
    assert cell.roots() == {1: "current"}
    cell.world.sql("UPDATE mk.root_epoch SET created_at = now() - interval '7 days'")
    await cell.finish()
    assert cell.roots() == {1: "destroyed", 2: "current"}


async def test_three_rotations_in_a_row_leave_one_living_epoch(cell: KeyCell) -> None:
    await fill(cell, 3)
    for _ in range(3):
        await cell.rotate()
    assert [epoch for epoch, state in cell.roots().items() if state != "destroyed"] == [4]
    assert all(await cell.read(cell.tenants[0]))


async def flipped(cell: KeyCell, connection: Any) -> tuple[Any, Any, Any]:
    """The first tenant after its flip: itself, its old keys and its new one."""
    tenant = schema_of(cell.tenants[0])
    cell.ask()
    root = await flip_root(connection, cell.provider(), cell.lasts)
    assert root is not None
    (current,) = await epochs_of(connection, tenant)
    assert await flip_tenant(connection, cell.provider(), tenant, current, root)
    epochs = await epochs_of(connection, tenant)
    old, new = [await open_kek(cell.provider(), tenant, epoch) for epoch in epochs]
    return tenant, [old], new


async def test_a_key_that_is_erased_between_reading_and_writing_stays_erased(cell: KeyCell) -> None:
    await fill(cell)
    names = [f"p{number}" for number in range(0, 20, 2)]
    async with cell.custodian() as connection:
        tenant, old, new = await flipped(cell, connection)

        def erase_without_the_lock() -> None:
            # The lock would keep this apart: compare-and-set must hold without it, too.
            cell.world.sql(
                f"UPDATE {tenant.schema}.subject SET generation = generation + 1, erased_through_gen = generation,"
                " wrapped_dek = NULL, dek_epoch = NULL, watermark = now() WHERE subject_id IN"
                f" (SELECT subject_id FROM {tenant.schema}.alias WHERE pseudonym = ANY($1))",
                [alias(name) for name in names],
            )

        step = await rewrap_batch(connection, tenant, old, new, FIRST, 1000, erase_without_the_lock)
    assert step.rewrapped == 10
    subjects = cell.cell.subjects(cell.tenants[0])
    assert all(subjects[alias(name)]["wrapped_dek"] is None for name in names)


async def test_the_table_refuses_a_key_of_an_erased_generation(cell: KeyCell) -> None:
    await fill(cell, 1)
    s = cell.tenants[0].schema
    await cell.cell.erase(cell.tenants[0], "p0")
    for change in (
        "generation = 1, wrapped_dek = '\\x00', dek_epoch = 1",
        "rekey_from = '\\x00', rekey_from_gen = 1, rekey_from_epoch = 1",
        "rekey_from = '\\x00'",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            cell.world.sql(f"UPDATE {s}.subject SET {change}")


async def test_a_writer_that_began_before_the_flip_leaves_no_row_on_the_old_epoch(cell: KeyCell) -> None:
    await fill(cell, 3)
    tenant = cell.tenants[0]
    async with cell.cell.connection() as writer, cell.custodian() as connection:
        batch = cell.cell.batch(tenant, [event("late")])
        await writer.execute(batch.statements.enter("begin", tenant.tenant, 1000))
        await cell.cell.persister().write(writer, batch)
        cell.ask()
        rotation = cell.rotation(connection)
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable):  # the flip waits for the writer and gives up
                await to_the_end(rotation)
        assert cell.epochs(tenant) == {1: "current"}
        # The other tenant was not held up.
        assert cell.epochs(cell.tenants[1])[2] == "current"
        going_on = asyncio.create_task(cell.finish())
        await until(cell.world.waiting_for_locks, "the flip to wait for the writer")
        await writer.execute("COMMIT")
        await going_on
    assert cell.dek_epochs(tenant) == {2}
    assert cell.roots() == {1: "destroyed", 2: "current"}
    assert len(await cell.read(tenant)) == 4
    assert all(await cell.read(tenant))


async def test_the_root_does_not_flip_while_a_tenant_is_made_under_it(cell: KeyCell) -> None:
    cell.ask()
    async with cell.custodian() as provisioning, cell.custodian() as connection:
        async with provisioning.transaction():
            await provisioning.fetchval("SELECT epoch FROM mk.root_epoch WHERE state = 'current' FOR SHARE")
            with pytest.raises(DatabaseUnavailable):
                await flip_root(connection, cell.provider(), cell.lasts)
        assert await flip_root(connection, cell.provider(), cell.lasts) == 2


async def test_a_rotation_killed_after_any_step_is_finished_by_the_next_custodian(cell: KeyCell) -> None:
    await fill(cell, 8)
    steps: list[str] = []
    await cell.rotate(steps.append)
    assert {
        "root flipped", "tenant flipped", "rekeyed", "batch", "rewrapped", "exported", "unblocked", "destroyed",
    } <= set(steps)  # fmt: skip
    # At the first time of each step: how often one comes depends on how the random ids fall into batches.
    for fatal in dict.fromkeys(steps):

        def kill(step: str, fatal: str = fatal) -> None:
            if step == fatal:
                raise Killed

        with pytest.raises(Killed):
            await cell.rotate(kill)
        await cell.finish()
        newest = max(cell.roots())
        assert [epoch for epoch, state in cell.roots().items() if state != "destroyed"] == [newest]
        assert cell.root_files() == [f"root-{newest}"] * 2
        for tenant in cell.tenants:
            assert all(await cell.read(tenant))


async def test_two_custodians_never_both_act(cell: KeyCell) -> None:
    await fill(cell, 5)
    acting = 0
    acted: set[int] = set()
    both_acted = asyncio.Event()

    async def custodian(number: int) -> None:
        nonlocal acting
        async with cell.custodian() as connection:
            rotation = cell.rotation(connection)
            while max(cell.roots()) < 3 or "retiring" in cell.roots().values():
                async with custody(connection) as held:
                    if held:
                        acting += 1
                        assert acting == 1
                        acted.add(number)
                        if "retiring" not in cell.roots().values():
                            cell.ask()
                        await rotation.advance()
                        acting -= 1
                if acted == {1, 2}:
                    both_acted.set()
                if number in acted:
                    # Whoever was first leaves the next turn to the other, so that two really share the work.
                    await asyncio.wait_for(both_acted.wait(), 20)
                await asyncio.sleep(0.002 * number)

    await asyncio.gather(custodian(1), custodian(2))
    assert acted == {1, 2}
    assert all(await cell.read(cell.tenants[0]))


async def test_nothing_is_destroyed_before_an_export_was_opened(cell: KeyCell) -> None:
    await fill(cell, 2)
    await cell.finish()
    cell.places[1].parent.mkdir(exist_ok=True)
    for path in cell.places[1].iterdir() if cell.places[1].exists() else ():
        path.unlink()
    if cell.places[1].exists():
        cell.places[1].rmdir()
    cell.places[1].write_text("not a folder")
    with pytest.raises(KeyServiceUnavailable):
        await cell.rotate()
    assert cell.roots() == {1: "retiring", 2: "current"}
    assert cell.waits_for(1) == "export"
    assert "root-1" in cell.root_files()
    cell.places[1].unlink()
    await cell.finish()
    assert cell.roots() == {1: "destroyed", 2: "current"}


async def test_nothing_is_destroyed_while_a_standby_is_behind(cell: KeyCell) -> None:
    name = f"behind_{cell.world.service.database}"[:60]
    cell.world.sql("SELECT pg_create_physical_replication_slot($1, true)", name)
    try:
        await cell.rotate()
        assert cell.waits_for(1) == "standby"
        assert cell.roots()[1] == "retiring"
    finally:
        cell.world.sql("SELECT pg_drop_replication_slot($1)", name)
    await cell.finish()
    assert cell.roots()[1] == "destroyed"


async def test_a_row_that_names_the_old_epoch_again_stops_the_destruction(cell: KeyCell) -> None:
    await fill(cell, 2)
    name = f"hold_{cell.world.service.database}"[:60]
    cell.world.sql("SELECT pg_create_physical_replication_slot($1, true)", name)
    s = cell.tenants[0].schema
    saved = cell.world.sql(f"SELECT subject_id, wrapped_dek FROM {s}.subject LIMIT 1")[0]
    try:
        await cell.rotate()
    finally:
        cell.world.sql("SELECT pg_drop_replication_slot($1)", name)
    # What no writer of ours does: an old row put back by hand.
    cell.world.sql(
        f"UPDATE {s}.subject SET wrapped_dek = $2, dek_epoch = 1 WHERE subject_id = $1", *saved.values()
    )
    await cell.finish()
    assert cell.roots()[1] == "destroyed"
    assert cell.dek_epochs(cell.tenants[0]) == {2}
    assert all(await cell.read(cell.tenants[0]))


async def test_a_key_that_does_not_open_keeps_its_epoch_and_holds_nobody_up(cell: KeyCell) -> None:
    await fill(cell, 5)
    s = cell.tenants[0].schema
    cell.world.sql(
        f"UPDATE {s}.subject SET wrapped_dek = set_byte(wrapped_dek, 20, get_byte(wrapped_dek, 20) # 1)"
        f" WHERE subject_id = (SELECT subject_id FROM {s}.alias WHERE pseudonym = $1)",
        alias("p0"),
    )
    rotation = await cell.rotate()
    assert rotation.progress.unopened == 1
    assert cell.roots() == {1: "retiring", 2: "current"}
    assert "root-1" in cell.root_files()
    assert cell.dek_epochs(cell.tenants[0]) == {1, 2}
    assert cell.dek_epochs(cell.tenants[1]) == {2}
    with pytest.raises(TamperedRecord):
        await cell.read(cell.tenants[0])


async def test_a_storm_of_writers_and_erasures_beside_rotations_loses_nothing_and_brings_nobody_back(
    cell: KeyCell,
) -> None:
    tenant = cell.tenants[0]
    cell.batch = 200
    written: list[str] = []
    erased: list[str] = []
    done = asyncio.Event()

    async def write() -> None:
        async with cell.cell.connection() as connection:
            persister = cell.cell.persister()
            position = cell.cell.position(tenant)
            while not done.is_set():
                names = [f"n{len(written) + at}" for at in range(20)]
                batch = cell.cell.batch(tenant, [event(name) for name in names], first=position)
                (ending,) = await store_batches(connection, persister, [batch])
                if not isinstance(ending, Exception):
                    position = batch.next_offset
                    written.extend(names)
                await asyncio.sleep(0.01)

    async def erase() -> None:
        while not done.is_set():
            if len(written) > len(erased) * 4 + 4:
                name = written[len(erased) * 4]
                await cell.cell.erase(tenant, name)
                erased.append(name)
            await asyncio.sleep(0.005)

    work = [asyncio.create_task(write()), asyncio.create_task(erase())]
    for _ in range(4):
        await cell.rotate()
        await asyncio.sleep(0.1)
    done.set()
    await asyncio.gather(*work)
    await cell.rotate()
    subjects = cell.cell.subjects(tenant)
    assert len(erased) > 10
    assert all(subjects[alias(name)]["wrapped_dek"] is None for name in erased)
    read = await cell.read(tenant)
    assert (len(read), read.count(None)) == (len(written), len(erased))
    assert lock_number(tenant.tenant)
