"""The sequencer: gives committed entries their places in the tree, signs its heads, and anchors them on Kafka.

It runs in the erasure process, which alone may sign checkpoints; of several processes the one that holds the session
lock acts. What was anchored is the truth: a database that was restored from before goes on behind the anchored tree,
with the lost entries missing, and says so in an entry. It signs nothing that no signed head vouches for
(`store.audit.standing`), and while it does not, nothing is erased. PRIVACY.md section 5.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from contracts import topics
from contracts.audit_checkpoints import MOST_LEAVES, Checkpoint, Head, checkpoint_of, sign
from contracts.erasure_metrics import (
    ERASURE_AUDIT_ANCHORED,
    ERASURE_AUDIT_REFUSALS,
    ERASURE_AUDIT_TRUSTED,
)
from contracts.errors import TransientError
from contracts.merkle import Frontier, leaf_hash
from contracts.receipts import key_id
from contracts.signing import Signer, SignerLookup
from runtime import logging
from runtime.kafka.clients import Producer, acknowledged
from runtime.kafka.topic_log import TopicLog
from runtime.metrics import ProcessMetrics
from store.audit.anchored import each_head, read_last
from store.audit.log import SQL, AuditEntry, What, append
from store.audit.standing import LogDoubted, Standing, key_of, stand
from store.audit.witness import newest_witness
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
        outcomes: TopicLog,
        metrics: ProcessMetrics,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`outcomes`: the log of the outcomes topic, whose receipts name heads that were anchored."""
        self._database, self._kafka, self._tls = database, kafka, tls
        self._producer, self._signer, self._signers = producer, signer, signers
        self._outcomes, self._metrics = outcomes, metrics
        self._woken = asyncio.Event()
        self._head: Checkpoint | None = None
        self._is_acting = False
        self._settled = asyncio.Event()
        self._doubted = asyncio.Event()
        self._doubt: LogDoubted | None = None

    def wake(self) -> None:
        """An entry was committed."""
        self._woken.set()

    async def admit(self, connection: Connection) -> None:
        """Return when the log can be gone on with: nothing may be erased without it. For whoever acts, before it acts.

        Raises LogDoubted, BrokerUnavailable or DatabaseUnavailable.
        """
        await self._settled.wait()
        if (
            self._doubt is None and not self._is_acting
        ):  # another process is the sequencer: what it found is its own
            await self._judged(self.stand(connection))
        if self._doubt is not None:
            raise self._doubt

    async def doubt(self) -> None:
        """Wait until this log cannot be gone on with, which is then raised: LogDoubted."""
        await self._doubted.wait()
        raise self._doubt or LogDoubted("no_head")

    async def run(self) -> None:
        """Place and anchor for ever; waits for Kafka and Postgres when they are away, and while the log is in doubt."""
        pause_s = 0.2
        while True:
            try:
                async with connected(self._database, "mk-audit") as connection:
                    await self.await_turn(connection)
                    await self._judged(self.resume(connection))
                    self._is_acting = True
                    self._settled.set()
                    pause_s = 0.2
                    while True:
                        if not await self.step(connection):
                            await self._wait()
            except TransientError as exc:
                if not isinstance(exc, LogDoubted):  # that was said where it was found
                    logging.get_logger().warning("audit.waited", exc=exc, wait_s=pause_s)
                self._is_acting = False
                await asyncio.sleep(pause_s)
                pause_s = min(LONGEST_PAUSE_S, pause_s * 2)

    async def _judged(self, work: Awaitable[object]) -> None:
        """Do it, and keep what is found of the log: a doubt, or that there is none. Raises what `work` does."""
        try:
            await work
        except LogDoubted as exc:
            self._metrics.counter(ERASURE_AUDIT_REFUSALS, exc.reason).inc()
            self._metrics.gauge(ERASURE_AUDIT_TRUSTED).set(0)
            if self._doubt is None or self._doubt.reason != exc.reason:
                logging.get_logger().error("audit.refused", reason=exc.reason)
            self._doubt = exc
            self._doubted.set()
            self._settled.set()
            raise
        if self._doubt is not None:
            logging.get_logger().info("audit.accepted")
        self._doubt = None
        self._doubted.clear()
        self._metrics.gauge(ERASURE_AUDIT_TRUSTED).set(1)

    async def await_turn(self, connection: Connection) -> None:
        """Return when this connection holds the right to be the sequencer. Raises DatabaseUnavailable."""
        while True:
            with translated():
                if await connection.fetchval(SQL["try_sequencer"], SEQUENCER_LOCK):
                    return
            self._settled.set()
            await asyncio.sleep(EVERY_S)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(EVERY_S):
                await self._woken.wait()
        except TimeoutError:
            return
        finally:
            self._woken.clear()

    async def stand(self, connection: Connection) -> Standing:
        """What there is to go on from; changes nothing. Raises LogDoubted, BrokerUnavailable or DatabaseUnavailable."""
        anchored = await read_last(self._kafka, self._signers, self._tls)
        witness = await newest_witness(self._outcomes, self._signers)
        return await stand(connection, anchored, witness, self._signers, self._earlier)

    async def begin_at_anchored(self) -> int:
        """Go on right behind what is anchored, whatever is kept; how many entries that is. Raises BrokerUnavailable."""
        anchored = await read_last(self._kafka, self._signers, self._tls)
        self._head = None if anchored is None else anchored.checkpoint
        return 0 if anchored is None else anchored.tree_size

    async def _earlier(self, tree_size: int) -> Head | None:
        async with aclosing(each_head(self._kafka, self._signers, self._tls)) as heads:
            async for head in heads:
                if head.tree_size == tree_size:
                    return head
        return None

    async def resume(self, connection: Connection) -> None:
        """Go on from what is anchored: take over what this database has lost, anchor what was signed only, as it was signed.

        Raises LogDoubted when nothing signed vouches for what is here.
        """
        standing = await self.stand(connection)
        self._head = None if standing.anchored is None else standing.anchored.checkpoint
        if standing.anchored is not None:
            with translated():
                lacks = await connection.fetchval(SQL["lacks_heads"], standing.anchored.tree_size)
                kept = await connection.fetchval(SQL["head_at"], standing.anchored.tree_size)
            if lacks or kept != standing.anchored.packed:
                await self._take_over(connection, standing.anchored)
            # Who was killed between the topic's answer and this mark left it out: receipts would wait for another entry.
            await self._mark_anchored(connection, standing.anchored)
        for head in standing.unanchored:
            await self._anchor(connection, head)

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
                head = sign(checkpoint_of(tree, leaves, int(time.time() * 1000)), self._signer)
                await self._put(connection, head)
        await self._anchor(connection, head)
        return len(rows)

    async def _anchor(self, connection: Connection, head: Head) -> None:
        key, value, headers = head.record()
        future = await self._producer.send(
            topics.AUDIT_CHECKPOINTS, value, key=key, headers=headers, partition=0
        )
        await acknowledged(future)
        self._head = head.checkpoint
        await self._mark_anchored(connection, head)

    async def _mark_anchored(self, connection: Connection, head: Head) -> None:
        self._metrics.gauge(ERASURE_AUDIT_ANCHORED).set(head.tree_size)
        with translated():
            await connection.execute(SQL["anchored"], head.tree_size)

    async def _take_over(self, connection: Connection, anchored: Head) -> None:
        """The topic's heads become this database's, all of them: if the topic is lost one day, they are what is anchored again."""
        size = anchored.tree_size
        with translated():
            async with (
                connection.transaction(),
                aclosing(each_head(self._kafka, self._signers, self._tls)) as heads,
            ):
                kept = int(await connection.fetchval(SQL["largest_checkpoint"]))
                root = await connection.fetchval(SQL["root_at"], size)
                async for head in heads:
                    if (
                        head.tree_size <= size
                        and await connection.fetchval(SQL["head_at"], head.tree_size) != head.packed
                    ):
                        await self._put(connection, head)
                        await connection.execute(SQL["anchored"], head.tree_size)
                if root is not None and root.hex() == anchored.checkpoint.root:
                    return  # only signatures were not kept
                numbers = {"first_leaf": min(kept, size), "next_leaf": size}
                await append(connection, AuditEntry(What.LOG_RESTORED, self._signer.name, numbers=numbers))
        logging.get_logger().error("audit.entries_lost", count=numbers["next_leaf"] - numbers["first_leaf"])

    async def _put(self, connection: Connection, head: Head) -> None:
        checkpoint = head.checkpoint
        await connection.execute(
            SQL["put_checkpoint"],
            checkpoint.tree_size,
            bytes.fromhex(checkpoint.root),
            head.record()[1],
            checkpoint.at_ms,
            head.packed,
            key_of(head, self._signers) or key_id(self._signer.public_raw),
        )
