"""A fresh service for a module of tests: own topics, database, keys and processes on the session's Kafka and Postgres.

Everything goes through the real doors: webhooks over HTTP, tenants and accounts through `mkc`, rows out of Postgres.
Synchronous: work that needs a loop gets one in a thread of its own, so tests may be coroutines or not.
"""

import asyncio
import concurrent.futures
import contextlib
import http.client
import io
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from contracts.ledger import Outcome
from deploy.local.demo.play import decoded
from deploy.local.processes import MODULES, PIPELINE, Ports, Service, in_own_loop
from deploy.local.service_node import ServiceNode
from deploy.local.stack import Endpoints, LocalStack
from ingest.cli_post import meta_headers
from runtime import mkc
from runtime.kafka.topics import TopicSettings

T = TypeVar("T")
LEAST_PATIENCE_S = 60.0
WAITING_FOR_LOCKS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant that is ready."""

    name: str
    tenant: UUID
    schema: str
    slot: str


class MkcFailed(AssertionError):
    """`mkc` ended with another exit code than 0."""


class World:
    """One service with its data. Create with `World.on`."""

    def __init__(self, stack: LocalStack, service: Service) -> None:
        self.stack = stack
        self.service = service
        self.expected_running: set[str] = set()
        self._log_starts = {path.stem: path.stat().st_size for path in service.run_dir.glob("*.log")}

    @classmethod
    @contextlib.contextmanager
    def on(
        cls,
        stack: LocalStack,
        port_base: int,
        *,
        topics: TopicSettings | None = None,
        overrides: Mapping[str, str] | None = None,
    ) -> "Iterator[World]":
        """A world for as long as the context lasts: nothing of an earlier one is left, and nothing of it stays."""
        number = f"{os.getpid()}-{next(_numbers)}"
        root = stack.root / f"world-{number}"
        root.mkdir(mode=0o755)
        delete_topics(stack.endpoints)
        service = Service(
            root,
            stack.endpoints,
            Ports.from_base(port_base),
            database=f"world_{number.replace('-', '_')}",
            topics=topics,
            # Beside the servers' pid files, where the stack's watchdog looks if this session is killed.
            run_dir=stack.root / "run",
            overrides=overrides,
        )
        world = cls(stack, service)
        try:
            service.prepare()
            yield world
        finally:
            # All at once: nothing new comes any more, and each drains what it has.
            with concurrent.futures.ThreadPoolExecutor(len(MODULES)) as pool:
                list(pool.map(ServiceNode.stop, service.nodes()))
            shutil.rmtree(root, ignore_errors=True)
            with contextlib.suppress(asyncpg.PostgresError, OSError):
                cls.drop_database(stack, service.database)

    # Processes.

    def start(self, names: Iterable[str] = PIPELINE) -> None:
        """Start processes and wait until they are ready."""
        listed = list(names)
        self.service.start(listed)
        self.expected_running |= set(listed)

    def stop(self, name: str) -> None:
        """SIGTERM: drain and end."""
        self.service.node(name).stop()
        self.expected_running.discard(name)

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.service.kill(name)
        self.expected_running.discard(name)

    def restart(self, name: str) -> None:
        """Start again, after a stop if it still runs."""
        self.service.restart(name)
        self.expected_running.add(name)

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self.service.pause(name)

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self.service.resume(name)

    def dead(self) -> set[str]:
        """Processes that should run and do not: a test that ends with one has found something."""
        return {name for name in self.expected_running if not self.service.node(name).is_running()}

    def log(self, name: str) -> str:
        """A process's log in this world so far."""
        content = self.service.node(name).log_path.read_bytes()
        return content[self._log_starts.get(name, 0) :].decode(errors="replace")

    def node(self, name: str) -> ServiceNode:
        """The process itself."""
        return self.service.node(name)

    def metrics(self, name: str) -> dict[str, float]:
        """Samples of its metrics page."""
        return self.service.metrics(name)

    # Servers.

    def kafka_kill(self) -> None:
        """SIGKILL of the broker."""
        self.stack.kafka.kill()

    def kafka_start(self) -> None:
        """Start it again and wait for an answer."""
        self.stack.kafka.start()

    def postgres_kill(self) -> None:
        """SIGKILL of the postmaster."""
        self.stack.postgres.kill()

    def postgres_start(self) -> None:
        """Start it again and wait for an answer."""
        self.stack.postgres.start()

    # The operator.

    def mkc(self, *arguments: str, check: bool = True) -> Any:
        """Run the operator's command with `--json`; what it printed, decoded. Raises MkcFailed."""
        code, output, errors = self.mkc_raw(*arguments, "--json")
        if check and code != 0:
            raise MkcFailed(f"mkc {' '.join(arguments)} ended with {code}: {errors or output}")
        return decoded(output)

    def mkc_raw(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of the operator's command, run in this process."""
        out, err = io.StringIO(), io.StringIO()

        def call() -> int:
            try:
                return mkc.main(list(arguments))
            except SystemExit as exc:
                return exc.code if isinstance(exc.code, int) else 1

        with (
            self._operator_settings(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            concurrent.futures.ThreadPoolExecutor(1) as pool,
        ):
            code = pool.submit(call).result()
        return code, out.getvalue(), err.getvalue()

    @contextlib.contextmanager
    def _operator_settings(self) -> Iterator[None]:
        lines = (line.partition("=") for line in self.service.env_file.read_text().splitlines())
        added = {name: value for name, _, value in lines}
        before = {name: value for name, value in os.environ.items() if name in added}
        os.environ.update(added)
        try:
            yield
        finally:
            for name in added:
                os.environ.pop(name, None)
            os.environ.update(before)

    def add_tenant(self, name: str) -> Tenant:
        """A new tenant, once it is ready."""
        self.mkc("tenant", "add", name)
        return self.wait_until(lambda: self.tenant(name), 20, f"tenant {name} to be ready")

    def tenant(self, name: str) -> Tenant | None:
        """The tenant of that name if it is ready."""
        found = self.sql(
            "SELECT tenant_id, schema_name, slot FROM mk.tenant JOIN mk.slot USING (tenant_id)"
            " WHERE name = $1 AND tenant.state = 'ready'",
            name,
        )
        return Tenant(name, found[0][0], found[0][1], found[0][2]) if found else None

    def connect(self, tenant: Tenant, product: str, ids: Mapping[str, str | Iterable[str]]) -> UUID:
        """Connect an account; its id. `ids`: options of `mkc account connect` without dashes, one id or several each."""
        options = ["--product", product, "--consent-by", "test", "--proof", "test"]
        for name, values in ids.items():
            for value in (values,) if isinstance(values, str) else values:
                options += [f"--{name}", value]
        return UUID(self.mkc("account", "connect", tenant.name, *options)["account"])

    def ledger(self) -> tuple[bool, Any]:
        """Whether the ledger balances, and what `mkc ledger --json` says."""
        code, output, errors = self.mkc_raw("ledger", "--json")
        if code not in (0, 1) or not output.strip():
            raise MkcFailed(f"mkc ledger ended with {code}: {errors}")
        return code == 0, json.loads(output)

    # Webhooks.

    def post(self, body: bytes, secret: bytes | None = None, *, timeout_s: float = 30) -> int:
        """Sign and post one delivery as Meta does; the status, or 0 when nobody answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.service.ports.receiver, timeout=timeout_s)
        try:
            return self.post_on(connection, body, secret)
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def post_on(
        self, connection: http.client.HTTPConnection, body: bytes, secret: bytes | None = None
    ) -> int:
        """The same over a connection that is kept. Raises OSError or HTTPException."""
        headers = meta_headers(body, self.service.app_secret() if secret is None else secret)
        path = self.service.receiver_url.partition(str(self.service.ports.receiver))[2]
        connection.request("POST", path, body, dict(headers))
        response = connection.getresponse()
        response.read()
        return response.status

    # What became of them.

    def rows(self, tenant: Tenant) -> list[asyncpg.Record]:
        """The tenant's rows, as the superuser sees them: ciphertext."""
        return self.sql(f"SELECT * FROM {tenant.schema}.message ORDER BY id")

    def row_count(self, tenant: Tenant) -> int:
        """How many rows the tenant has."""
        return int(self.sql(f"SELECT count(*) FROM {tenant.schema}.message")[0][0])

    def outcomes(self, tenant: Tenant) -> dict[str, int]:
        """Totals of the tenant's lane outcomes; only those above 0."""
        names = [*Outcome, "expired_unread", "replays"]
        sums = ", ".join(f"coalesce(sum({name}), 0)::int AS {name}" for name in names)
        found = self.sql(f"SELECT {sums} FROM {tenant.schema}.lane_outcome")[0]
        return {name: found[name] for name in names if found[name]}

    def messages(self, tenant: Tenant) -> list[dict[str, Any]]:
        """The tenant's messages, decrypted through `mkc messages`."""
        read = self.mkc("messages", tenant.name, "--purpose", "test")
        return list(read) if isinstance(read, list) else [read]

    def sql(self, query: str, *arguments: object, database: str | None = None) -> list[asyncpg.Record]:
        """Run one statement as the superuser."""

        async def run() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.stack.dsn(database or self.service.database), timeout=10)
            try:
                return list(await connection.fetch(query, *arguments))
            finally:
                await connection.close()

        return in_own_loop(run())

    def waiting_for_locks(self) -> int:
        """How many sessions of the database wait for a lock that another has."""
        return int(self.sql(WAITING_FOR_LOCKS)[0][0])

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in a loop of its own."""
        return in_own_loop(work)

    @staticmethod
    def wait_until(condition: Callable[[], T | None], timeout_s: float, what: str = "") -> T:
        """Poll until `condition` returns something true; that value. AssertionError after `timeout_s`, or after
        `LEAST_PATIENCE_S` if that is longer: the machine may be busy, and what was waited for is the test, not how long.
        """
        timeout_s = max(timeout_s, LEAST_PATIENCE_S)
        deadline = time.monotonic() + timeout_s
        pause_s = 0.02
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"waited {timeout_s} s in vain for {what or 'a condition'}; last: {found!r}"
                )
            time.sleep(pause_s)
            pause_s = min(0.25, pause_s * 1.5)

    def wait_rows(self, tenant: Tenant, count: int, timeout_s: float = 10) -> None:
        """Wait until the tenant has at least `count` rows."""
        self.wait_until(lambda: self.row_count(tenant) >= count, timeout_s, f"{count} rows")

    def wait_balanced(self, timeout_s: float = 20) -> Any:
        """Wait until the ledger balances with nothing in flight; what it says then."""

        def settled() -> Any:
            balanced, says = self.ledger()
            return says if balanced and not says.get("in_flight") else None

        return self.wait_until(settled, timeout_s, "the ledger to balance")

    @staticmethod
    def drop_database(stack: LocalStack, name: str) -> None:
        """Drop a database with whatever is connected to it."""

        async def drop() -> None:
            connection = await asyncpg.connect(stack.endpoints.postgres, timeout=10)
            try:
                await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            finally:
                await connection.close()

        in_own_loop(drop())


def delete_topics(endpoints: Endpoints) -> None:
    """Delete every topic of ours and wait until the names are free."""

    async def delete() -> None:
        admin = AIOKafkaAdminClient(**endpoints.kafka_client())
        await admin.start()
        try:
            async with asyncio.timeout(20):
                while names := [name for name in await admin.list_topics() if name.startswith("mk.")]:
                    await admin.delete_topics(names)
                    await asyncio.sleep(0.05)
        finally:
            await admin.close()

    in_own_loop(delete())


def data_folders(stack: LocalStack) -> list[Path]:
    """Where the servers keep their bytes, and where every log is."""
    return [stack.kafka.data_dir, stack.postgres.data_dir, stack.root / "run"]
