"""One cell's audit log with a sequencer that steps when told, and what a forger of it does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from contracts import outcomes, receipts, topics
from contracts.outcomes import Outcome, State
from contracts.receipt_words import IdentityCheck
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer
from deploy.local.stack import Endpoints
from runtime.kafka.clients import Producer, acknowledged
from runtime.kafka.topic_log import TopicLog
from runtime.kafka.topics import TopicAdmin, TopicSettings
from runtime.metrics import ProcessMetrics
from store.audit.anchored import read_all
from store.audit.cli_audit import read_rows
from store.audit.examine import Examined, examine
from store.audit.log import AuditEntry, What, append
from store.audit.sequencer import Sequencer
from tests.integration.custody.conftest import Cell
from tests.support.world import delete_topics

ERASURE = Signer.from_bytes("erasure", b"e" * 32)
KNOWN = KnownSigner("erasure", ERASURE.public_raw, RIGHTS_BY_PROCESS["erasure"])
EDIT = """UPDATE mk.audit_entry SET entry = convert_to(replace(convert_from(entry, 'UTF8'), '"n":2', '"n":7'), 'UTF8')"""
_RECEIPTS = Signer.from_bytes("receipts", b"r" * 32)


def signers(name: str) -> KnownSigner | None:
    """Erasure, and nobody else."""
    return KNOWN if name == "erasure" else None


class Log:
    """One cell's audit log. `sequencer` steps when told; `metrics` are what all of them say."""

    def __init__(self, cell: Cell, connection: Any, producer: Producer, outcomes_log: TopicLog) -> None:
        self.cell, self.connection, self.producer, self.outcomes = cell, connection, producer, outcomes_log
        self.metrics = ProcessMetrics("erasure")
        self.sequencer = self.another()

    def another(self, producer: Producer | None = None) -> Sequencer:
        """Of another process."""
        return Sequencer(
            self.cell.logins["mk_erasure"],
            self.cell.kafka,
            producer or self.producer,
            ERASURE,
            signers,
            self.outcomes,
            self.metrics,
            self.cell.tls("erasure"),
        )

    async def say(self, count: int) -> None:
        """Append entries."""
        for number in range(count):
            entry = AuditEntry(What.ERASURE_EXECUTED, "erasure", request=uuid4(), numbers={"n": number})
            await append(self.connection, entry)

    async def anchor(self, *counts: int) -> None:
        """Append so many entries and anchor them, for each of `counts`."""
        for count in counts:
            await self.say(count)
            await self.sequencer.step(self.connection)

    async def answer(self) -> None:
        """A request is answered, with a receipt that names the newest head."""
        row = await self.connection.fetchrow(
            "SELECT tree_size, root FROM mk.audit_checkpoint ORDER BY tree_size DESC LIMIT 1"
        )
        now_ms = int(
            1000 * await self.connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        )
        told = outcome_of(row["tree_size"], row["root"].hex(), now_ms)
        key, value, headers = outcomes.encode(told, ERASURE)
        await acknowledged(await self.producer.send(topics.ERASURE_OUTCOMES, value, key=key, headers=headers))

    async def examine(self) -> Examined:
        """Every entry against the topic."""
        anchored = await read_all(self.cell.kafka, signers, self.cell.tls("operator"))
        return examine(await read_rows(self.connection), anchored.checkpoints)

    async def tamper(self, statement: str, *arguments: object) -> None:
        """As somebody who owns the tables."""
        async with self.cell.connection() as connection, connection.transaction():
            await connection.execute("SET LOCAL ROLE mk_owner")
            await connection.execute(statement, *arguments)

    async def empty_topic(self) -> None:
        """Whatever was anchored is gone."""
        await empty_checkpoints(self.cell.endpoints)


async def empty_checkpoints(endpoints: Endpoints) -> None:
    """As the cluster's administrator."""
    admin = AIOKafkaAdminClient(**endpoints.kafka_client())
    await admin.start()
    try:
        at = TopicPartition(topics.AUDIT_CHECKPOINTS, 0)
        await admin.delete_records({at: RecordsToDelete(before_offset=-1)})
    finally:
        await admin.close()


def outcome_of(tree_size: int, root: str, at_ms: int) -> Outcome:
    """An answered request whose receipt names that head."""
    receipt = receipts.ErasureReceipt(
        protocol=UUID(int=7),
        signer=receipts.key_id(_RECEIPTS.public_raw),
        kind="subject",
        origin="operator",
        parties=(receipts.ReceiptParty(role="operator", party="mkchannels"),),
        identity=IdentityCheck.CONFIRMED_BY_OPERATOR,
        requested_at_ms=at_ms,
        received_at_ms=at_ms,
        decided_at_ms=at_ms,
        executed_at_ms=None,
        live_erased_at_ms=at_ms,
        irrecoverable_on=None,
        due_on=None,
        issued_at_ms=at_ms,
        subjects=(),
        erased=(),
        removals=(),
        kept=(),
        told=(),
        audit=receipts.AuditRoot(tree_size=tree_size, root=root),
    )
    return Outcome(
        request=UUID(int=7),
        tenant=None,
        kind="subject",
        origin="operator",
        state=State.ANSWERED,
        at_ms=at_ms,
        requested_at_ms=at_ms,
        received_at_ms=at_ms,
        receipt=receipts.sign(receipt, _RECEIPTS).decode(),
    )


@asynccontextmanager
async def opened(cell: Cell) -> AsyncIterator[Log]:
    """The log of a fresh cell, on fresh topics."""
    delete_topics(cell.endpoints)
    async with TopicAdmin(cell.kafka, TopicSettings(), cell.tls("custodian")) as admin:
        await admin.ensure(
            [topics.BY_NAME[topics.AUDIT_CHECKPOINTS], topics.BY_NAME[topics.ERASURE_OUTCOMES]]
        )
    producer = Producer(cell.kafka, "test-audit", tls=cell.tls("erasure"))
    outcomes_log = TopicLog(cell.kafka, "test-outcomes", topics.ERASURE_OUTCOMES, cell.tls("erasure"))
    await producer.start()
    try:
        async with cell.connection("mk_erasure") as connection:
            log = Log(cell, connection, producer, outcomes_log)
            await log.sequencer.resume(connection)
            yield log
    finally:
        await outcomes_log.stop()
        await producer.stop()
