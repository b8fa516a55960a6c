"""The sequencer: gives committed entries their places in the tree, signs its heads, and anchors them on Kafka.

It runs in the erasure process, which alone may sign checkpoints; of several processes the one that holds the session
lock acts. What was anchored is the truth: a database that was restored from before goes on behind the anchored tree,
with the lost entries missing, and says so in an entry. PRIVACY.md section 5.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import TYPE_CHECKING, Final

from contracts import topics
from contracts.audit_checkpoints import MOST_LEAVES, Checkpoint, checkpoint_of, encode
from contracts.canonical import canonical
from contracts.errors import TransientError
from contracts.merkle import Frontier, leaf_hash
from contracts.signing import Signer, SignerLookup
from runtime import logging
from runtime.kafka.clients import Producer, acknowledged
from store.audit.anchored import read_last
from store.audit.log import SQL, AuditEntry, What, append
from store.database import connected, translated

if TYPE_CHECKING:
    from store.database import Connection

SEQUENCER_LOCK: Final = 0x6D6B_0004
"""The session advisory lock of whoever is the sequencer."""
EVERY_S: Final = 0.5
LONGEST_PAUSE_S: Final = 5.0


class Sequencer:
    """One process's sequencer. `run` is a task for the supervisor; `wake` spares what waits for a place half a second."""

    def __init__(
        self,
        database: str,
        kafka: str,
        producer: Producer,
        signer: Signer,
        signers: SignerLookup,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._database, self._kafka, self._tls = database, kafka, tls
        self._producer, self._signer, self._signers = producer, signer, signers
        self._woken = asyncio.Event()
        self._head: Checkpoint | None = None

    def wake(self) -> None:
        """An entry was committed."""
        self._woken.set()

    async def run(self) -> None:
        """Place and anchor for ever; waits for Kafka and Postgres when they are away."""
        pause_s = 0.2
        while True:
            try:
                async with connected(self._database, "mk-audit") as connection:
                    await self._await_turn(connection)
                    await self.resume(connection)
                    pause_s = 0.2
                    while True:
                        if not await self.step(connection):
                            await self._wait()
            except TransientError as exc:
                logging.get_logger().warning("audit.waited", exc=exc, wait_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    async def _await_turn(self, connection: Connection) -> None:
        while True:
            with translated():
                if await connection.fetchval(SQL["try_sequencer"], SEQUENCER_LOCK):
                    return
            await asyncio.sleep(EVERY_S)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(EVERY_S):
                await self._woken.wait()
        except TimeoutError:
            return
        finally:
            self._woken.clear()

    async def resume(self, connection: Connection) -> None:
        """Go on from what is anchored: anchor what was signed only, or take over what this database has lost."""
        anchored = await read_last(self._kafka, self._signers, self._tls)
        size = anchored.tree_size if anchored is not None else 0
        with translated():
            rows = await connection.fetch(SQL["checkpoints_from"], size)
        known = {row["tree_size"]: row["record"] for row in rows}
        self._head = anchored
        if anchored is not None and known.get(size) != _record(anchored):
            await self._take_over(connection, anchored)
            return
        for row in rows:
            checkpoint = Checkpoint.model_validate_json(row["record"])
            # Whatever does not go on where the anchored tree ends was never anchored and never will be.
            if checkpoint.first_leaf == size:
                await self._anchor(connection, checkpoint)
                size = checkpoint.tree_size

    async def step(self, connection: Connection) -> int:
        """Place what is committed, at most one checkpoint's worth, and anchor its head; how many entries."""
        size = self._head.tree_size if self._head is not None else 0
        with translated():
            async with connection.transaction():
                await connection.execute(SQL["free_surplus"], size)
                rows = await connection.fetch(SQL["unplaced"], MOST_LEAVES)
                if not rows:
                    return 0
                tree = self._head.frontier() if self._head is not None else Frontier()
                leaves = [leaf_hash(row["entry"]) for row in rows]
                for leaf in leaves:
                    tree.append(leaf)
                await connection.execute(
                    SQL["place"], [row["id"] for row in rows], list(range(size, tree.size))
                )
                checkpoint = checkpoint_of(tree, leaves, int(time.time() * 1000))
                await self._put(connection, checkpoint)
        await self._anchor(connection, checkpoint)
        return len(rows)

    async def _anchor(self, connection: Connection, checkpoint: Checkpoint) -> None:
        key, value, headers = encode(checkpoint, self._signer)
        future = await self._producer.send(
            topics.AUDIT_CHECKPOINTS, value, key=key, headers=headers, partition=0
        )
        await acknowledged(future)
        self._head = checkpoint
        with translated():
            await connection.execute(SQL["anchored"], checkpoint.tree_size)

    async def _take_over(self, connection: Connection, anchored: Checkpoint) -> None:
        with translated():
            async with connection.transaction():
                kept = int(await connection.fetchval(SQL["largest_checkpoint"]))
                await self._put(connection, anchored)
                await connection.execute(SQL["anchored"], anchored.tree_size)
                numbers = {"first_leaf": min(kept, anchored.tree_size), "next_leaf": anchored.tree_size}
                await append(connection, AuditEntry(What.LOG_RESTORED, self._signer.name, numbers=numbers))
        logging.get_logger().error("audit.entries_lost", count=numbers["next_leaf"] - numbers["first_leaf"])

    @staticmethod
    async def _put(connection: Connection, checkpoint: Checkpoint) -> None:
        root, record = bytes.fromhex(checkpoint.root), _record(checkpoint)
        await connection.execute(SQL["put_checkpoint"], checkpoint.tree_size, root, record, checkpoint.at_ms)


def _record(checkpoint: Checkpoint) -> bytes:
    return canonical(checkpoint.model_dump(mode="json"))
