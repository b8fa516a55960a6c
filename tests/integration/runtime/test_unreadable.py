"""A record that the Kafka client cannot decode stops nobody: it is handed over without content, and its neighbours with."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from contracts.topics import TopicSpec
from deploy.local.stack import LocalStack
from runtime.kafka.clients import consumer
from runtime.kafka.topics import TopicAdmin, TopicSettings

pytestmark = [pytest.mark.kafka]


class NotUtf8(str):
    """A header's name as a producer in another language may write it."""

    __slots__ = ()

    def encode(self, *_arguments: Any) -> bytes:
        return b"\xff\xfe"


async def put(producer: AIOKafkaProducer, topic: str, *values: bytes, header: str = "x") -> None:
    """One batch."""
    batch = producer.create_batch()
    batch._builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for value in values:
        name = NotUtf8("x") if value.startswith(b"bad") else header
        assert batch.append(key=None, value=value, timestamp=None, headers=[(name, b"1")]) is not None
    await (await producer.send_batch(batch, topic, partition=0))


async def test_what_cannot_be_decoded_comes_without_content_and_everything_else_as_it_is(
    stack: LocalStack,
) -> None:
    topic = f"mk.unreadable.{uuid4().hex[:8]}"
    # The administrator's: nobody else may write a topic that is not declared.
    tls = stack.endpoints.kafka_tls()
    spec = TopicSpec(topic, "", "", (), (), 1, 1, 3_600_000, 1 << 20)
    async with TopicAdmin(stack.endpoints.kafka, TopicSettings(), tls) as admin:
        await admin.ensure([spec])
    producer = AIOKafkaProducer(**stack.endpoints.kafka_client())
    await producer.start()
    reader = consumer(stack.endpoints.kafka, "test-unreadable", group=None, tls=tls)
    await reader.start()
    try:
        await put(producer, topic, b"one")
        await put(producer, topic, b"two", b"bad", b"behind it")
        await put(producer, topic, b"bad")
        await put(producer, topic, b"last")
        at = TopicPartition(topic, 0)
        reader.assign([at])
        reader.seek(at, 0)
        found: list[tuple[int, bytes]] = []
        async with asyncio.timeout(10):
            while len(found) < 6:
                for records in (await reader.getmany(at, timeout_ms=300, max_records=2)).values():
                    assert all(record.timestamp > 0 for record in records)
                    found += [(record.offset, record.value) for record in records]
        assert found == [(0, b"one"), (1, b"two"), (2, b""), (3, b""), (4, b""), (5, b"last")]
        assert await reader.position(at) == 6
    finally:
        await reader.stop()
        await producer.stop()
