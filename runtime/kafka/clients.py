"""Producer and consumer with the constants of DESIGN.md section 3; a dead sender is noticed and the producer rebuilt."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordTooLargeError
from aiokafka.structs import RecordMetadata

from contracts import topics
from contracts.errors import BrokerUnavailable, PermanentError, broker_error
from runtime.kafka import readable
from runtime.kafka.batch import RecordBatch

BATCH_BYTES = 1 << 20
"""`max_batch_size` decides everything (PERFORMANCE.md): 512 KiB or more."""


class RecordTooLarge(PermanentError):
    """The broker will never take a record of this size."""

    code = "too_large"


BatchRecord = tuple[bytes, bytes, Sequence[bytes], int]
"""Key, value, headers as `runtime.kafka.batch` writes them, and how many these are."""


class Producer:
    """An idempotent acks=all producer. `send` raises our errors; a sender task that died is replaced."""

    def __init__(
        self,
        bootstrap: str,
        client_id: str,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._arguments: dict[str, Any] = {
            "bootstrap_servers": bootstrap,
            "client_id": client_id,
            "acks": "all",
            "enable_idempotence": True,
            "linger_ms": 0,
            "max_batch_size": BATCH_BYTES,
            "max_request_size": topics.PRODUCER_MAX_REQUEST_BYTES,
            "request_timeout_ms": topics.PRODUCER_REQUEST_TIMEOUT_MS,
            "security_protocol": "SSL" if tls else "PLAINTEXT",
            "ssl_context": tls,
        }
        self._producer: AIOKafkaProducer | None = None
        self._rebuilding = asyncio.Lock()

    async def start(self) -> None:
        """Connect. Raises BrokerUnavailable."""
        producer = AIOKafkaProducer(**self._arguments)
        try:
            await producer.start()
        except KafkaError as exc:
            await producer.stop()
            raise broker_error(exc, "the producer cannot reach Kafka") from exc
        self._producer = producer

    async def stop(self) -> None:
        """Flush what can be flushed and close."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    @property
    def alive(self) -> bool:
        """False when aiokafka's sender task has ended: everything sent from now on would wait for ever."""
        if self._producer is None:
            return False
        task = self._producer._sender.sender_task
        return task is not None and not task.done()

    async def rebuild(self) -> None:
        """Replace a producer whose sender died. Raises BrokerUnavailable."""
        async with self._rebuilding:
            if self.alive:
                return
            dead, self._producer = self._producer, None
            if dead is not None:
                await asyncio.wait([asyncio.ensure_future(_close_quietly(dead))], timeout=2)
            await self.start()

    async def partitions_of(self, topic: str) -> int:
        """How many partitions a topic has. Raises BrokerUnavailable, also while the topic does not exist."""
        if self._producer is None:
            raise BrokerUnavailable("the producer is not connected")
        try:
            return len(await self._producer.partitions_for(topic))
        except KafkaError as exc:
            raise broker_error(exc, "the topic cannot be described") from exc

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> asyncio.Future[RecordMetadata]:
        """Hand one record to the client; the future resolves at the broker's ack (`acknowledged` translates its errors).

        Raises BrokerUnavailable or RecordTooLarge.
        """
        if not self.alive:
            await self.rebuild()
        assert self._producer is not None
        try:
            future: asyncio.Future[RecordMetadata] = await self._producer.send(
                topic, value, key=key, headers=headers, partition=partition
            )
        except (MessageSizeTooLargeError, RecordTooLargeError) as exc:
            raise RecordTooLarge("the record is larger than the topic allows") from exc
        except KafkaError as exc:
            raise broker_error(exc, "Kafka did not take the record") from exc
        return future

    async def send_batch(
        self, topic: str, partition: int, records: Sequence[BatchRecord]
    ) -> tuple[int, asyncio.Future[RecordMetadata]]:
        """Hand the first records to the client as one compressed batch: how many went in, and the future of its ack.

        A fraction of the cost of `send` for each (PERFORMANCE.md). At least one record always goes in. Raises
        BrokerUnavailable.
        """
        if not self.alive:
            await self.rebuild()
        assert self._producer is not None
        try:
            batch = RecordBatch(BATCH_BYTES)
            for key, value, headers, count in records:
                if not batch.add(key, value, headers, count):
                    break
            return batch.record_count(), await self._producer.send_batch(batch, topic, partition=partition)
        except KafkaError as exc:
            raise broker_error(exc, "Kafka did not take the batch") from exc


async def acknowledged(future: asyncio.Future[RecordMetadata]) -> RecordMetadata:
    """Await a broker's ack. Raises BrokerUnavailable or RecordTooLarge."""
    try:
        return await future
    except (MessageSizeTooLargeError, RecordTooLargeError) as exc:
        raise RecordTooLarge("the record is larger than the topic allows") from exc
    except KafkaError as exc:
        raise broker_error(exc, "Kafka did not acknowledge") from exc


async def _close_quietly(producer: AIOKafkaProducer) -> None:
    try:
        await producer.stop()
    except Exception:  # the old producer is dead: whatever its end says, its records were never promised
        return


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # the client has no type information
    """The client's consumer, whose end is not taken for the end of whoever stops it."""

    async def stop(self) -> None:
        """Leave and close.

        The client cancels its own fetches and awaits each: one that waits to try again, because the broker is just away,
        answers with CancelledError, which would end the process that wanted to connect anew.
        """
        mine = asyncio.current_task()
        asked = mine.cancelling() if mine is not None else 0
        try:
            await super().stop()
        except asyncio.CancelledError:
            if mine is not None and mine.cancelling() > asked:
                raise
            left = list(self._fetcher._pending_tasks)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await self._client.close()


def consumer(
    bootstrap: str,
    client_id: str,
    *,
    group: str | None,
    assignors: Sequence[type] = (),
    tls: ssl.SSLContext | None = None,
    max_partition_fetch_bytes: int = topics.PRODUCER_MAX_REQUEST_BYTES,
    metadata_max_age_ms: int = 5_000,
    fetch_max_wait_ms: int = 500,
) -> Consumer:
    """A consumer that never commits by itself and never skips a gap in silence (`auto_offset_reset=none`).

    `fetch_max_wait_ms`: how long the broker holds an empty fetch; a partition that is resumed, and a request for
    offsets on the same connection, wait that long at worst.
    """
    readable.install()
    arguments: dict[str, Any] = {}
    if assignors:
        arguments["partition_assignment_strategy"] = tuple(assignors)
    return Consumer(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        metadata_max_age_ms=metadata_max_age_ms,
        max_partition_fetch_bytes=max_partition_fetch_bytes,
        fetch_max_wait_ms=fetch_max_wait_ms,
        session_timeout_ms=10_000,
        heartbeat_interval_ms=1_000,
        max_poll_interval_ms=300_000,
        request_timeout_ms=topics.PRODUCER_REQUEST_TIMEOUT_MS + 4_000,
        security_protocol="SSL" if tls else "PLAINTEXT",
        ssl_context=tls,
        **arguments,
    )
