"""A reader's private halves from the tenant's keys topic: `PrivateHalves` that fill themselves as long as the grant is active.

Keys live in memory, from their record until seven days after their `seal_until`. Must never write one anywhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from contracts.errors import BrokerUnavailable, TamperedRecord, broker_error
from contracts.grants import GrantedKey, open_grant_key
from contracts.hybrid import HybridPrivateKey
from contracts.sealing import KEY_KEPT_AFTER_S
from contracts.signing import SignerLookup

POLL_MS: Final = 500
RETRY_S: Final = 1.0
START_S: Final = 15.0


class GrantKeys:
    """`async with GrantKeys(…) as keys:` gives an `EventOpener` its private halves.

    Entering returns when every key that lies on the topic now is here. `refused` counts records under this grant that
    did not verify; `failure` is why the topic cannot be read at present (`AccessRefused` after a revocation).
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        grant: UUID,
        private: HybridPrivateKey,
        signers: SignerLookup,
        *,
        tls: ssl.SSLContext | None = None,
        client_id: str = "mk-reader-keys",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`topic`: `mk.t.<slot>.keys.v1`. `private`: of the key that the grant was given for. `signers`: with the
        custodian's, from `pinned`. `clock`: Unix seconds.
        """
        self.refused = 0
        self.failure: BrokerUnavailable | None = None
        self._topic, self._grant, self._private, self._signers = topic, grant, private, signers
        self._clock = clock
        self._keys: dict[bytes, GrantedKey] = {}
        self._at = TopicPartition(topic, 0)
        self._next = 0
        self._task: asyncio.Task[None] | None = None
        self._arguments: dict[str, Any] = {
            "bootstrap_servers": bootstrap,
            "client_id": client_id,
            "group_id": None,
            "enable_auto_commit": False,
            "auto_offset_reset": "earliest",
            "fetch_max_wait_ms": POLL_MS,
            "security_protocol": "SSL" if tls else "PLAINTEXT",
            "ssl_context": tls,
        }

    def get(self, key_id: bytes) -> HybridPrivateKey | None:
        """The private half of that id; None if it is not here (yet, or any more)."""
        granted = self._keys.get(key_id)
        if granted is None:
            return None
        if granted.seal_until_ms / 1000 + KEY_KEPT_AFTER_S < self._clock():
            del self._keys[key_id]
            return None
        return granted.private

    async def __aenter__(self) -> Self:
        """Read what is there. Raises BrokerUnavailable; AccessRefused (one of them) without an active grant."""
        consumer = await self._connect()
        try:
            async with asyncio.timeout(START_S):
                end = (await consumer.end_offsets([self._at]))[self._at]
                while self._next < end:
                    await self._take(consumer)
        except (KafkaError, TimeoutError) as exc:
            await consumer.stop()
            raise broker_error(exc, "the keys topic cannot be read") from exc
        self._task = asyncio.create_task(self._follow(consumer))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Forget every key."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._keys.clear()

    async def _connect(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(**self._arguments)
        try:
            await consumer.start()
            # Before `assign`: of a topic that it may not see the client would say nothing, and try again for ever.
            await consumer._client.add_topic(self._topic)
            if self._topic in consumer._client.cluster.unauthorized_topics:
                raise TopicAuthorizationFailedError(self._topic)
            if not consumer.partitions_for_topic(self._topic):
                raise BrokerUnavailable("there is no such keys topic")
            consumer.assign([self._at])
            begins = (await consumer.beginning_offsets([self._at]))[self._at]
            self._next = max(self._next, begins)
            consumer.seek(self._at, self._next)
        except KafkaError as exc:
            await consumer.stop()
            raise broker_error(exc, "the keys topic cannot be read") from exc
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    async def _take(self, consumer: AIOKafkaConsumer) -> None:
        for records in (await consumer.getmany(self._at, timeout_ms=POLL_MS)).values():
            for record in records:
                if record.key == self._grant.bytes:
                    self._put(record.key, record.value, tuple(record.headers))
        self._next = await consumer.position(self._at)

    def _put(self, key: bytes, value: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> None:
        try:
            granted = open_grant_key(self._topic, key, value, headers, self._private, self._signers)
        except TamperedRecord:
            self.refused += 1
            return
        self._keys[granted.private.public.key_id] = granted

    async def _follow(self, consumer: AIOKafkaConsumer | None) -> None:
        while True:
            try:
                if consumer is None:
                    consumer = await self._connect()
                await self._take(consumer)
                self.failure = None
            except (KafkaError, BrokerUnavailable) as exc:
                self.failure = (
                    exc
                    if isinstance(exc, BrokerUnavailable)
                    else broker_error(exc, "the keys topic cannot be read")
                )
                if consumer is not None:
                    await consumer.stop()
                    consumer = None
                await asyncio.sleep(RETRY_S)
            except asyncio.CancelledError:
                if consumer is not None:
                    await consumer.stop()
                raise
