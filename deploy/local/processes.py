"""The service on this machine: keys, topics, database and the processes of one root, each its own OS process.

Everything they need is made once and kept; a second start on the same root goes on with the same tenants and rows.
Must never start or stop Kafka or Postgres: `deploy.local.stack` does.
"""

import asyncio
import concurrent.futures
import contextlib
import json
import os
import secrets
import signal
from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from contracts.access import static_permits
from contracts.topics import STATIC_TOPICS
from deploy.local.database import prepare_database
from deploy.local.environment import DEMO_APP, Needs, operator_environment, process_environments
from deploy.local.errors import LocalStackError
from deploy.local.identities import make_identities
from deploy.local.process import Owner, ProcessIdentity
from deploy.local.service_node import ServiceNode
from deploy.local.stack import Endpoints
from runtime.files import write_atomic
from runtime.kafka.acls import AclAdmin
from runtime.kafka.topics import TopicAdmin, TopicSettings
from store.migrate import migrate

MODULES: Final = {
    "custodian": "store.custody",
    "router": "router",
    "store": "store",
    "erasure": "store.erasure",
    "ingest": "ingest",
    "desk": "store.desk",
}
"""Process to Python module, in the order in which they come up."""
STOP_ORDER: Final = ("ingest", "router", "store", "erasure", "custodian", "desk")
_HEALTH_ORDER: Final = ("ingest", "router", "store", "custodian", "erasure", "desk")
"""Each one's health port follows the one before it: a process that is new gets the next, and no other's moves."""
BESIDE: Final = ("desk",)
"""Not on the way of a webhook: `make run` starts them once the first row is there, a test if it needs them."""
PIPELINE: Final = tuple(name for name in MODULES if name not in BESIDE)
_RECEIVER_OFFSET: Final = -1010
_DESK_OFFSET: Final = -1001

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ports:
    """The public ports of the receiver and of the desk, and each process's health port."""

    receiver: int
    desk: int
    health: Mapping[str, int]

    @classmethod
    def from_base(cls, port_base: int) -> "Ports":
        """19090 gives the receiver 18080, the desk 18089 and health 18081 to 18086, in `_HEALTH_ORDER`."""
        receiver = port_base + _RECEIVER_OFFSET
        return cls(
            receiver,
            port_base + _DESK_OFFSET,
            {name: receiver + 1 + at for at, name in enumerate(_HEALTH_ORDER)},
        )

    def public_of(self, process: str) -> tuple[int, ...]:
        """The public ports of a process: most have none."""
        return {"ingest": (self.receiver,), "desk": (self.desk,)}.get(process, ())


