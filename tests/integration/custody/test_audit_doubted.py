"""Who can write to the tables and empties the checkpoints topic gets no other log signed; an honest database goes on."""

import json
from collections.abc import AsyncIterator

import pytest

from contracts import topics
from contracts.audit_checkpoints import Head
from contracts.errors import BrokerUnavailable
from runtime.kafka.clients import Producer
from store.audit.accept import accept, found
from store.audit.anchored import read_all
from store.audit.cli_audit import read_rows
from store.audit.examine import Finding, Wrong
from store.audit.standing import LogDoubted, stand
from store.audit.witness import newest_witness
from tests.integration.custody.conftest import Cell
from tests.support.audit_log import EDIT, Log, opened, signers
from tests.support.erasure import read_all as read_topic

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

UNPLACE = "UPDATE mk.audit_entry SET leaf = NULL"
NO_HEADS = "DELETE FROM mk.audit_checkpoint"
FORGED = "UPDATE mk.audit_checkpoint SET signed = set_byte(signed, 20, get_byte(signed, 20) # 1)"


@pytest.fixture
async def log(cell: Cell) -> AsyncIterator[Log]:
    async with opened(cell) as one:
        yield one


async def refused_for(log: Log) -> str:
    """Why the next process does not go on; nothing of it may have been signed."""
    with pytest.raises(LogDoubted) as caught:
        await log.another().resume(log.connection)
    assert (await read_all(log.cell.kafka, signers, log.cell.tls("operator"))).heads == ()
    return caught.value.reason


async def test_a_lost_topic_is_written_again_byte_for_byte_and_only_what_was_signed(log: Log) -> None:
    await log.anchor(3, 2)
    before = await read_topic(log.cell.endpoints, topics.AUDIT_CHECKPOINTS)
    await log.empty_topic()
    following = log.another()
    await following.resume(log.connection)
    after = await read_topic(log.cell.endpoints, topics.AUDIT_CHECKPOINTS)
    assert [(one.key, one.value, one.headers) for one in after] == [
        (one.key, one.value, one.headers) for one in before
    ]
    await log.say(1)
    await following.step(log.connection)
    seen = await log.examine()
    assert (seen.findings, seen.anchored) == ((), 6)
    await _signed_only(log)
    assert (await log.examine()).anchored == 6
    await log.another().resume(log.connection)
    seen = await log.examine()
    assert (seen.findings, seen.anchored) == ((), 7)
    await _signed_only(log)
    await log.tamper("UPDATE mk.audit_entry SET entry = '{}' WHERE leaf = 7")
    with pytest.raises(LogDoubted, match="other_entries"):
        await log.another().resume(log.connection)
    assert (await log.examine()).anchored == 7


async def _signed_only(log: Log) -> None:
    """An entry whose head is signed and kept; then the broker is away."""
    await log.say(1)
    cut_off = log.another(Producer("127.0.0.1:1", "test-audit-nowhere"))
    await cut_off.resume(log.connection)
    with pytest.raises(BrokerUnavailable):
        await cut_off.step(log.connection)


DOUBTS = [
    ([EDIT], "other_entries"),
    (["DELETE FROM mk.audit_entry WHERE leaf = 1"], "other_entries"),
    (["DELETE FROM mk.audit_entry WHERE leaf = 4"], "other_entries"),
    ([f"{UNPLACE} WHERE leaf = 4"], "other_entries"),
    ([EDIT, NO_HEADS], "no_head"),
    (["DELETE FROM mk.audit_checkpoint WHERE tree_size = 5"], "no_head"),
    ([EDIT, "UPDATE mk.audit_checkpoint SET signed = NULL, key_id = NULL"], "no_head"),
    ([EDIT, FORGED], "unverified"),
    ([FORGED, "UPDATE mk.audit_checkpoint SET key_id = repeat('0', 16)"], "other_key"),
    (["DELETE FROM mk.audit_checkpoint WHERE tree_size = 2"], "other_tree"),
    # Put back to its beginning, and to an older head: what is left is in itself as it was signed.
    ([EDIT, UNPLACE, NO_HEADS], "older"),
    ([EDIT, f"{NO_HEADS} WHERE tree_size > 2", f"{UNPLACE} WHERE leaf >= 2"], "older"),
]


