"""What a topic holds now, and the records of a range of its offsets: for who keeps its own positions in a database.

Must never commit an offset, and never skip one in silence.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from contracts.errors import BrokerUnavailable, broker_error
from runtime.kafka.clients import consumer
from runtime.kafka.topic_id import identify

_SILENCE_S: Final = 10.0
"""A range whose end was seen and that gives nothing for so long cannot be read now."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """One look at a topic. `asked_at`: monotonic seconds, before the look."""

    topic_id: str
    partitions: Mapping[int, tuple[int, int]]
    """By partition: the first offset that still exists, and the one after the last."""
    asked_at: float


class TopicLog:
    """One topic. A look is shared by all who asked before it began."""

    def __init__(self, bootstrap: str, client_id: str, topic: str, tls: ssl.SSLContext | None = None) -> None:
        self.topic = topic
        self._bootstrap, self._client_id, self._tls = bootstrap, client_id, tls
        self._looking = asyncio.Lock()
        self._consumer: AIOKafkaConsumer | None = None
        self._seen: Bounds | None = None

    async def bounds(self) -> Bounds:
        """What there is, by a look that began after this call. Raises BrokerUnavailable."""
        called_at = time.monotonic()
        async with self._looking:
            if self._seen is None or self._seen.asked_at < called_at:
                self._seen = await self._look()
            return self._seen

    async def _look(self) -> Bounds:
        asked_at = time.monotonic()
        try:
            if self._consumer is None:
                self._consumer = self._make()
                await self._consumer.start()
            topic_id, numbers = await identify(self._consumer._client, self.topic)
            every = [TopicPartition(self.topic, number) for number in numbers]
            first = await self._consumer.beginning_offsets(every)
            end = await self._consumer.end_offsets(every)
        except (KafkaError, BrokerUnavailable) as exc:
            await self.stop()
            if isinstance(exc, BrokerUnavailable):
                raise
            raise broker_error(exc, "a topic's offsets cannot be asked for") from exc
        return Bounds(topic_id, {at.partition: (first[at], end[at]) for at in every}, asked_at)

    async def read(self, partition: int, first: int, end: int) -> AsyncGenerator[ConsumerRecord, None]:
        """The records from `first` up to, not including, `end`, in order. Close it (`aclosing`). Raises BrokerUnavailable."""
        reader = self._make()
        at = TopicPartition(self.topic, partition)
        try:
            await reader.start()
            reader.assign([at])
            reader.seek(at, first)
            heard_at = time.monotonic()
            while await reader.position(at) < end:
                batches = await reader.getmany(at, timeout_ms=500)
                if records := batches.get(at):
                    heard_at = time.monotonic()
                    for record in records:
                        if record.offset < end:
                            yield record
                elif time.monotonic() - heard_at > _SILENCE_S:
                    raise BrokerUnavailable("a topic cannot be read to the end that was seen")
        except KafkaError as exc:
            raise broker_error(exc, "a topic cannot be read") from exc
        finally:
            await reader.stop()

    async def stop(self) -> None:
        """Close the connection; the next look opens another."""
        kept, self._consumer = self._consumer, None
        if kept is not None:
            await kept.stop()

    def _make(self) -> AIOKafkaConsumer:
        return consumer(self._bootstrap, self._client_id, group=None, tls=self._tls)
