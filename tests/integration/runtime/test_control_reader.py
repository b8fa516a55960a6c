"""The control reader on a real Kafka: up to date when it says so, deaf to what nobody pinned signed."""

from __future__ import annotations

import asyncio
import gc
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio

from contracts import control, topics
from contracts.errors import BrokerUnavailable
from contracts.metrics import CONTROL_REFUSED
from contracts.signing import Signer
from deploy.local.stack import LocalStack
from runtime.kafka.clients import Producer, acknowledged
from runtime.kafka.control import ControlReader
from runtime.kafka.topics import TopicAdmin, TopicSettings
from runtime.metrics import ProcessMetrics

pytestmark = [pytest.mark.kafka]

CUSTODIAN = Signer.from_bytes("custodian", os.urandom(32))
_numbers = count()


def slot() -> control.SlotRecord:
    return control.SlotRecord(slot=f"control{next(_numbers):05d}", partitions=1, state="free")


class Writer:
    """Puts control records, signed by whoever."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer

    async def put(self, record: control.ControlRecord, signer: Signer = CUSTODIAN) -> None:
        key, value, headers = control.encode(record, signer)
        future = await self.producer.send(topics.CONTROL, value, key=key, headers=headers, partition=0)
        await acknowledged(future)


@pytest_asyncio.fixture
async def writer(stack: LocalStack) -> AsyncIterator[Writer]:
    tls = stack.endpoints.kafka_tls("custodian")
    async with TopicAdmin(stack.endpoints.kafka, TopicSettings(), tls) as admin:
        await admin.ensure(topics.STATIC_TOPICS)
    producer = Producer(stack.endpoints.kafka, "control-test", tls=tls)
    await producer.start()
    yield Writer(producer)
    await producer.stop()


def reader(stack: LocalStack, metrics: ProcessMetrics | None = None) -> ControlReader:
    pinned = control.pinned_signers({"custodian": b64encode(CUSTODIAN.public_raw).decode()})
    tls = stack.endpoints.kafka_tls("router")
    return ControlReader(stack.endpoints.kafka, "control-test", control.ControlView(pinned), metrics, tls)


async def test_what_was_written_before_the_start_is_in_the_view_when_start_returns(
    stack: LocalStack, writer: Writer
) -> None:
    record = slot()
    await writer.put(record)
    async with reader(stack) as control_reader:
        assert control_reader.view.slot_of(record.slot) == record


async def test_a_reader_that_is_not_up_to_date_in_time_closes_what_it_opened(
    stack: LocalStack, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(_self: ControlReader, timeout_s: float = 5.0) -> None:
        raise BrokerUnavailable("not in time")

    monkeypatch.setattr(ControlReader, "catch_up", late)
    control_reader = reader(stack)
    with pytest.raises(BrokerUnavailable):
        async with control_reader:
            raise AssertionError("it is not up to date")
    assert control_reader._task is not None
    assert control_reader._task.done()
    gc.collect()  # a connection that was left open would be told of now


async def test_catch_up_returns_with_everything_acknowledged_before_the_call(
    stack: LocalStack, writer: Writer
) -> None:
    async with reader(stack) as control_reader:
        for _ in range(3):
            record = slot()
            await writer.put(record)
            await asyncio.gather(*(control_reader.catch_up() for _ in range(50)))
            assert control_reader.view.slot_of(record.slot) == record


async def test_a_record_that_nobody_pinned_signed_changes_nothing_and_is_counted(
    stack: LocalStack, writer: Writer
) -> None:
    metrics = ProcessMetrics("router")
    async with reader(stack, metrics) as control_reader:
        before = metrics.counter(CONTROL_REFUSED)._value.get()
        forged, honest = slot(), slot()
        await writer.put(forged, Signer.from_bytes("stranger", os.urandom(32)))
        await writer.put(honest)
        await control_reader.catch_up()
        assert control_reader.view.slot_of(forged.slot) is None
        assert control_reader.view.slot_of(honest.slot) == honest
        assert metrics.counter(CONTROL_REFUSED)._value.get() == before + 1


async def test_listeners_hear_each_record_once_it_is_applied(stack: LocalStack, writer: Writer) -> None:
    heard: list[str] = []
    async with reader(stack) as control_reader:
        control_reader.listeners.append(lambda record: heard.append(record.record_id))
        record = slot()
        await writer.put(record)
        await control_reader.catch_up()
    assert heard == [record.record_id]
