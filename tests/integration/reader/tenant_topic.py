"""A tenant's topic on a real Kafka, with the keys of all who write and read it."""

from __future__ import annotations

import itertools
import os
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from uuid import UUID, uuid4

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from contracts import headers as h
from contracts import topics
from contracts.access import grant_permits, slot_permits
from contracts.hybrid import HybridPrivateKey
from contracts.ids import event_id
from contracts.reader import EventOpener, KeyFolder, TenantReader, pinned
from contracts.sealing import SealingEpoch
from contracts.signing import Signer
from contracts.subject_erased import SubjectErased, announcement
from deploy.local.stack import Endpoints
from runtime.kafka.acls import AclAdmin
from runtime.kafka.batch import headers as written
from runtime.kafka.clients import Producer, acknowledged
from runtime.kafka.topics import TopicAdmin, TopicSettings
from runtime.tls import TlsFiles, client_context

_numbers = itertools.count(1)
READER = "reader-tests"
MARIA, JOSE = b"maria...........", b"jose............"


@dataclass(frozen=True, slots=True)
class TenantTopic:
    """The writers' side, and what a reader is given."""

    endpoints: Endpoints
    topic: str
    tenant: UUID
    keys: Path
    private: HybridPrivateKey
    signers: dict[str, Signer]
    producer: Producer
    partitions: int

    @classmethod
    @asynccontextmanager
    async def on(cls, endpoints: Endpoints, keys: Path, partitions: int = 1) -> AsyncIterator[Self]:
        """A fresh topic; the reader's key folder is `keys` and has the tenant's key."""
        slot = f"reader{os.getpid()}x{next(_numbers)}"
        tls = endpoints.kafka_tls("custodian")
        async with TopicAdmin(endpoints.kafka, TopicSettings(), tls) as admin:
            await admin.ensure(topics.slot_topics(slot, partitions)[:1])
        async with AclAdmin(endpoints.kafka, tls) as acls:
            await acls.add(slot_permits(slot) | grant_permits(READER, slot))
        producer = Producer(endpoints.kafka, "test-router", tls=endpoints.kafka_tls("router"))
        await producer.start()
        private = HybridPrivateKey.generate()
        (keys / f"transport-{private.public.key_id.hex()}").write_bytes(private.raw)
        signers = {
            name: Signer.from_bytes(name, os.urandom(32))
            for name in ("router", "erasure", "store", "mallory")
        }
        topic = topics.tenant_events_topic(slot)
        try:
            yield cls(endpoints, topic, uuid4(), keys, private, signers, producer, partitions)
        finally:
            await producer.stop()

    # What the pipeline writes.

    async def say(
        self,
        *texts: str,
        partition: int = 0,
        person: bytes = MARIA,
        signer: str = "router",
        private: HybridPrivateKey | None = None,
        received_ms: int | None = None,
    ) -> None:
        """One undated message for each text; the same text is the same event."""
        epoch = self._epoch(signer, private or self.private)
        for text in texts:
            identity = event_id(
                b"k" * 32,
                occurred_at_ms=None,
                provider_object="page",
                account="1",
                kind="message.received",
                native_id=text,
            )
            headers = [
                (h.CE_DATACONTENTTYPE, b"application/json"),
                (h.CE_DATASCHEMA, b"urn:mkchannels:event:message.received:1"),
                (h.CE_ID, str(identity).encode()),
                (h.CE_SOURCE, b"/meta/messenger/1"),
                (h.CE_SPECVERSION, b"1.0"),
                (h.CE_SUBJECT, person.hex().encode()),
                (h.CE_TENANT, str(self.tenant).encode()),
                (h.CE_TYPE, b"message.received"),
                (h.MK_ACCOUNT, str(UUID(int=7)).encode()),
                (h.MK_DIRECTION, b"i"),
                (h.MK_PERSON, person.hex().encode()),
                (h.MK_RECEIVED_AT, b"%d" % (received_ms or time.time_ns() // 1_000_000)),
            ]
            await self._publish(epoch, person, headers, _data(text), partition)

    async def erase(self, person: bytes) -> SubjectErased:
        """Erasure's announcement, on every partition."""
        now_ms = time.time_ns() // 1_000_000
        erased = SubjectErased(
            request=uuid4(),
            tenant=self.tenant,
            pseudonyms=(person.hex(),),
            watermark_s=now_ms // 1000,
            executed_at_ms=now_ms,
        )
        key, headers, plaintext = announcement(erased)
        epoch = self._epoch("erasure", self.private)
        for partition in range(self.partitions):
            await self._publish(epoch, key, headers, plaintext, partition)
        return erased

    async def expire(self, before: int, partition: int = 0) -> None:
        """The log loses everything below an offset, as retention does."""
        admin = AIOKafkaAdminClient(**self.endpoints.kafka_client())
        await admin.start()
        try:
            at = TopicPartition(self.topic, partition)
            await admin.delete_records({at: RecordsToDelete(before)})
        finally:
            await admin.close()

    def _epoch(self, signer: str, private: HybridPrivateKey) -> SealingEpoch:
        return SealingEpoch.begin(
            recipient=private.public,
            tenant=self.tenant,
            topic=self.topic,
            signer=replace(self.signers[signer], name="router")
            if signer == "mallory"
            else self.signers[signer],
            now_s=int(time.time()),
            epoch_key=os.urandom(32),
        )

    async def _publish(
        self, epoch: SealingEpoch, key: bytes, headers: list[tuple[str, bytes]], data: bytes, partition: int
    ) -> None:
        value = epoch.seal(data, headers, os.urandom(12))
        every = [*headers, *epoch.headers]
        record = (key, value, (written(every),), len(every))
        _, sent = await self.producer.send_batch(self.topic, partition, [record])
        await acknowledged(sent)

    # What a reader is given.

    @property
    def public_keys(self) -> dict[str, str]:
        """The signers that readers pin."""
        return {
            name: b64encode(signer.public_raw).decode()
            for name, signer in self.signers.items()
            if name != "mallory"
        }

    def opener(self) -> EventOpener:
        """A fresh one: it remembers nobody."""
        return EventOpener(KeyFolder(self.keys), pinned(self.public_keys), tenant=self.tenant)

    def reader(self, group: str = "readers", **options: object) -> TenantReader:
        """A reader of a group, with the certificate of a downstream service that has a grant."""
        tls = client_context(reader_files(self.endpoints), "test")
        return TenantReader(
            self.endpoints.kafka,
            self.topic,
            f"{READER}.{group}",
            self.opener(),
            tls=tls,
            **options,  # type: ignore[arg-type]
        )


def reader_files(endpoints: Endpoints) -> TlsFiles:
    """The reader's certificate."""
    assert endpoints.authority is not None
    return endpoints.authority.issue(READER)


def _data(text: str) -> bytes:
    return (
        '{"direction":"inbound","account":null,"person":null,"fragment":{},"envelope":{},'
        f'"message":{{"id":"m_{text}","text":"{text}"}}}}'
    ).encode()


def texts(values: Iterable[object]) -> list[str]:
    """What was said, in order; other readings by the name of their type."""
    from contracts.events.message import MessageReceived
    from contracts.reader import Event

    return [
        str(one.data_as(MessageReceived).message.text) if isinstance(one, Event) else type(one).__name__
        for one in values
    ]
