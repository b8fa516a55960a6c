"""A router as its own process on the real Kafka, with everything around it played by the contracts alone.

Control records are signed with keys made here, blocks are sealed as a receiver seals them, events are opened with the
tenant's private half. Each goes to Kafka under its own certificate; what is looked at is looked at by the administrator.
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from aiokafka import TopicPartition

from contracts import topics
from contracts.access import Operation, Permit, Resource, slot_permits, static_permits
from contracts.block import Delivery, pack
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
from contracts.headers import EK_STATEMENT, MK_COUNT, MK_SIZE
from contracts.hybrid import HybridPrivateKey
from contracts.key_file import RAW_KEYS, current_key
from contracts.ledger import RawLine
from contracts.sealing import NO_TENANT, RecordOpener
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer
from deploy.local.environment import certificate_settings
from deploy.local.stack import Endpoints, LocalStack
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from runtime.files import SecretFolder, write_atomic
from runtime.kafka.acls import AclAdmin
from runtime.kafka.clients import Producer, acknowledged, consumer
from runtime.kafka.topics import TopicAdmin, TopicSettings
from tests.support.world import delete_topics

REPOSITORY = Path(__file__).resolve().parents[3]
SCOPES = frozenset({"messaging", "comments", "account"})
ROUTING_KEY = b"r" * 32


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def known(signer: Signer, process: str) -> KnownSigner:
    """The public half of a signer of that process."""
    return KnownSigner(signer.name, signer.public_raw, RIGHTS_BY_PROCESS[process])


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


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """One opened record of a tenant's topic."""

    partition: int
    offset: int
    key: bytes
    headers: dict[str, bytes]
    data: Any

    @property
    def event_id(self) -> str:
        """`ce_id`."""
        return self.headers["ce_id"].decode()


