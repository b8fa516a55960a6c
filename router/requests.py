"""Writes deletion events for what Meta unsent or removed, after the event itself is on the tenant's topic.

The request carries pseudonyms only and is sealed to the erasure consumer. An item counts as published once its request
is acknowledged too. Must never lose a request: without a key to seal to it waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from contracts import topics
from contracts.control import RECIPIENT_ERASURE, AccountRecord, ControlView
from contracts.erasure_requests import (
    MK_REQUEST,
    MK_REQUEST_KIND,
    MK_TENANT,
    AccountRequest,
    MessageRequest,
    request_id,
)
from contracts.errors import TransientError
from contracts.sealing import NO_TENANT
from router.endings import RecordEndings
from router.events import Event
from router.pacing import backoff_s
from router.split.item import Item
from router.split.requests import ASKING, removes_account, unsends
from runtime import logging
from runtime.clock import Clock
from runtime.epochs import EpochSource
from runtime.kafka.clients import Producer, acknowledged

Kind = Literal["message", "account"]
_REASONS: dict[Kind, str] = {"message": "unsent", "account": "account_removed"}


def request_kind(item: Item) -> Kind | None:
    """What the item asks to be erased, if anything."""
    if item.event_type not in ASKING:
        return None
    if unsends(item):
        return "message"
    return "account" if removes_account(item) else None


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: MessageRequest | AccountRequest
    endings: RecordEndings
    number: int


class ErasureRequests:
    """The queue of deletion events; `run` sends them in order."""

    def __init__(
        self,
        producer: Producer,
        view: ControlView,
        epochs: EpochSource,
        clock: Clock,
        on_written: Callable[[Kind], None],
    ) -> None:
        self._producer, self._view, self._epochs, self._clock = producer, view, epochs, clock
        self._on_written = on_written
        self._queue: deque[_Waiting] = deque()
        self._wake = asyncio.Event()

    def put(
        self,
        kind: Kind,
        endings: RecordEndings,
        number: int,
        tenant: UUID,
        account: AccountRecord,
        event: Event,
    ) -> None:
        """Queue the request that this event makes; the item ends when it is acknowledged."""
        identity = request_id(kind, event.event)
        request: MessageRequest | AccountRequest
        if kind == "message":
            request = MessageRequest(
                request=identity,
                tenant=tenant,
                account=account.account,
                cause=event.event,
                reason=_REASONS[kind],
                message_ref=event.message_ref.hex() if event.message_ref else None,
                received_at_ms=endings.origin.received_at_ms,
            )
        else:
            request = AccountRequest(
                request=identity,
                tenant=tenant,
                account=account.account,
                cause=event.event,
                reason=_REASONS[kind],
                received_at_ms=endings.origin.received_at_ms,
            )
        self._queue.append(_Waiting(request, endings, number))
        self._wake.set()

    async def run(self) -> None:
        """Send for as long as the process lives."""
        attempt = 0
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            waiting = self._queue[0]
            try:
                if not waiting.endings.dropped:
                    await self._send(waiting.request)
            except TransientError as exc:
                if attempt in (0, 10):
                    logging.get_logger().warning("request.waiting", exc=exc)
                await asyncio.sleep(backoff_s(attempt))
                attempt += 1
                continue
            attempt = 0
            self._queue.popleft()
            if not waiting.endings.dropped:
                self._on_written(waiting.request.kind)
                waiting.endings.published((waiting.number,), waiting.request.tenant)

    async def _send(self, request: MessageRequest | AccountRequest) -> None:
        headers = [
            (MK_REQUEST, str(request.request).encode()),
            (MK_REQUEST_KIND, request.kind.encode()),
            (MK_TENANT, str(request.tenant).encode()),
        ]
        recipient = self._view.sealing_key(RECIPIENT_ERASURE, self._clock.now())
        value, sealed_headers = self._epochs.seal(
            topics.ERASURE_REQUESTS, NO_TENANT, recipient, request.model_dump_json().encode(), headers
        )
        future = await self._producer.send(
            topics.ERASURE_REQUESTS, value, key=request.tenant.bytes, headers=sealed_headers
        )
        await acknowledged(future)
