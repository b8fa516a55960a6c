"""Writes deletion events as the operator: signed, sealed to the erasure consumer, acknowledged before it returns.

Control is read to its end first, so that what is sealed can be opened by the erasure consumer of today. Must never print
or log what it seals, and never erase: the erasure consumer alone does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from contracts import topics
from contracts.control import RECIPIENT_ERASURE, ControlView
from contracts.erasure_requests import MK_REQUEST, MK_REQUEST_KIND, MK_TENANT, AccountRequest, SubjectRequest
from contracts.sealing import NO_TENANT
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from runtime.kafka.clients import Producer, acknowledged
from runtime.kafka.control import ControlReader
from store.custody.settings import OperatorSettings, load_control_signers, load_signer


class RequestSender:
    """Seals requests under one epoch key and sends them, keyed by tenant."""

    def __init__(self, producer: Producer, view: ControlView, epochs: EpochSource) -> None:
        self._producer, self._view, self._epochs, self._clock = producer, view, epochs, SystemClock()

    async def send(self, *requests: AccountRequest | SubjectRequest) -> None:
        """All of them, in this order, acknowledged; a repetition is the same requests.

        Raises BrokerUnavailable, or TenantUnavailable without a key to seal to.
        """
        futures = []
        for request in requests:
            headers = [
                (MK_REQUEST, str(request.request).encode()),
                (MK_REQUEST_KIND, request.kind.encode()),
                (MK_TENANT, str(request.tenant).encode()),
            ]
            recipient = self._view.sealing_key(RECIPIENT_ERASURE, self._clock.now())
            value, sealed = self._epochs.seal(
                topics.ERASURE_REQUESTS, NO_TENANT, recipient, request.model_dump_json().encode(), headers
            )
            futures.append(
                await self._producer.send(
                    topics.ERASURE_REQUESTS, value, key=request.tenant.bytes, headers=sealed
                )
            )
        for future in futures:
            await acknowledged(future)


@asynccontextmanager
async def request_sender(settings: OperatorSettings) -> AsyncIterator[RequestSender]:
    """Raises BrokerUnavailable or InvalidSettings."""
    signer = load_signer("operator", settings.signing_key_file, "MKC_OPERATOR_SIGNING_KEY_FILE")
    pinned = load_control_signers(settings.control_signers_file, "MKC_OPERATOR_CONTROL_SIGNERS_FILE")
    view = ControlView(pinned)
    producer = Producer(settings.kafka, "mkc", tls=settings.kafka_tls)
    await producer.start()
    try:
        async with ControlReader(settings.kafka, "mkc", view, tls=settings.kafka_tls):
            yield RequestSender(producer, view, EpochSource(signer, SystemClock()))
    finally:
        await producer.stop()