class Plant:
    """Everything around one router. Create with `Plant.on`."""

    def __init__(self, endpoints: Endpoints, root: Path) -> None:
        root.mkdir(mode=0o755, parents=True)
        self.endpoints = endpoints
        self.kafka = endpoints.kafka
        self.root = root
        self.secrets = SecretFolder(root / "secrets")
        self.custodian = Signer.from_bytes("custodian", os.urandom(32))
        self.ingest = Signer.from_bytes("ingest", os.urandom(32))
        self.router_key = os.urandom(32)
        self.router_signer = Signer.from_bytes("router", self.router_key)
        self.raw_keys_file = root / "raw_keys.json"
        self.health_port = free_port()
        self.epochs = EpochSource(self.ingest, SystemClock())
        self.producer = Producer(self.kafka, "plant-ingest", tls=endpoints.kafka_tls("ingest"))
        self._control = Producer(self.kafka, "plant-custodian", tls=endpoints.kafka_tls("custodian"))
        self.processes: list[asyncio.subprocess.Process] = []
        self.overrides: dict[str, str] = {}

    @classmethod
    @contextlib.asynccontextmanager
    async def on(cls, stack: LocalStack, folder: Path) -> "AsyncIterator[Plant]":
        """Fresh topics and keys; the router's processes end with the context."""
        plant = cls(stack.endpoints, folder)
        await asyncio.to_thread(delete_topics, stack.endpoints)
        await plant.make_topics(topics.STATIC_TOPICS)
        group = plant.settings["MKC_ROUTER_GROUP"]
        await plant.permit([*static_permits(), Permit("router", Operation.READ, Resource.GROUP, group)])
        write_atomic(folder / "router.key", plant.router_key)
        signers = {"custodian": base64.b64encode(plant.custodian.public_raw).decode()}
        write_atomic(folder / "signers.json", json.dumps(signers).encode())
        plant.secrets.put("routing", ROUTING_KEY)
        await plant.producer.start()
        await plant._control.start()
        try:
            yield plant
        finally:
            for process in plant.processes:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            await plant.producer.stop()
            await plant._control.stop()
            shutil.rmtree(folder, ignore_errors=True)

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

    # The router.

    @property
    def settings(self) -> dict[str, str]:
        """The router's environment."""
        return {
            "MKC_ROUTER_KAFKA": self.kafka,
            "MKC_ROUTER_HEALTH_PORT": str(self.health_port),
            "MKC_ROUTER_SIGNING_KEY_FILE": str(self.root / "router.key"),
            "MKC_ROUTER_CONTROL_SIGNERS_FILE": str(self.root / "signers.json"),
            "MKC_ROUTER_SECRETS_DIR": str(self.root / "secrets"),
            "MKC_ROUTER_RAW_KEYS_FILE": str(self.raw_keys_file),
            # Of its own: a group waits for members that were killed, and remembers offsets of deleted topics.
            "MKC_ROUTER_GROUP": f"mk.router.{self.root.name}",
            **certificate_settings(self.endpoints.authority, "router"),
            **self.overrides,
        }

    async def start(self, *, wait: bool = True, under: Sequence[str] = ()) -> asyncio.subprocess.Process:
        """Start a router process (`under` a module of Python, a profiler for instance), and wait until it is ready."""
        environment = {**os.environ, **self.settings}
        with (self.root / "router.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *under,
                "-m",
                "router",
                cwd=REPOSITORY,
                env=environment,
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        if wait:

            async def ready_or_gone() -> bool:
                assert process.returncode is None, f"the router ended: {self.log[-400:]}"
                return (await self.page("/readyz"))[0] == 200

            await self.until(ready_or_gone, 20, "the router to be ready")
        return process

    @staticmethod
    async def stop(process: asyncio.subprocess.Process, number: int = signal.SIGTERM) -> int:
        """Signal the router and wait for its end."""
        process.send_signal(number)
        return await asyncio.wait_for(process.wait(), 15)

    @property
    def log(self) -> str:
        """All routers' log so far."""
        return (self.root / "router.log").read_text(errors="replace")

    async def page(self, path: str) -> tuple[int, str]:
        """One page of the health server; status 0 if nobody answers."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.health_port)
        except OSError:
            return 0, ""
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            answer = (await reader.read()).decode()
        finally:
            writer.close()
        return int(answer.split(" ", 2)[1]), answer.partition("\r\n\r\n")[2]

    async def metric(self, sample: str) -> float:
        """One sample of the metrics page."""
        _, text = await self.page("/metrics")
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        raise AssertionError(f"no sample {sample}")

    @staticmethod
    async def until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
        """Poll a coroutine function until it says something true."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = await condition()
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {timeout_s} s in vain for {what}")
            await asyncio.sleep(0.05)

    # What a receiver does.

    def sealed(
        self,
        bodies: Sequence[bytes],
        *,
        app: str = "main",
        epochs: EpochSource | None = None,
        recipient: HybridPrivateKey | None = None,
    ) -> tuple[bytes, list[tuple[str, bytes]]]:
        """A block's value and headers."""
        if recipient is None:
            published = RAW_KEYS.decode(self.raw_keys_file.read_bytes(), known(self.router_signer, "router"))
            key = current_key(published, datetime.now(UTC))
        else:
            key = recipient.public, datetime.now(UTC) + timedelta(days=1)
        now_ms = int(time.time() * 1000)
        compressed, size = pack([Delivery(app, now_ms, body) for body in bodies])
        headers = [(MK_COUNT, b"%d" % len(bodies)), (MK_SIZE, b"%d" % size)]
        return (epochs or self.epochs).seal(topics.RAW, NO_TENANT, key, compressed, headers)

    async def post(self, *bodies: object, partition: int = 0, app: str = "main") -> int:
        """Publish one block with these deliveries (bytes, or JSON to be); its offset."""
        encoded = [body if isinstance(body, bytes) else json.dumps(body).encode() for body in bodies]
        value, headers = self.sealed(encoded, app=app)
        return await self.publish(value, headers, partition=partition)

    async def publish(self, value: bytes, headers: Any, *, partition: int = 0) -> int:
        """Publish a raw record as it is; its offset."""
        future = await self.producer.send(topics.RAW, value, headers=headers, partition=partition)
        return int((await acknowledged(future)).offset)

    # The operator.

    async def mkc(self, *arguments: str) -> tuple[int, list[Any]]:
        """`mkc … --json` as a process of its own: exit code and the objects it printed."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MKC_")
        } | self.settings
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "runtime.mkc",
            *arguments,
            "--json",
            cwd=self.root,
            env={**environment, "PYTHONPATH": str(REPOSITORY)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode is not None
        return process.returncode, [json.loads(line) for line in out.decode().splitlines()]

    # What became of it.

    async def records(self, topic: str) -> list[Any]:
        """Every record of a topic up to its present end."""
        reader = consumer(self.kafka, "plant-reader", group=None, tls=self.endpoints.kafka_tls())
        await reader.start()
        try:
            numbers = reader.partitions_for_topic(topic) or set()
            if not numbers:
                await reader._client.force_metadata_update()
                cluster = await reader._client.fetch_all_metadata()
                numbers = cluster.partitions_for_topic(topic) or set()
            assigned = [TopicPartition(topic, number) for number in sorted(numbers)]
            reader.assign(assigned)
            begin = await reader.beginning_offsets(assigned)
            end = await reader.end_offsets(assigned)
            for at in assigned:
                reader.seek(at, begin[at])
            found: list[Any] = []
            while any([await reader.position(at) < end[at] for at in assigned]):
                for batch in (await reader.getmany(timeout_ms=200)).values():
                    found += batch
            return found
        finally:
            await reader.stop()

    async def events(self, tenant: PlantTenant) -> list[SeenEvent]:
        """Every event on the tenant's topic, opened with its private half."""
        ours = {"router": known(self.router_signer, "router")}
        halves = {tenant.private.public.key_id: tenant.private}
        opener = RecordOpener(halves.get, ours.get)
        seen = []
        for record in await self.records(tenant.topic):
            opened = opener.open(
                tenant.topic, record.value, record.headers, broker_time_s=record.timestamp / 1000
            )
            assert opened.statement.tenant == tenant.tenant
            headers = {name: value for name, value in record.headers if name != EK_STATEMENT}
            seen.append(
                SeenEvent(record.partition, record.offset, record.key, headers, json.loads(opened.plaintext))
            )
        return seen

    async def lines(self) -> dict[tuple[int, int], RawLine]:
        """The ledger's raw lines by (partition, offset); the last of each counts."""
        found = {}
        for record in await self.records(topics.LEDGER):
            if json.loads(record.value)["kind"] == "raw":
                line = RawLine.model_validate_json(record.value)
                assert record.key == line.key
                found[line.partition, line.offset] = line
        return found

    async def line(self, offset: int, *, partition: int = 0, timeout_s: float = 10) -> RawLine:
        """The line of one raw record, once it is there; it balances."""

        async def there() -> RawLine | None:
            return (await self.lines()).get((partition, offset))

        line: RawLine = await self.until(there, timeout_s, f"the line of offset {offset}")
        assert line.ended() == line.items
        return line

    async def lines_of(self, sent: Sequence[tuple[int, int]], timeout_s: float = 30) -> list[RawLine]:
        """The lines of all these (partition, offset), once they are there; they balance."""

        async def all_there() -> dict[tuple[int, int], RawLine] | None:
            lines = await self.lines()
            return lines if lines.keys() >= set(sent) else None

        lines: dict[tuple[int, int], RawLine] = await self.until(all_there, timeout_s, "all lines")
        assert all(line.ended() == line.items for line in lines.values())
        return [lines[one] for one in sent]