class Service:
    """The processes of one root. Synchronous, also inside a running event loop (which it then blocks)."""

    def __init__(
        self,
        root: Path,
        endpoints: Endpoints,
        ports: Ports,
        *,
        database: str = "mkc",
        topics: TopicSettings | None = None,
        run_dir: Path | None = None,
        overrides: Mapping[str, str] | None = None,
    ) -> None:
        """Describe it; nothing is touched before `prepare`.

        Args:
            root: folder of the keys (`keys/`) and of logs and pid files (`run/`).
            database: name of the database in the Postgres of `endpoints`.
            topics: shortened retention and segments, for tests.
            run_dir: where logs and pid files go, if not `root/run`.
            overrides: settings of any process, by full variable name.
        """
        self.root = root.absolute()
        self.endpoints = endpoints
        self.ports = ports
        self.database = database
        self.topics = topics or TopicSettings()
        self.run_dir = (run_dir or self.root / "run").absolute()
        self.keys = self.root / "keys"
        self._owner_file = self.run_dir / "service.json"
        self._overrides = dict(overrides or {})
        self._nodes: dict[str, ServiceNode] = {}
        self._environments: dict[str, dict[str, str]] = {}
        self._logins: dict[str, str] = {}

    def claim(self) -> None:
        """Take the root's processes for this process. LocalStackError if another living one has them."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        me = ProcessIdentity.of(os.getpid())
        owner = Owner.read(self._owner_file)
        if (
            owner is not None
            and owner.process is not None
            and owner.process != me
            and owner.process.is_alive()
        ):
            raise LocalStackError(
                f"Another run (pid {owner.process.pid}) has {self.root}: end it, or choose another --root and MKC_PORT_BASE."
            )
        Owner(me).write(self._owner_file)

    def release(self) -> None:
        """Give the root's processes up again."""
        self._owner_file.unlink(missing_ok=True)

    # Preparation: the three parts need nothing of each other and may run in parallel.

    def prepare(self) -> None:
        """Keys, topics, database and migrations, then the settings of every process."""
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            parts = [
                pool.submit(part) for part in (self.prepare_keys, self.prepare_topics, self.prepare_database)
            ]
        for part in parts:
            part.result()
        self.settle()

    def prepare_keys(self) -> None:
        """Identities of the processes, and the demo app with its secrets: made once, kept for ever after."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        make_identities(self.keys)
        make_app(self.keys / "ingest", DEMO_APP)

    def prepare_topics(self) -> None:
        """The declared topics that every installation has; on a secured stack who may do what with them."""

        async def create() -> None:
            tls = self.endpoints.kafka_tls()
            async with TopicAdmin(self.endpoints.kafka, self.topics, tls) as admin:
                await admin.ensure(STATIC_TOPICS)
            if tls is not None:
                async with AclAdmin(self.endpoints.kafka, tls) as acls:
                    await acls.add(static_permits())

        in_own_loop(create())

    def prepare_database(self) -> None:
        """The database with its roles, migrated."""
        self._logins = prepare_database(self.endpoints.postgres, self.database, self.endpoints.passwords)
        in_own_loop(migrate(self._logins["mk_custodian"]))

    def settle(self) -> None:
        """Lay down the settings of all processes and, for `mkc`, of the operator. Needs the three parts above."""
        needs = Needs(
            keys=self.keys,
            kafka=self.endpoints.kafka,
            logins=self._logins,
            receiver_port=self.ports.receiver,
            desk_port=self.ports.desk,
            page_url=self.page_url,
            health_ports=self.ports.health,
            topics=self.topics,
            authority=self.endpoints.authority,
        )
        self._environments = environments = process_environments(needs)
        for name, value in self._overrides.items():
            for process, environment in environments.items():
                if name.startswith(f"MKC_{process.upper()}_"):
                    environment[name] = value
        self._nodes = {
            name: ServiceNode(
                name,
                module,
                self.run_dir,
                environments[name],
                health_port=self.ports.health[name],
                ports=self.ports.public_of(name),
            )
            for name, module in MODULES.items()
        }
        lines = "".join(f"{name}={value}\n" for name, value in sorted(operator_environment(needs).items()))
        write_atomic(self.env_file, lines.encode())

    # Running.

    def start(self, names: Iterable[str] = PIPELINE) -> None:
        """Start these processes in parallel (if none are named, all but those of `BESIDE`); return when all are ready.

        Raises:
            LocalStackError: one ended or did not become ready; the text says which and why.
        """
        wanted = [self.node(name) for name in names]
        with concurrent.futures.ThreadPoolExecutor(len(wanted)) as pool:
            started = [pool.submit(node.start) for node in wanted]
        failures = [error for future in started if (error := future.exception()) is not None]
        if failures:
            self.stop()
            raise failures[0]

    def stop(self) -> None:
        """Drain and stop all: the receiver first, so that nothing new arrives behind those that drain after it."""
        for name in STOP_ORDER:
            if name in self._nodes:
                self._nodes[name].stop()

    def nodes(self) -> list[ServiceNode]:
        """Every process, running or not; none before `settle`."""
        return list(self._nodes.values())

    def node(self, name: str) -> ServiceNode:
        """The process of that name. KeyError before `settle`."""
        return self._nodes[name]

    def another(self, name: str, health_port: int, suffix: str = "2") -> ServiceNode:
        """One more process of that kind beside the first, not started; `stop` does not know it."""
        environment = {**self._environments[name], f"MKC_{name.upper()}_HEALTH_PORT": str(health_port)}
        return ServiceNode(
            f"{name}-{suffix}", MODULES[name], self.run_dir, environment, health_port=health_port
        )

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self.node(name).kill()

    def restart(self, name: str) -> None:
        """Stop in order if it runs, then start and wait until it is ready."""
        self.node(name).stop()
        self.node(name).start()

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self.node(name).pause()

    def resume(self, name: str) -> None:
        """SIGCONT."""
        self.node(name).resume()

    def pid(self, name: str) -> int:
        """The process id. LocalStackError if it does not run."""
        return self.node(name).pid

    def metrics(self, name: str) -> dict[str, float]:
        """Samples of the process's metrics page."""
        return self.node(name).metrics()

    @property
    def env_file(self) -> Path:
        """The settings with which `mkc` works on this service."""
        return self.run_dir / "mkc.env"

    @property
    def receiver_url(self) -> str:
        """Where the demo app's webhooks go."""
        return f"http://127.0.0.1:{self.ports.receiver}/webhooks/meta/{DEMO_APP}"

    @property
    def page_url(self) -> str:
        """Where people read how their erasure stands, without the code."""
        return f"http://127.0.0.1:{self.ports.desk}/erasure"

    def login(self, name: str) -> str:
        """The DSN of a database login. KeyError before `prepare_database`."""
        return self._logins[name]

    def app_secret(self) -> bytes:
        """The secret with which Meta would sign for the demo app."""
        return (self.keys / "ingest" / f"{DEMO_APP}.secret").read_bytes().strip()


def make_app(folder: Path, app: str) -> None:
    """`apps.json` with one app and random secrets in files of their own (0600), unless they exist."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (f"{app}.secret", f"{app}.verify"):
        if not (folder / name).exists():
            write_atomic(folder / name, secrets.token_hex(16).encode())
    if not (folder / "apps.json").exists():
        entry = {"secrets": [{"id": "meta-1", "file": f"{app}.secret"}], "verify_token_file": f"{app}.verify"}
        write_atomic(folder / "apps.json", json.dumps({"apps": {app: entry}}, indent=2).encode())


def in_own_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in a thread of its own: the caller may be inside a running loop."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@contextlib.contextmanager
def interrupted_by_signals() -> Any:
    """SIGTERM as KeyboardInterrupt, so that one way out stops everything."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
