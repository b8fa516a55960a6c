"""The audit log on a real Postgres and Kafka: places, heads, restores, and who may touch what."""

import asyncio
import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from contracts import topics
from contracts.audit_checkpoints import checkpoint_of, encode
from contracts.merkle import Frontier, leaf_hash
from contracts.signing import Signer
from runtime.kafka.clients import acknowledged
from store.audit.anchored import read_all, read_last
from store.audit.cli_audit import read_rows
from store.audit.examine import Wrong
from store.audit.log import SQL
from store.lanes.queries import tenant_statements
from store.lanes.reading import Tenant, recorded
from tests.integration.custody.conftest import Cell
from tests.support.audit_log import EDIT, Log, opened, signers

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.fixture
async def log(cell: Cell) -> AsyncIterator[Log]:
    async with opened(cell) as one:
        yield one


async def test_committed_entries_get_places_in_order_and_a_signed_head(log: Log) -> None:
    await log.say(3)
    assert await log.sequencer.step(log.connection) == 3
    await log.say(2)
    assert await log.sequencer.step(log.connection) == 2
    assert await log.sequencer.step(log.connection) == 0
    rows = await read_rows(log.connection)
    assert [row.leaf for row in rows] == [0, 1, 2, 3, 4]
    assert [row.id for row in rows] == sorted(row.id for row in rows)
    seen = await log.examine()
    assert (seen.findings, seen.anchored, seen.waiting) == ((), 5, 0)
    told = json.loads(rows[0].entry)
    assert told["at_us"] > 1_700_000_000_000_000
    assert told["what"] == "erasure.executed"


async def test_an_entry_of_a_transaction_that_was_rolled_back_never_was(log: Log) -> None:
    transaction = log.connection.transaction()
    await transaction.start()
    await log.say(1)
    await transaction.rollback()
    assert await log.sequencer.step(log.connection) == 0


async def test_of_two_sequencers_one_acts_and_the_other_follows(log: Log) -> None:
    first, second = (asyncio.create_task(log.another().run()) for _ in range(2))
    try:
        await log.say(20)
        await _anchored(log, 20)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await log.say(5)
        await _anchored(log, 25)
    finally:
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
    assert (await log.examine()).findings == ()


async def _anchored(log: Log, size: int) -> None:
    async with asyncio.timeout(60):
        while True:
            last = await read_last(log.cell.kafka, signers, log.cell.tls("operator"))
            if last is not None and last.tree_size == size:
                return
            await asyncio.sleep(0.05)


async def test_a_head_that_reached_the_topic_before_a_kill_counts_as_anchored(log: Log) -> None:
    await log.anchor(2)
    # The topic had answered; the mark in the database was not committed.
    await log.tamper("UPDATE mk.audit_checkpoint SET anchored_at = NULL")
    await log.another().resume(log.connection)
    now = await log.connection.fetchval(SQL["now"])
    over = await log.connection.fetchrow(SQL["head_over"], now)
    assert over is not None, "no receipt can name it, until something else is written"
    assert over["tree_size"] == 2


async def test_a_forged_checkpoint_is_no_anchor(log: Log) -> None:
    await log.say(1)
    await log.sequencer.step(log.connection)
    tree = Frontier()
    tree.append(leaf_hash(b"forged"))
    tree.append(leaf_hash(b"forged"))
    forger = Signer.from_bytes("erasure", b"f" * 32)
    key, value, headers = encode(checkpoint_of(tree, [leaf_hash(b"forged")], 0), forger)
    await acknowledged(
        await log.producer.send(topics.AUDIT_CHECKPOINTS, value, key=key, headers=headers, partition=0)
    )
    anchored = await read_all(log.cell.kafka, signers, log.cell.tls("operator"))
    assert (len(anchored.checkpoints), anchored.refused) == (1, 1)
    assert (await read_last(log.cell.kafka, signers, log.cell.tls("operator"))) == anchored.heads[0]


SWAP = """UPDATE mk.audit_entry AS one SET entry = other.entry FROM mk.audit_entry AS other
          WHERE one.leaf IN (1, 2) AND other.leaf = 3 - one.leaf"""
INSERT = """INSERT INTO mk.audit_entry (leaf, entry) VALUES (3, '{"new":1}')"""
TAMPERINGS = [
    ([EDIT], Wrong.EDITED, 2),
    (["DELETE FROM mk.audit_entry WHERE leaf = 2"], Wrong.REMOVED, 2),
    (["DELETE FROM mk.audit_entry WHERE leaf >= 4"], Wrong.CUT, 4),
    (["UPDATE mk.audit_entry SET leaf = NULL WHERE leaf = 5"], Wrong.CUT, 5),
    ([SWAP], Wrong.MOVED, 1),
    (
        [
            "UPDATE mk.audit_entry SET leaf = 1000 + leaf WHERE leaf >= 3",
            "UPDATE mk.audit_entry SET leaf = leaf - 999 WHERE leaf >= 1000",
            INSERT,
        ],
        Wrong.INSERTED,
        3,
    ),
]


async def test_what_the_owner_of_the_tables_does_is_found_and_named(log: Log) -> None:
    await log.say(6)
    await log.sequencer.step(log.connection)
    await log.tamper("CREATE TABLE mk.audit_before AS SELECT id, leaf, entry FROM mk.audit_entry")
    for statements, wrong, leaf in TAMPERINGS:
        for statement in statements:
            await log.tamper(statement)
        findings = (await log.examine()).findings
        assert any(one.wrong is wrong and one.first <= leaf <= one.last for one in findings), (
            wrong,
            findings,
        )
        await log.tamper("DELETE FROM mk.audit_entry")
        await log.tamper(
            "INSERT INTO mk.audit_entry (id, leaf, entry) OVERRIDING SYSTEM VALUE SELECT * FROM mk.audit_before"
        )
        assert (await log.examine()).findings == ()


async def test_no_login_changes_or_removes_an_entry(log: Log) -> None:
    await log.say(1)
    await log.sequencer.step(log.connection)
    before = await read_rows(log.connection)
    for login in log.cell.logins:
        async with log.cell.connection(login) as connection:
            for statement in (
                "UPDATE mk.audit_entry SET entry = '{}'",
                "UPDATE mk.audit_entry SET appended_at = clock_timestamp()",
                "DELETE FROM mk.audit_entry",
                "TRUNCATE mk.audit_entry",
                "DELETE FROM mk.audit_checkpoint",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
            if login != "mk_erasure":
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute("UPDATE mk.audit_entry SET leaf = NULL")
    assert await read_rows(log.connection) == before


async def test_what_the_custodian_does_and_who_reads_is_in_the_log(cell: Cell) -> None:
    async with cell.custodian() as custodian:
        await custodian.prepare()
        tenant = await custodian.add_tenant()
        schema = await custodian.schema(tenant)
    async with cell.connection("mk_reader") as connection:
        read = Tenant(tenant, "a tenant", tenant_statements(schema))
        async with recorded(connection, read, "somebody", "ticket 4711", "messages"):
            record = await connection.fetchval("SELECT max(id) FROM mk.access_record")
    async with cell.connection("mk_erasure") as connection:
        told = [json.loads(row.entry) for row in await read_rows(connection)]
    assert [(one["what"], one["by"], one["tenant"]) for one in told] == [
        ("tenant.ready", "custodian", str(tenant)),
        ("data.read", "mk_reader", str(tenant)),
    ]
    assert told[1]["numbers"] == {"access_record": record}
    assert "somebody" not in json.dumps(told)
