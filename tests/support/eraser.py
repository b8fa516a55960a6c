"""Erasure's own work without its process: a job row of a request, driven here, killed at any step a test likes."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID, uuid4

from aiokafka.structs import RecordMetadata

from contracts.control import ControlView
from contracts.signing import Signer
from runtime.clock import SystemClock
from runtime.epochs import EpochSource
from runtime.files import SecretFolder
from runtime.kafka.clients import Producer
from runtime.kafka.control import ControlReader
from runtime.metrics import ProcessMetrics
from store.database import connected
from store.erasure.clocks import BrokerClock, Difference
from store.erasure.drive import drive
from store.erasure.equipment import Step, Tools
from store.erasure.jobs import Job, load_job
from store.erasure.requests.admit import Admitted, insert
from store.erasure.telling.log_ends import LogEnds
from store.erasure.tenants import TenantSchema, find_tenant
from store.keys.keyring import LocalKeyring
from store.lanes.keks import TenantKeks
from store.settings import read_control_signers
from tests.integration.store.cell import Cell, alias
from tests.support.world import Tenant

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Killed(BaseException):
    """The process ended here: nothing after this line ran, also no handler of an exception."""


class Eraser:
    """An async context manager over erasure's tools in one database cell."""

    def __init__(self, cell: Cell) -> None:
        keys = cell.world.service.root / "keys"
        endpoints = cell.world.service.endpoints
        kafka, tls = endpoints.kafka, endpoints.kafka_tls("erasure")
        self.cell = cell
        self._signer = Signer.from_bytes("erasure", (keys / "erasure" / "signing.key").read_bytes())
        self._producer = Producer(kafka, "test-erasure", tls=tls)
        self.view = ControlView(read_control_signers(keys / "public" / "control_signers.json"))
        self.control = ControlReader(kafka, "test-erasure", self.view, tls=tls)
        self._ends = LogEnds(kafka, "test-erasure-ends", tls)
        self._keks = TenantKeks(LocalKeyring(SecretFolder(keys / "store" / "secrets")))
        self._stack = AsyncExitStack()
        self.metrics = ProcessMetrics("erasure")
        self.tools: Tools

    async def __aenter__(self) -> Self:
        await self._producer.start()
        self._stack.push_async_callback(self._producer.stop)
        await self._stack.enter_async_context(self.control)
        self._stack.push_async_callback(self._ends.stop)
        connection = await self._stack.enter_async_context(connected(self.cell.dsn("mk_erasure"), "test"))
        clock = SystemClock()
        self.tools = Tools(
            connection,
            self._producer,
            self._signer,
            EpochSource(self._signer, clock),
            self.view,
            self._keks,
            self._ends,
            clock,
            self.metrics,
            # A busy machine's round trip is no reason to hold what a test drives once.
            clocks=BrokerClock(timedelta(minutes=1)),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def broker_shows(self, shift: timedelta, limit: timedelta, *, appends: bool = True) -> None:
        """From now on the broker's clock is `shift` ahead of the database's; `appends`: it dates records itself."""
        broker = OtherTime(self._producer, shift, appends=appends)
        self.tools = replace(self.tools, producer=broker, clocks=BrokerClock(limit))

    async def ask(self, tenant: Tenant, *names: str, request: UUID | None = None) -> UUID:
        """A received request for whoever has these aliases; the same id again is the same request."""
        now = datetime.now(UTC)
        row = Admitted(
            request or uuid4(),
            tenant.tenant,
            "subject",
            "operator",
            "operator",
            None,
            None,
            tuple(alias(name) for name in names),
            None,
            now,
            now,
        )
        async with self.tools.connection.transaction():
            await insert(self.tools.connection, row)
        return row.request_id

    async def drive(self, request: UUID, *, killed_at: Step | None = None) -> Job:
        """As far as it goes now; `killed_at`: the process ends when that step stands. The row as it is then."""
        await self.turn(request, killed_at=killed_at)
        return await load_job(self.tools.connection, request)

    async def turn(self, request: UUID, *, killed_at: Step | None = None) -> None:
        """A worker's turn on a connection of its own: several may take theirs at once."""
        async with self._worker(_killing(killed_at)) as tools:
            with suppress(Killed):
                await drive(tools, request, None)

    async def erase(self, tenant: Tenant, *names: str) -> UUID:
        """Ask and drive; the request."""
        request = await self.ask(tenant, *names)
        await self.drive(request)
        return request

    @asynccontextmanager
    async def _worker(self, reached: Callable[[UUID, Step], None]) -> "AsyncIterator[Tools]":
        """A connection that ends as a killed process's does."""
        async with connected(self.cell.dsn("mk_erasure"), "test-worker") as connection:
            yield replace(self.tools, connection=connection, reached=reached)

    async def schema(self, tenant: Tenant) -> TenantSchema:
        """The tenant as erasure finds it."""
        found = await find_tenant(self.tools.connection, tenant.tenant)
        assert found is not None
        return found

    def steps(self, tenant: Tenant, request: UUID) -> list[Any]:
        """The request's step rows."""
        return self.cell.world.sql(
            f"SELECT * FROM {tenant.schema}.erasure_step WHERE request_id = $1 ORDER BY subject_id", request
        )

    def pass_lanes(self, tenant: Tenant, partitions: Iterable[int] = (0,)) -> None:
        """Every lane stands far behind the end of its topic."""
        for partition in partitions:
            self.cell.world.sql(
                f"INSERT INTO {tenant.schema}.lane (partition, slot, position) VALUES ($1, $2, 1000000)"
                " ON CONFLICT (partition) DO UPDATE SET position = excluded.position",
                partition,
                tenant.slot,
            )


class OneClock(BrokerClock):
    """Database and broker show the same time: for executors that nobody tells outcomes for."""

    def difference(self, monotonic_s: float) -> Difference:
        """None but Kafka's tick."""
        return Difference(-timedelta(milliseconds=1), timedelta(0))


class OtherTime(Producer):
    """A producer whose broker's clock shows another time than this machine's."""

    def __init__(self, producer: Producer, shift: timedelta, *, appends: bool) -> None:
        self._real, self._shift_ms = producer, round(shift.total_seconds() * 1000)
        self._type = 1 if appends else 0

    async def partitions_of(self, topic: str) -> int:
        """As it is."""
        return await self._real.partitions_of(topic)

    async def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> asyncio.Future[RecordMetadata]:
        """The future of an acknowledgement that is dated by the other clock."""
        sent = await self._real.send(topic, value, key=key, headers=headers, partition=partition)

        async def dated() -> RecordMetadata:
            told = await sent
            return told._replace(timestamp=told.timestamp + self._shift_ms, timestamp_type=self._type)

        return asyncio.ensure_future(dated())


def _killing(at: Step | None) -> Callable[[UUID, Step], None]:
    def reached(_request: UUID, step: Step) -> None:
        if step is at:
            raise Killed

    return reached
