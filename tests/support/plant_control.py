"""What stands around a router under test: topics, permissions, and control as the custodian says it, played by the contracts alone.

Control records are signed with keys made here. Must not know of the router's process: `plant` does.
"""

import base64
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from contracts import topics
from contracts.access import Permit, slot_permits
from contracts.control import (
    RECIPIENT_ERASURE,
    AccountId,
    AccountRecord,
    Consent,
    ControlRecord,
    IdKind,
    SignerRecord,
    SlotRecord,
    TenantRecord,
    TransportKeyRecord,
    encode,
    tenant_recipient,
)
from contracts.hybrid import HybridPrivateKey
from contracts.signing import RIGHTS_BY_PROCESS, Signer
from deploy.local.stack import Endpoints
from runtime.files import SecretFolder
from runtime.kafka.acls import AclAdmin
from runtime.kafka.clients import Producer, acknowledged
from runtime.kafka.topics import TopicAdmin, TopicSettings

SCOPES = frozenset({"messaging", "comments", "account"})


@dataclass(frozen=True, slots=True)
class PlantTenant:
    """A tenant with the private half of its transport key."""

    tenant: UUID
    slot: str
    partitions: int
    private: HybridPrivateKey = field(repr=False)

    @property
    def topic(self) -> str:
        """Its events topic."""
        return topics.tenant_events_topic(self.slot)


class Surroundings:
    """Topics and control on one Kafka, and the signers of all that is played."""

    def __init__(self, endpoints: Endpoints, root: Path) -> None:
        self.endpoints = endpoints
        self.kafka = endpoints.kafka
        self.root = root
        self.secrets = SecretFolder(root / "secrets")
        self.custodian = Signer.from_bytes("custodian", os.urandom(32))
        self.ingest = Signer.from_bytes("ingest", os.urandom(32))
        self.router_key = os.urandom(32)
        self.router_signer = Signer.from_bytes("router", self.router_key)
        self._control = Producer(self.kafka, "plant-custodian", tls=endpoints.kafka_tls("custodian"))

    async def make_topics(self, specs: Sequence[topics.TopicSpec]) -> None:
        """Make topics as the custodian does."""
        async with TopicAdmin(self.kafka, TopicSettings(), self.endpoints.kafka_tls("custodian")) as admin:
            await admin.ensure(specs)

    async def permit(self, permits: Iterable[Permit]) -> None:
        """Give permissions as an installation does; nothing where everybody may everything."""
        tls = self.endpoints.kafka_tls()
        if tls is not None:
            async with AclAdmin(self.kafka, tls) as acls:
                await acls.add(permits)

    async def forbid(self, permits: Iterable[Permit]) -> None:
        """Take permissions back that no installation has: the doctor of a later test would find them."""
        tls = self.endpoints.kafka_tls()
        if tls is not None:
            async with AclAdmin(self.kafka, tls) as acls:
                await acls.remove(permits)

    # Control.

    async def say(self, *records: ControlRecord) -> None:
        """Publish control records, signed by the custodian."""
        for record in records:
            key, value, headers = encode(record, self.custodian)
            future = await self._control.send(topics.CONTROL, value, key=key, headers=headers)
            await acknowledged(future)

    async def say_signers(self) -> None:
        """Announce the receiver's signer."""
        await self.say(
            SignerRecord(
                name="ingest",
                public_key=base64.b64encode(self.ingest.public_raw),
                may=RIGHTS_BY_PROCESS["ingest"],
            )
        )

    async def say_key(self, recipient: str, private: HybridPrivateKey, *, ended: bool = False) -> None:
        """Announce a recipient's transport key."""
        now = datetime.now(UTC)
        await self.say(
            TransportKeyRecord(
                recipient=recipient,
                public_key=base64.b64encode(private.public.raw),
                active_from=now - timedelta(days=1),
                seal_until=now - timedelta(hours=1) if ended else now + timedelta(days=3),
            )
        )

    async def erasure_key(self) -> HybridPrivateKey:
        """Announce erasure's key; its private half."""
        private = HybridPrivateKey.generate()
        await self.say_key(RECIPIENT_ERASURE, private)
        return private

    async def add_tenant(
        self, *, partitions: int = 1, topic: bool = True, key_ended: bool = False
    ) -> PlantTenant:
        """A tenant that is ready: slot, topics, keys, record."""
        tenant = PlantTenant(uuid4(), uuid4().hex[:12], partitions, HybridPrivateKey.generate())
        if topic:
            await self.make_topics(topics.slot_topics(tenant.slot, partitions)[:1])
        await self.permit(slot_permits(tenant.slot))
        self.secrets.put(f"pseudonym-{tenant.tenant}", os.urandom(32))
        await self.say_key(tenant_recipient(tenant.tenant), tenant.private, ended=key_ended)
        await self.say(
            SlotRecord(slot=tenant.slot, partitions=partitions, state="bound", tenant=tenant.tenant),
            TenantRecord(
                tenant=tenant.tenant,
                state="ready",
                slot=tenant.slot,
                partitions=partitions,
                schema_name=f"t_{tenant.slot}",
            ),
        )
        return tenant

    async def connect(
        self,
        tenant: PlantTenant,
        product: Any,
        ids: Sequence[tuple[IdKind, str]],
        *,
        consent: Any = "active",
        scopes: frozenset[str] = SCOPES,
        account: UUID | None = None,
    ) -> UUID:
        """Connect an account, or say something new about one."""
        account = account or uuid4()
        await self.say(
            AccountRecord(
                account=account,
                tenant=tenant.tenant,
                product=product,
                ids=tuple(AccountId(kind=kind, value=value) for kind, value in ids),
                consent=Consent(state=consent, since=datetime.now(UTC), scopes=scopes, proof_ref=uuid4()),
                state="connected",
            )
        )
        return account