async def test_what_was_changed_while_the_topic_was_emptied_is_not_signed(log: Log) -> None:
    await log.anchor(2, 3)
    await log.answer()
    await log.empty_topic()
    for name in ("entry", "checkpoint"):
        await log.tamper(f"CREATE TABLE mk.before_{name} AS SELECT * FROM mk.audit_{name}")
    for statements, reason in DOUBTS:
        for statement in statements:
            await log.tamper(statement)
        assert (statements, await refused_for(log)) == (statements, reason)
        for name in ("entry", "checkpoint"):
            await log.tamper(f"DELETE FROM mk.audit_{name}")
            await log.tamper(
                f"INSERT INTO mk.audit_{name} OVERRIDING SYSTEM VALUE SELECT * FROM mk.before_{name}"
            )
    await log.another().resume(log.connection)
    seen = await log.examine()
    assert (seen.findings, seen.anchored) == ((), 5)


async def test_a_restored_database_goes_on_behind_what_was_anchored_also_when_the_topic_is_lost_later(
    log: Log,
) -> None:
    await log.anchor(3, 2, 1)
    await log.tamper("DELETE FROM mk.audit_entry WHERE leaf >= 3")
    await log.tamper("DELETE FROM mk.audit_checkpoint WHERE tree_size > 3")
    # As an earlier release kept it.
    await log.tamper("UPDATE mk.audit_checkpoint SET signed = NULL, key_id = NULL")
    restored = log.another()
    await restored.resume(log.connection)
    await restored.step(log.connection)
    told = json.loads((await read_rows(log.connection))[3].entry)
    assert (told["what"], told["numbers"]) == ("log.restored", {"first_leaf": 3, "next_leaf": 6})
    await log.empty_topic()
    following = log.another()
    await following.resume(log.connection)
    await log.say(1)
    await following.step(log.connection)
    seen = await log.examine()
    assert (seen.findings, seen.anchored) == ((Finding(Wrong.REMOVED, 3, 5),), 8)
    await log.tamper("UPDATE mk.audit_checkpoint SET signed = NULL, key_id = NULL WHERE tree_size < 8")
    await log.another().resume(log.connection)
    assert len(await read_rows(log.connection)) == 5, "nothing was lost this time, and nothing says so"


async def test_no_transaction_stays_open_while_the_topic_is_searched_for_what_a_receipt_names(
    log: Log,
) -> None:
    await log.anchor(2)
    await log.answer()
    await log.anchor(1)
    # As in a database from before: only the topic has the head that the receipt names.
    await log.tamper("DELETE FROM mk.audit_checkpoint WHERE tree_size = 2")
    heads = (await read_all(log.cell.kafka, signers, log.cell.tls("operator"))).heads
    asked: list[bool] = []

    async def earlier(tree_size: int) -> Head | None:
        asked.append(log.connection.is_in_transaction())
        return next(head for head in heads if head.tree_size == tree_size)

    witness = await newest_witness(log.outcomes, signers)
    await stand(log.connection, heads[-1], witness, signers, earlier)
    assert asked == [False]


async def test_what_is_doubted_is_signed_once_somebody_accepts_exactly_that(log: Log) -> None:
    await log.anchor(3)
    await log.answer()
    await log.empty_topic()
    await log.tamper(EDIT)
    seen = await found(log.another(), log.connection)
    assert seen is not None
    assert (seen.reason, seen.entries) == ("other_entries", 3)
    with pytest.raises(LogDoubted):
        await accept(log.another(), log.connection, "00" * 32)
    assert await accept(log.another(), log.connection, seen.root) == 3
    assert (await log.examine()).findings == ()
    assert await found(log.another(), log.connection) is None
    assert b'"log.accepted"' in (await read_rows(log.connection))[-1].entry
    # An older acceptance excuses nothing that is done later.
    await log.answer()
    await log.empty_topic()
    await log.tamper(UNPLACE)
    await log.tamper(NO_HEADS)
    assert await refused_for(log) == "older"
