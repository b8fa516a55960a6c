"""A database cell of its own for each test: database, keys and clients, without processes."""

import itertools
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from contracts.control import ControlView
from contracts.topics import STATIC_TOPICS
from deploy.local.database import admit_logins, database_logins, prepare_database
from deploy.local.identities import make_identities
from deploy.local.processes import in_own_loop
from deploy.local.stack import Endpoints, LocalStack
from runtime.clock import SystemClock
from runtime.files import SecretFolder
from runtime.kafka.clients import Producer
from runtime.kafka.control import ControlReader
from runtime.kafka.topics import TopicAdmin, TopicSettings
from runtime.metrics import ProcessMetrics
from runtime.secrets import FolderSecrets
from store.custody.access import permissions
from store.custody.control import Announced, ControlPublisher, announce_keys
from store.custody.database import SQL
from store.custody.duties import Duties, Tools
from store.custody.epochs.rotation import Plan
from store.custody.grants import GrantKeySender
from store.custody.keys import Recipient, ensure_keys, ensure_root_epoch
from store.custody.operating import Desk
from store.custody.provision import Provisioner, Step
from store.custody.request_keys import RequestKeyFile
from store.custody.settings import OperatorSettings, load_control_signers, load_signer
from store.custody.slots import opaque_name
from store.database import connected
from store.keys.keyring import LocalKeyring
from store.migrate import migrate
from tests.support.world import World

_numbers = itertools.count(1)


def _nothing(_tenant: UUID, _step: Step) -> None:
    return


@dataclass(frozen=True, slots=True)
class Cell:
    """Where everything of one database cell is."""

    endpoints: Endpoints
    keys: Path
    logins: dict[str, str]

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return self.endpoints.kafka

    def tls(self, name: str) -> ssl.SSLContext | None:
        """How the holder of that name's certificate connects."""
        return self.endpoints.kafka_tls(name)

    @property
    def settings(self) -> OperatorSettings:
        """The operator's, as the environment would give them."""
        authority = self.endpoints.authority
        assert authority is not None
        files = authority.files("operator")
        return OperatorSettings(
            kafka=self.kafka,
            kafka_ca_file=files.ca,
            kafka_cert_file=files.certificate,
            kafka_key_file=files.key,
            signing_key_file=self.keys / "operator" / "signing.key",
            control_signers_file=self.keys / "public" / "control_signers.json",
            database=self.logins["mk_custodian"],
            routing_secrets_dir=self.keys / "router" / "secrets",
            timeout_s=10,
        )

    @property
    def plan(self) -> Plan:
        """Rotations as in production, but for the folders of exports."""
        return Plan(timedelta(days=7), (self.keys / "exports-1", self.keys / "exports-2"))

    def secrets(self, process: str) -> SecretFolder:
        """A process's secrets."""
        return SecretFolder(self.keys / process / "secrets")

    @asynccontextmanager
    async def connection(self, login: str = "mk_custodian") -> AsyncIterator[Any]:
        """A connection of one of the logins."""
        async with connected(self.logins[login], "test") as connection:
            yield connection

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[Desk]:
        """An operator's desk."""
        async with self.connection() as connection:
            yield Desk(self.settings, connection)

    @asynccontextmanager
    async def view(self) -> AsyncIterator[ControlView]:
        """Control as a reader with the pinned signers sees it, up to its present end."""
        pinned = load_control_signers(self.keys / "public" / "control_signers.json", "signers")
        async with ControlReader(
            self.kafka, "test-view", ControlView(pinned), tls=self.tls("router")
        ) as reader:
            yield reader.view

    @asynccontextmanager
    async def custodian(self) -> AsyncIterator["Custodian"]:
        """A custodian's duties in this process."""
        pinned = load_control_signers(self.keys / "public" / "control_signers.json", "signers")
        signer = load_signer("custodian", self.keys / "custodian" / "signing.key", "key")
        async with AsyncExitStack() as stack:
            tls = self.tls("custodian")
            admin = await stack.enter_async_context(TopicAdmin(self.kafka, TopicSettings(), tls))
            await admin.ensure(STATIC_TOPICS)
            producer = Producer(self.kafka, "test-custodian", tls=tls)
            await producer.start()
            stack.push_async_callback(producer.stop)
            announced = Announced(self.kafka, "test-custodian", pinned, tls=tls)
            await stack.enter_async_context(announced.reader)
            access = await stack.enter_async_context(permissions(self.kafka, tls))
            connection = await stack.enter_async_context(self.connection())
            tools = Tools(
                kafka=self.kafka,
                tls=tls,
                access=access,
                grant_keys=GrantKeySender(producer, signer),
                admin=admin,
                publisher=ControlPublisher(producer, signer),
                announced=announced,
                provider=LocalKeyring(self.secrets("store")),
                store_secrets=FolderSecrets(self.secrets("store")),
                router_secrets=FolderSecrets(self.secrets("router")),
                erasure_secrets=FolderSecrets(self.secrets("erasure")),
                public_keys=self.keys / "public",
                request_keys=RequestKeyFile(self.keys / "public" / "request_keys.json", signer),
                headroom={1: 2, 8: 1},
                clock=SystemClock(),
                metrics=ProcessMetrics("custodian"),
                plan=self.plan,
            )
            yield Custodian(connection, tools)


