"""Asks for erasures as the operator, the router and a forger do, and reads what erasure says: outcomes, fences, notices."""

import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts import fences, outcomes, topics
from contracts.control import RECIPIENT_ERASURE, ControlView
from contracts.erasure_requests import (
    MK_REQUEST,
    MK_REQUEST_KIND,
    MK_TENANT,
    AnyRequest,
    CallbackRequest,
    Identifier,
    SubjectRequest,
)
from contracts.fences import Fence
from contracts.hybrid import HybridPublicKey
from contracts.outcomes import Outcome, State
from contracts.sealing import NO_TENANT
from contracts.signing import Signer
from deploy.local.stack import Endpoints
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from runtime.kafka.clients import Producer, acknowledged
from runtime.kafka.control import ControlReader
from store.settings import read_control_signers
from tests.support.world import Tenant, World

PHONE = "5511987654321"


def phone(value: str = PHONE) -> Identifier:
    """A phone number as an operator types it."""
    return Identifier(kind="phone", value=value)


def psid(value: str) -> Identifier:
    """A Messenger id."""
    return Identifier(kind="psid", value=value)


def person_request(
    tenant: Tenant | UUID, *identifiers: Identifier, request: UUID | None = None
) -> SubjectRequest:
    """What `mkc erasure request` writes."""
    now_ms = int(time.time() * 1000)
    return SubjectRequest(
        request=request or uuid4(),
        tenant=tenant if isinstance(tenant, UUID) else tenant.tenant,
        identifiers=identifiers,
        reason="operator",
        asked_by="test",
        received_at_ms=now_ms,
        requested_at_ms=now_ms,
    )


class Requests:
    """An async context manager over a producer, the control view and every signer's key."""

    def __init__(self, world: World) -> None:
        self._keys = world.service.root / "keys"
        endpoints = world.service.endpoints
        tls = endpoints.kafka_tls("operator")
        self._producer = Producer(endpoints.kafka, "test-requests", tls=tls)
        self.view = ControlView(read_control_signers(self._keys / "public" / "control_signers.json"))
        self._control = ControlReader(endpoints.kafka, "test-requests", self.view, tls=tls)
        self._sources: dict[str, EpochSource] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._producer.start()
        self._stack.push_async_callback(self._producer.stop)
        await self._stack.enter_async_context(self._control)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def signer(self, name: str) -> Signer:
        """A process's own signing key."""
        return Signer.from_bytes(name, (self._keys / name / "signing.key").read_bytes())

    async def recipient(self) -> tuple[HybridPublicKey, datetime]:
        """Erasure's key, once control has it."""
        found = self.view.sealing_key(RECIPIENT_ERASURE, datetime.now(UTC))
        while found is None:
            await self._control.catch_up()
            found = self.view.sealing_key(RECIPIENT_ERASURE, datetime.now(UTC))
        return found

    async def seal(
        self,
        plaintext: bytes,
        headers: list[tuple[str, bytes]],
        *,
        signer: Signer,
        recipient: tuple[HybridPublicKey, datetime] | None = None,
    ) -> tuple[bytes, list[tuple[str, bytes]]]:
        """Value and headers of a record; `recipient`: another key than erasure's."""
        key = recipient or await self.recipient()
        source = EpochSource(signer, SystemClock())
        if recipient is None:
            source = self._sources.setdefault(f"{signer.name}/{signer.public_raw.hex()}", source)
        return source.seal(topics.ERASURE_REQUESTS, NO_TENANT, key, plaintext, headers)

    async def put(
        self, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]], partition: int | None = None
    ) -> int:
        """A record as it is; its offset."""
        sent = await self._producer.send(
            topics.ERASURE_REQUESTS, value, key=key, headers=headers, partition=partition
        )
        return int((await acknowledged(sent)).offset)

    async def ask(
        self,
        request: AnyRequest,
        *,
        by: str = "operator",
        signer: Signer | None = None,
        value: bytes | None = None,
    ) -> UUID:
        """Seal and write a request; its id. `value`: other bytes in its place."""
        headers = headers_of(request)
        plaintext = request.model_dump_json().encode() if value is None else value
        sealed, all_headers = await self.seal(plaintext, headers, signer=signer or self.signer(by))
        tenant = None if isinstance(request, CallbackRequest) else request.tenant
        await self.put((tenant or request.request).bytes, sealed, all_headers)
        return request.request


def headers_of(request: AnyRequest) -> list[tuple[str, bytes]]:
    """What a request's record says in the clear."""
    headers = [(MK_REQUEST, str(request.request).encode()), (MK_REQUEST_KIND, request.kind.encode())]
    if not isinstance(request, CallbackRequest):
        headers.append((MK_TENANT, str(request.tenant).encode()))
    return headers


def job(world: World, request: UUID) -> Any:
    """The request's row, or None."""
    rows = world.sql("SELECT * FROM mk.erasure_request WHERE request_id = $1", request)
    return rows[0] if rows else None


def wait_state(world: World, request: UUID, *states: State, timeout_s: float = 20) -> Any:
    """Wait until the request is in one of these states and the outcomes topic was told; its row."""

    def reached() -> Any:
        row = job(world, request)
        return row if row and row["state"] in states and row["told_state"] == row["state"] else None

    try:
        return world.wait_until(reached, timeout_s, f"a request to be {' or '.join(states)}")
    except AssertionError:
        raise AssertionError(
            f"a request did not become {' or '.join(states)}: {job(world, request)!r}"
        ) from None


ERASED = (State.LIVE_ERASED, State.ANSWERED)
"""Where an executed request ends."""


async def read_all(endpoints: Endpoints, topic: str) -> list[Any]:
    """Every record that is on the topic now."""
    async with AIOKafkaConsumer(
        **endpoints.kafka_client(), auto_offset_reset="none", enable_auto_commit=False, fetch_max_wait_ms=20
    ) as reader:
        await reader._client.add_topic(topic)
        parts = [TopicPartition(topic, number) for number in sorted(reader.partitions_for_topic(topic) or ())]
        reader.assign(parts)
        starts, ends = await reader.beginning_offsets(parts), await reader.end_offsets(parts)
        for part in parts:
            reader.seek(part, starts[part])
        records: list[Any] = []
        for part in parts:
            while await reader.position(part) < ends[part]:
                for found in (await reader.getmany(part, timeout_ms=200)).values():
                    records += found
        return records


async def told(world: World, view: ControlView, requests: Iterable[UUID]) -> list[Outcome]:
    """Verified outcomes of these requests, in the order of the topic."""
    wanted = set(requests)
    records = await read_all(world.stack.endpoints, topics.ERASURE_OUTCOMES)
    read = [outcomes.decode(one.key, one.value, tuple(one.headers), view.signer) for one in records]
    return [outcome for outcome in read if outcome.request in wanted]


async def fenced(world: World, view: ControlView, requests: Iterable[UUID]) -> list[Fence]:
    """Verified fences of these requests."""
    wanted = set(requests)
    records = await read_all(world.stack.endpoints, topics.ERASURE_FENCES)
    read = [fences.decode(one.key, one.value, tuple(one.headers), view.signer) for one in records]
    return [fence for fence in read if fence.request in wanted]
