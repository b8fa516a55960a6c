"""Tenants: provisioned whole or not at all, resumed after a kill at any step, apart from one another."""

import asyncio
from uuid import UUID

import asyncpg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.control import RECIPIENT_ERASURE, ControlView, tenant_recipient
from contracts.hybrid import HybridPublicKey
from contracts.key_file import REQUEST_KEYS, current_key
from contracts.signing import KnownSigner, Right
from contracts.topics import tenant_events_topic
from store.custody.database import custody
from store.custody.errors import NoFreeSlot
from store.custody.partitions import existing_partitions, missing_partitions
from store.custody.provision import Step
from store.custody.settings import load_public_keys
from store.keys.cells import kek_aad, pseudonym_key_aad, unwrap_key
from store.keys.keyring import LocalKeyring
from tests.integration.custody.conftest import Cell, Custodian

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


class _Killed(Exception):
    """Stands for the end of the process at this point."""


async def _assert_complete(cell: Cell, custodian: Custodian, tenant: UUID) -> None:
    connection = custodian.connection
    row = await connection.fetchrow(
        "SELECT t.*, s.slot, s.state AS slot_state FROM mk.tenant t JOIN mk.slot s USING (tenant_id) "
        "WHERE tenant_id = $1",
        tenant,
    )
    assert (row["state"], row["slot_state"]) == ("ready", "bound")
    schema = row["schema_name"]
    async with connection.transaction():
        await connection.execute("SET LOCAL ROLE mk_owner")
        epoch = await connection.fetchrow(f"SELECT * FROM {schema}.epoch")
        wrapped = await connection.fetchval(f"SELECT wrapped FROM {schema}.pseudonym_key")
    keyring = LocalKeyring(cell.secrets("store"))
    kek = AESGCM(await keyring.unwrap(epoch["root_epoch"], epoch["wrapped_kek"], kek_aad(tenant, 1)))
    pseudonym_key = unwrap_key(kek, wrapped, pseudonym_key_aad(tenant, 1))
    assert pseudonym_key == cell.secrets("router").get(f"pseudonym-{tenant}")
    now = custodian.tools.clock.now()
    partitions = (await existing_partitions(connection, [schema]))[schema]
    assert missing_partitions(row["period"], now, partitions) == []
    async with cell.view() as view:
        key = view.sealing_key(tenant_recipient(tenant), now)
        assert key is not None
        assert f"transport-{tenant}-{key[0].key_id.hex()}" in cell.secrets("store").names()
        assert view.tenants[tenant].slot == row["slot"]
        assert view.slots[row["slot"]].tenant == tenant
    assert tenant_events_topic(row["slot"]) in await custodian.tools.admin.existing()


async def test_a_requested_tenant_gets_everything_before_control_says_that_it_is_ready(cell: Cell) -> None:
    async with cell.custodian() as custodian:
        await custodian.prepare()
        tenant = await custodian.request(partitions=8, period="week")
        assert await custodian.duties.quick_pass()
        await _assert_complete(cell, custodian, tenant)
        for period in ("month", "day"):
            other = await custodian.request(period=period)
            assert await custodian.duties.quick_pass()
            await _assert_complete(cell, custodian, other)


@pytest.mark.parametrize("step", list(Step))
async def test_a_custodian_killed_after_any_step_is_resumed_by_the_next(cell: Cell, step: Step) -> None:
    def die(_tenant: UUID, reached: Step) -> None:
        if reached == step:
            raise _Killed

    async with cell.custodian() as first:
        await first.prepare()
        tenant = await first.request()
        with pytest.raises(_Killed):
            await first.provisioner(die).provision(tenant, "requested")
    async with cell.view() as view:
        assert (tenant in view.tenants) == (step in (Step.TENANT_ANNOUNCED, Step.READY))
    async with cell.custodian() as second:
        assert await second.duties.quick_pass()
        await _assert_complete(cell, second, tenant)
        # The private half that the killed one left is used, not a second one beside it.
        assert len(cell.secrets("store").names(f"transport-{tenant}-")) == 1


