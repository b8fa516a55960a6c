"""Puts records on tenants' topics as the router does: sealed with the router's own key for the tenant's published one."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

from contracts import headers as h
from contracts.control import ControlRecord, ControlView, encode, tenant_recipient
from contracts.ids import event_id
from contracts.signing import Signer
from contracts.topics import CONTROL, tenant_events_topic
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from runtime.kafka.clients import Producer, acknowledged
from runtime.kafka.control import ControlReader
from store.settings import read_control_signers
from tests.integration.store.cell import alias
from tests.support.world import Tenant, World


class Router:
    """An async context manager over a producer, the control view and the router's signing key."""

    def __init__(self, world: World, *, signer: Signer | None = None) -> None:
        keys = world.service.root / "keys"
        key = (keys / "router" / "signing.key").read_bytes()
        self._epochs = EpochSource(signer or Signer.from_bytes("router", key), SystemClock())
        self._custodian = Signer.from_bytes("custodian", (keys / "custodian" / "signing.key").read_bytes())
        endpoints = world.service.endpoints
        self._producer = Producer(endpoints.kafka, "test-router", tls=endpoints.kafka_tls("router"))
        self._announcer = Producer(endpoints.kafka, "test-custodian", tls=endpoints.kafka_tls("custodian"))
        self.view = ControlView(read_control_signers(keys / "public" / "control_signers.json"))
        tls = endpoints.kafka_tls("router")
        self._control = ControlReader(endpoints.kafka, "test-router", self.view, tls=tls)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for producer in (self._producer, self._announcer):
            await producer.start()
            self._stack.push_async_callback(producer.stop)
        await self._stack.enter_async_context(self._control)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def announce(self, record: ControlRecord) -> None:
        """Say something on control, signed by the custodian."""
        key, value, headers = encode(record, self._custodian)
        await acknowledged(await self._announcer.send(CONTROL, value, key=key, headers=headers, partition=0))

    async def publish(
        self,
        tenant: Tenant,
        account: UUID,
        person: str = "ana",
        *,
        kind: str = "message.received",
        sealed_for: Tenant | None = None,
        changes: Mapping[str, bytes | None] | None = None,
        after_sealing: Mapping[str, bytes] | None = None,
        spoil: bool = False,
        native: str | None = None,
    ) -> int:
        """One record on `tenant`'s topic; its offset.

        `sealed_for`: whose key and statement it has instead. `changes`: other values of sealed headers, None takes one
        out. `after_sealing`: values that replace sealed ones. `spoil`: one bit of the value is turned.
        """
        owner = sealed_for or tenant
        if self.view.sealing_key(tenant_recipient(owner.tenant), datetime.now(UTC)) is None:
            await self._control.catch_up()
        topic = tenant_events_topic(tenant.slot)
        now = datetime.now(UTC)
        conversation = alias(f"conversation of {person}")
        values: dict[str, bytes | None] = {
            h.CE_SPECVERSION: b"1.0",
            h.CE_ID: str(
                event_id(
                    b"k" * 32,
                    occurred_at_ms=int(now.timestamp() * 1000),
                    provider_object="page",
                    account=str(account),
                    kind=kind,
                    native_id=native or uuid4().hex,
                )
            ).encode(),
            h.CE_SOURCE: b"/meta/messenger/1",
            h.CE_TYPE: kind.encode(),
            h.CE_SUBJECT: conversation.hex().encode(),
            h.CE_TENANT: str(owner.tenant).encode(),
            h.CE_DATASCHEMA: f"urn:mkchannels:event:{kind}:1".encode(),
            h.MK_PERSON: alias(person).hex().encode(),
            h.MK_RECEIVED_AT: str(int(now.timestamp() * 1000)).encode(),
            h.MK_ACCOUNT: str(account).encode(),
            h.MK_DIRECTION: b"i",
        }
        values.update(changes or {})
        sealed_headers = [(name, value) for name, value in values.items() if value is not None]
        recipient = self.view.sealing_key(tenant_recipient(owner.tenant), now)
        value, headers = self._epochs.seal(topic, owner.tenant, recipient, b'{"text":"hi"}', sealed_headers)
        if after_sealing:
            headers = [(name, after_sealing.get(name, content)) for name, content in headers]
        if spoil:
            value = value[:-1] + bytes((value[-1] ^ 1,))
        sent = await self._producer.send(topic, value, key=conversation, headers=headers, partition=0)
        return int((await acknowledged(sent)).offset)