@dataclass(frozen=True, slots=True)
class Custodian:
    """Duties with their tools."""

    connection: Any
    tools: Tools

    @property
    def duties(self) -> Duties:
        """All of them."""
        return Duties(self.connection, self.tools)

    async def prepare(self) -> None:
        """A root epoch, free slots and erasure's keys: what a full pass makes, without its rounds over control."""
        tools = self.tools
        await ensure_root_epoch(self.connection, tools.provider)
        assert await self.duties.quick_pass()
        await ensure_keys(self.connection, Recipient.erasure(tools.erasure_secrets), tools.clock.now())
        rows = await self.connection.fetch(SQL["transport_keys_to_announce"], tools.clock.now())
        await announce_keys(self.connection, tools.publisher, tools.announced, rows)

    def provisioner(self, reached: Callable[[UUID, Step], None] = _nothing) -> Provisioner:
        """Provisioning alone, with a listener for its steps."""
        tools = self.tools
        return replace(
            Provisioner(
                self.connection,
                tools.store_secrets,
                tools.router_secrets,
                tools.provider,
                tools.publisher,
                tools.announced,
                tools.clock,
            ),
            reached=reached,
        )

    async def request(self, *, partitions: int = 1, period: str = "month") -> UUID:
        """A tenant in state `requested`, as `mkc tenant add` leaves it."""
        tenant = uuid4()
        name = opaque_name()
        await self.connection.execute(
            SQL["request_tenant"], tenant, name, f"t_{name}", partitions, period, 365, "test"
        )
        return tenant

    async def add_tenant(self, *, partitions: int = 1) -> UUID:
        """A tenant that is ready."""
        tenant = await self.request(partitions=partitions)
        await self.provisioner().provision(tenant, "requested")
        return tenant

    async def schema(self, tenant: UUID) -> str:
        """A tenant's schema."""
        return str(
            await self.connection.fetchval("SELECT schema_name FROM mk.tenant WHERE tenant_id = $1", tenant)
        )


@pytest.fixture(scope="package")
def prepared(servers: tuple[LocalStack, int]) -> Iterator[str]:
    """The name of a migrated database that nobody uses: each test's is a copy of it, in a tenth of the time."""
    stack, _ = servers
    name = f"custody_{os.getpid()}"
    logins = prepare_database(stack.endpoints.postgres, name, stack.endpoints.passwords)
    try:
        in_own_loop(migrate(logins["mk_custodian"]))
        yield name
    finally:
        World.drop_database(stack, name)


@pytest.fixture
def cell(stack: LocalStack, prepared: str, tmp_path: Path) -> Iterator[Cell]:
    """A fresh database with its schema, and fresh keys."""
    name = f"{prepared}_{next(_numbers)}"
    keys = tmp_path / "keys"
    make_identities(keys)
    in_own_loop(_copy(stack.endpoints.postgres, prepared, name))
    try:
        yield Cell(
            stack.endpoints, keys, database_logins(stack.endpoints.postgres, name, stack.endpoints.passwords)
        )
    finally:
        World.drop_database(stack, name)


async def _copy(dsn: str, source: str, name: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
        await admit_logins(connection, name)
    finally:
        await connection.close()