async def test_a_transaction_that_fails_in_the_middle_leaves_no_slot_role_or_schema(cell: Cell) -> None:
    async with cell.custodian() as custodian:
        await custodian.prepare()
        tenant = await custodian.request()
        schema = await custodian.schema(tenant)
        async with custodian.connection.transaction():
            await custodian.connection.execute("SET LOCAL ROLE mk_owner")
            await custodian.connection.execute(f"CREATE SCHEMA {schema}")
        with pytest.raises(asyncpg.DuplicateSchemaError):
            await custodian.provisioner().provision(tenant, "requested")
        fetch = custodian.connection.fetchval
        assert await fetch("SELECT count(*) FROM mk.slot WHERE tenant_id IS NOT NULL") == 0
        assert await fetch("SELECT count(*) FROM pg_roles WHERE rolname ~ $1", f"^{schema}") == 0
        assert await fetch("SELECT state FROM mk.tenant WHERE tenant_id = $1", tenant) == "requested"


async def test_two_custodians_at_once_bind_each_slot_once_and_only_one_acts(cell: Cell) -> None:
    async with cell.custodian() as one, cell.custodian() as other:
        await one.prepare()
        tenants = [await one.request(), await one.request()]
        # Even without the lock: the slots themselves are taken once.
        await asyncio.gather(
            one.provisioner().provision(tenants[0], "requested"),
            other.provisioner().provision(tenants[1], "requested"),
        )
        slots = await one.connection.fetch("SELECT slot FROM mk.slot WHERE tenant_id = ANY ($1)", tenants)
        assert len({row["slot"] for row in slots}) == 2
        async with custody(one.connection) as held, custody(other.connection) as also_held:
            assert held
            assert not also_held
        async with custody(other.connection) as held_now:
            assert held_now


async def test_a_tenant_waits_for_a_slot_of_its_size_and_others_do_not_wait_for_it(cell: Cell) -> None:
    async with cell.custodian() as custodian:
        await custodian.prepare()
        await custodian.connection.execute("UPDATE mk.slot SET state = 'creating' WHERE partitions = 8")
        large, small = await custodian.request(partitions=8), await custodian.request()
        with pytest.raises(NoFreeSlot):
            await custodian.provisioner().provision(large, "requested")
        assert not await custodian.duties.quick_pass()
        await _assert_complete(cell, custodian, small)
        assert await custodian.duties.quick_pass()
        await _assert_complete(cell, custodian, large)


async def test_used_slots_are_replaced_and_announced(cell: Cell) -> None:
    async with cell.custodian() as custodian:
        await custodian.prepare()
        await custodian.add_tenant()
        await custodian.duties.quick_pass()
        rows = await custodian.connection.fetch("SELECT slot FROM mk.slot WHERE state = 'free'")
        assert len(rows) == 3
        async with cell.view() as view:
            assert {view.slots[row["slot"]].state for row in rows} == {"free"}


