"""One connection of an administrator of Kafka, open for as long as its context lasts. Knows no request of its own."""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from contracts.errors import broker_error


class AdminConnection:
    """An async context manager. Raises BrokerUnavailable when Kafka is away."""

    def __init__(self, bootstrap: str, tls: ssl.SSLContext | None) -> None:
        self._client = AIOKafkaAdminClient(
            bootstrap_servers=bootstrap,
            request_timeout_ms=10_000,
            security_protocol="SSL" if tls else "PLAINTEXT",
            ssl_context=tls,
        )

    async def __aenter__(self) -> Self:
        try:
            await self._client.start()
        except KafkaError as exc:
            raise broker_error(exc, "the admin client cannot reach Kafka") from exc
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self._client.close()
