"""Keys of evidence: made and opened by erasure's role alone, moved by rotations, exported, and never brought back."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import KeyGone, KeyNotYetKnown, TamperedRecord
from store.custody.epochs.export import export_keys
from store.custody.epochs.flip import epochs_of, flip_root, flip_tenant
from store.custody.epochs.recover import newest_export, recover
from store.custody.epochs.rewrap import open_kek
from store.custody.epochs.rewrap_evidence import rewrap_evidence_keys
from store.keys.evidence import EvidenceKeys, Purpose
from store.lanes.keks import TenantKeks, WrappedKek
from store.lanes.queries import lock_number
from tests.security.keys.cell import KeyCell, schema_of
from tests.security.keys.conftest import Prepared, copy_of
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

NONCE, DETAILS = b"n" * 12, b"name and e-mail"


def keys_of(cell: KeyCell, tenant: Tenant) -> EvidenceKeys:
    """As erasure has them."""
    keks = TenantKeks(cell.provider())

    async def kek(whose: UUID, epoch: int, root: int, wrapped: bytes) -> AESGCM:
        return await keks.cipher(whose, WrappedKek(epoch, root, wrapped))

    return EvidenceKeys(tenant.tenant, tenant.schema, kek)


@asynccontextmanager
async def inside(
    cell: KeyCell, tenant: Tenant, *, login: str = "mk_erasure", role: str = "_erase"
) -> AsyncIterator[Any]:
    """A transaction in the tenant, under its lock."""
    async with cell.cell.connection(login) as connection, connection.transaction():
        await connection.execute(f'SET LOCAL ROLE "{tenant.schema}{role}"')
        await connection.execute(f"SELECT pg_advisory_xact_lock_shared({lock_number(tenant.tenant)})")
        yield connection


async def made(cell: KeyCell, tenant: Tenant) -> tuple[UUID, bytes]:
    """A request's key, and what it encrypted."""
    async with inside(cell, tenant) as connection:
        key_id, cipher = await keys_of(cell, tenant).create(connection, Purpose.REQUEST)
        return key_id, cipher.encrypt(NONCE, DETAILS, None)


async def read(cell: KeyCell, tenant: Tenant, key_id: UUID, encrypted: bytes) -> bytes:
    """What stands there."""
    async with inside(cell, tenant) as connection:
        cipher = await keys_of(cell, tenant).open(connection, key_id, Purpose.REQUEST)
        return cipher.decrypt(NONCE, encrypted, None)


async def destroy(cell: KeyCell, tenant: Tenant, key_id: UUID) -> bool:
    async with inside(cell, tenant) as connection:
        return await keys_of(cell, tenant).destroy(connection, key_id)


async def test_a_key_moves_with_every_rotation_and_keeps_the_old_epoch_until_it_did(cell: KeyCell) -> None:
    tenant = cell.tenants[0]
    kept, gone = [await made(cell, tenant) for _ in range(15)], await made(cell, tenant)
    assert await destroy(cell, tenant, gone[0])
    assert not await destroy(cell, tenant, gone[0])
    for root in (2, 3):
        await cell.rotate()
        assert cell.roots()[root] == "current"
    assert cell.epochs(tenant) == {1: "destroyed", 2: "destroyed", 3: "current"}
    assert [await read(cell, tenant, *one) for one in kept] == [DETAILS] * 15
    with pytest.raises(KeyGone):
        await read(cell, tenant, *gone)
    # One that does not open names its epoch for ever: nothing under it is destroyed.
    change = f"UPDATE {tenant.schema}.evidence_key SET wrapped = $1 WHERE key_id = $2"
    cell.world.sql(change, os.urandom(60), kept[0][0])
    await cell.rotate()
    assert cell.epochs(tenant)[3] == "retiring"
    assert cell.waits_for(3) == "rewrap"


async def test_it_opens_for_its_own_tenant_id_and_purpose_only(cell: KeyCell) -> None:
    tenant, other = cell.tenants
    (mine, encrypted), (theirs, _) = await made(cell, tenant), await made(cell, other)
    async with inside(cell, tenant) as connection:
        with pytest.raises(TamperedRecord):
            await keys_of(cell, tenant).open(connection, mine, Purpose.HOLD)
    row = f"SELECT wrapped FROM {tenant.schema}.evidence_key WHERE key_id = $1"
    wrapped = cell.world.sql(row, mine)[0][0]
    for schema, key_id in ((other, theirs), (tenant, (await made(cell, tenant))[0])):
        change = f"UPDATE {schema.schema}.evidence_key SET wrapped = $1 WHERE key_id = $2"
        cell.world.sql(change, wrapped, key_id)
        with pytest.raises(TamperedRecord):
            await read(cell, schema, key_id, encrypted)


@pytest.mark.parametrize(("login", "role"), [("mk_store", ""), ("mk_reader", "_read")])
async def test_neither_the_store_nor_a_reader_sees_one(cell: KeyCell, login: str, role: str) -> None:
    tenant = cell.tenants[0]
    async with inside(cell, tenant, login=login, role=role) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"SELECT * FROM {tenant.schema}.evidence_key")


async def test_one_that_is_destroyed_while_it_moves_stays_destroyed(cell: KeyCell) -> None:
    tenant = cell.tenants[0]
    (gone, encrypted), kept = await made(cell, tenant), await made(cell, tenant)
    cell.ask()
    async with cell.custodian() as connection:
        root = await flip_root(connection, cell.provider(), cell.lasts)
        assert root == 2
        (current,) = await epochs_of(connection, schema_of(tenant))
        await flip_tenant(connection, cell.provider(), schema_of(tenant), current, root)
    change = f"UPDATE {tenant.schema}.evidence_key SET wrapped = NULL, epoch = NULL, destroyed_at = now() WHERE key_id = $1"
    async with cell.custodian() as connection:
        epochs = await epochs_of(connection, schema_of(tenant))
        old, new = [await open_kek(cell.provider(), schema_of(tenant), epoch) for epoch in epochs]
        await rewrap_evidence_keys(
            connection, schema_of(tenant), [old], new, between=lambda: cell.world.sql(change, gone)
        )
    await cell.finish()
    with pytest.raises(KeyGone):
        await read(cell, tenant, gone, encrypted)
    assert await read(cell, tenant, *kept) == DETAILS


async def test_a_restored_database_gets_them_back_from_the_export_but_not_the_destroyed(
    cell: KeyCell, prepared: Prepared
) -> None:
    tenant = cell.tenants[0]
    kept, in_export, in_copy = [await made(cell, tenant) for _ in range(3)]
    copy = copy_of(cell.world, cell.world.service.root, prepared.port_base, keys=False)
    restored = KeyCell(copy, cell.tenants)
    try:
        await destroy(cell, tenant, in_export[0])
        await cell.rotate()
        async with cell.custodian() as connection:
            await export_keys(connection, cell.provider(), cell.places)
        await destroy(restored, tenant, in_copy[0])
        with pytest.raises(KeyNotYetKnown):
            await read(restored, tenant, *kept)
        async with restored.custodian() as connection:
            done = await recover(connection, restored.provider(), newest_export(cell.places))
        assert done.lost == 0
        assert await read(restored, tenant, *kept) == DETAILS
        for one in (in_export, in_copy):
            with pytest.raises(KeyGone):
                await read(restored, tenant, *one)
    finally:
        World.drop_database(copy.stack, copy.service.database)