async def test_logins_reach_a_tenants_rows_only_through_its_role_and_never_anothers(cell: Cell) -> None:
    async with cell.custodian() as custodian:
        await custodian.prepare()
        a = await custodian.schema(await custodian.add_tenant())
        b = await custodian.schema(await custodian.add_tenant())
    suffixes = {"mk_store": "", "mk_erasure": "_erase", "mk_reader": "_read"}
    for login, suffix in suffixes.items():
        async with cell.connection(login) as connection:
            for schema in (a, b):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch(f"SELECT * FROM {schema}.message")
            async with connection.transaction():
                await connection.execute(f"SET LOCAL ROLE {a}{suffix}")
                assert await connection.fetch(f"SELECT * FROM {a}.message") == []
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with connection.transaction():
                        await connection.fetch(f"SELECT * FROM {b}.message")
            for foreign in {"", "_erase", "_read"} - {suffix}:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(f"SET ROLE {a}{foreign}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("SET ROLE mk_owner")


async def test_a_full_pass_makes_the_days_keys_and_says_again_what_control_lacks(cell: Cell) -> None:
    async with cell.custodian() as custodian:
        await custodian.prepare()
        tenant = await custodian.add_tenant()
        await custodian.duties.full_pass()
        async with cell.view() as view:
            assert len(view.transport_keys(tenant_recipient(tenant))) == 4
            assert len(view.transport_keys("erasure")) == 4
            assert {"ingest", "router", "store"} <= set(view.signers)
        # A record that contradicts the database, as a delayed one of an earlier custodian would.
        slot = next(record for record in view.slots.values() if record.tenant == tenant)
        await custodian.tools.publisher.publish(slot.model_copy(update={"state": "free", "tenant": None}))
        assert await _slot_state(cell, slot.slot) == "free"
        await custodian.duties.full_pass()
        assert await _slot_state(cell, slot.slot) == "bound"


async def _slot_state(cell: Cell, slot: str) -> str:
    async with cell.view() as view:
        return str(view.slots[slot].state)


async def test_an_ended_private_half_is_destroyed_and_the_others_stay(cell: Cell) -> None:
    async with cell.custodian() as custodian:
        await custodian.prepare()
        tenant = await custodian.add_tenant()
        (name,) = cell.secrets("store").names(f"transport-{tenant}-")
        await custodian.connection.execute(
            "UPDATE mk.transport_key SET active_from = active_from - interval '12 days', "
            "seal_until = seal_until - interval '12 days' WHERE recipient = $1",
            tenant_recipient(tenant),
        )
        await custodian.duties.full_pass()
        left = cell.secrets("store").names(f"transport-{tenant}-")
        assert name not in left
        assert len(left) == 4


async def test_a_lost_root_key_is_not_replaced_in_silence(cell: Cell) -> None:
    async with cell.custodian() as custodian:
        await custodian.prepare()
        cell.secrets("store").destroy("root-1")
        duties = custodian.duties
        assert not await duties.full_pass()
        assert duties.failed
        assert cell.secrets("store").names("root-") == []


async def test_a_reader_with_other_pinned_signers_believes_none_of_it(cell: Cell) -> None:
    async with cell.custodian() as custodian:
        await custodian.prepare()
        tenant = await custodian.add_tenant()
        async with cell.view() as view:
            assert tenant in view.tenants
        stranger = ControlView({})
        pinned_by_nobody = type(custodian.tools.announced.reader)(
            cell.kafka, "test-stranger", stranger, tls=cell.tls("router")
        )
        async with pinned_by_nobody:
            assert stranger.tenants == {}
            assert stranger.signers == {}


async def test_receivers_find_erasures_public_keys_in_a_file_that_the_custodian_signs(cell: Cell) -> None:
    file = cell.keys / "public" / "request_keys.json"
    async with cell.custodian() as custodian:
        assert await custodian.duties.full_pass()
        pinned = KnownSigner(
            "custodian",
            load_public_keys(cell.keys / "public" / "custodian.pub", "TEST")[0],
            frozenset({Right.SIGN_REQUEST_KEYS}),
        )
        now = custodian.tools.clock.now()

        def current() -> HybridPublicKey:
            key = current_key(REQUEST_KEYS.decode(file.read_bytes(), pinned), now)
            assert key is not None
            return key[0]

        async with cell.view() as view:
            published = view.sealing_key(RECIPIENT_ERASURE, now)
        assert published is not None
        assert current() == published[0]
        assert f"transport-{current().key_id.hex()}" in cell.secrets("erasure").names()
        # An unchanged list is not written again, since receivers watch the file; a spoilt one is.
        publish = custodian.tools.request_keys.publish
        assert not await publish(custodian.connection, now)
        file.write_bytes(file.read_bytes().replace(b'"custodian"', b'"operator"'))
        assert await publish(custodian.connection, now)
        assert current() == published[0]
