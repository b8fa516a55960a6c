"""Where a tenant's topic begins and ends now, asked from Kafka each time. Reads no record: it has no partition assigned."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from contracts.errors import BrokerUnavailable, broker_error
from runtime.kafka.clients import consumer

_TIMEOUT_S = 10.0
_Ask = Callable[[AIOKafkaConsumer, Sequence[TopicPartition]], Awaitable[Mapping[TopicPartition, int]]]


class LogEnds:
    """One client for all workers, made anew after a failure."""

    def __init__(self, bootstrap: str, client_id: str, tls: ssl.SSLContext | None = None) -> None:
        self._bootstrap, self._client_id, self._tls = bootstrap, client_id, tls
        self._client: AIOKafkaConsumer | None = None
        self._changing = asyncio.Lock()

    async def ends(self, topic: str, partitions: int) -> dict[int, int]:
        """The next offset of each partition. Raises BrokerUnavailable, also if the topic has not that many."""
        return await self._offsets(topic, partitions, AIOKafkaConsumer.end_offsets)

    async def firsts(self, topic: str, partitions: int) -> dict[int, int]:
        """The first offset of each partition that is still there. Raises BrokerUnavailable as `ends` does."""
        return await self._offsets(topic, partitions, AIOKafkaConsumer.beginning_offsets)

    async def _offsets(self, topic: str, partitions: int, which: _Ask) -> dict[int, int]:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                client = await self._started()
                # The client knows only topics that it was asked about.
                await client._client.add_topic(topic)
                known = client.partitions_for_topic(topic) or set()
                wanted = [TopicPartition(topic, number) for number in range(partitions)]
                if not {one.partition for one in wanted} <= known:
                    raise BrokerUnavailable("the tenant's topic is not there")
                found = await which(client, wanted)
        except (KafkaError, TimeoutError) as exc:
            await self.stop()
            raise broker_error(exc, "the bounds of a tenant's topic cannot be read") from exc
        return {one.partition: offset for one, offset in found.items()}

    async def stop(self) -> None:
        """Close; the next question opens again."""
        client, self._client = self._client, None
        if client is not None:
            await asyncio.wait([asyncio.ensure_future(_close_quietly(client))], timeout=2)

    async def _started(self) -> AIOKafkaConsumer:
        async with self._changing:
            if self._client is None:
                client = consumer(self._bootstrap, self._client_id, group=None, tls=self._tls)
                try:
                    await client.start()
                except BaseException:
                    await client.stop()
                    raise
                self._client = client
            return self._client


async def _close_quietly(client: AIOKafkaConsumer) -> None:
    try:
        await client.stop()
    except Exception:  # it is thrown away because it failed
        return
