"""A log in doubt that somebody answers for: erasure goes on with exactly the entries that were looked at.

What was signed before stays signed: kept heads are marked as dropped, and the new tree holds an entry that says from where
on nothing vouches for it. Must never accept other entries than those whose root was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from contracts.merkle import Frontier, leaf_hash
from store.audit.log import SQL, AuditEntry, What, append
from store.audit.sequencer import SEQUENCER_LOCK, Sequencer
from store.audit.standing import LogDoubted
from store.database import translated

if TYPE_CHECKING:
    from store.database import Connection

_BY: Final = "erasure"


@dataclass(frozen=True, slots=True)
class Doubted:
    """What stands there now. `root`: hex of the tree of the entries that nothing vouches for, in their order."""

    reason: str
    first_leaf: int
    entries: int
    root: str


async def found(sequencer: Sequencer, connection: Connection) -> Doubted | None:
    """What would be accepted; None when there is nothing in doubt. Raises BrokerUnavailable or DatabaseUnavailable."""
    try:
        await sequencer.stand(connection)
    except LogDoubted as exc:
        first = await sequencer.begin_at_anchored()
        entries, root = await _tree(connection, first)
        return Doubted(exc.reason, first, entries, root)
    return None


async def accept(sequencer: Sequencer, connection: Connection, root: str) -> int:
    """Let the log go on with the entries of that root, sign and anchor them; how many. `connection`: as mk_erasure.

    Waits until no erasure process is the sequencer. Raises LogDoubted if the entries are others by now.
    """
    await sequencer.await_turn(connection)
    try:
        seen = await found(sequencer, connection)
        if seen is None:
            return 0
        with translated():
            async with connection.transaction(isolation="repeatable_read"):
                entries, now = await _tree(connection, seen.first_leaf)
                if now != root:
                    raise LogDoubted("other_entries")
                await connection.execute(SQL["drop_heads"], seen.first_leaf)
                await connection.execute(SQL["free_surplus"], seen.first_leaf)
                numbers = {"first_leaf": seen.first_leaf, "entries": entries}
                await append(
                    connection,
                    AuditEntry(
                        What.LOG_ACCEPTED,
                        _BY,
                        reason=seen.reason,
                        digest=bytes.fromhex(now),
                        numbers=numbers,
                    ),
                )
        while await sequencer.step(connection):
            continue
        return entries
    finally:
        with translated():
            await connection.fetchval(SQL["leave_sequencer"], SEQUENCER_LOCK)


async def _tree(connection: Connection, first: int) -> tuple[int, str]:
    tree = Frontier()
    for row in await connection.fetch(SQL["placed_from"], first):
        tree.append(leaf_hash(row["entry"]))
    return tree.size, tree.root().hex()
