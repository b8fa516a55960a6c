"""The local stack as one object: Kafka and Postgres up in parallel, re-used if already up, gone when we are.

`MKC_KAFKA` (bootstrap servers) and `MKC_POSTGRES` (a superuser's DSN) name servers of your own; what is named is used
and never started, stopped or signalled. `MKC_PORT_BASE` moves every port; `MKC_KAFKA_VERSION` and
`MKC_POSTGRES_VERSION` choose the versions.
"""

import concurrent.futures
import fcntl
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from deploy.local import kafka_libs, postgres_binaries
from deploy.local.certificates import ADMIN, Authority
from deploy.local.errors import LocalStackError
from deploy.local.kafka_node import KafkaNode, Profile, cluster_id_at
from deploy.local.node import Node
from deploy.local.passwords import Passwords
from deploy.local.postgres_node import PostgresNode, data_directory_at
from deploy.local.process import Owner, ProcessIdentity
from runtime.tls import client_context

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_ROOT = REPOSITORY / ".local"
DEFAULT_CACHE = DEFAULT_ROOT / "cache"
DEFAULT_PORT_BASE = 19090

# Ports above are handed out by the kernel to outgoing connections and get taken.
_FIRST_EPHEMERAL_PORT = 32768
_HIGHEST_OFFSET = 342
# The receiver listens 1010 below the base, where no privilege may be needed.
_LOWEST_BASE = 2034
_EXTERNAL_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where clients connect: Kafka's bootstrap servers, and a superuser's DSN.

    Of a secured stack also whose certificates count (`authority`) and where the logins' passwords lie.
    """

    kafka: str
    postgres: str
    authority: Authority | None = None
    passwords: Passwords | None = None

    def kafka_tls(self, name: str = ADMIN) -> ssl.SSLContext | None:
        """How the holder of that name's certificate connects to Kafka; None where everybody may."""
        if self.authority is None:
            return None
        return client_context(self.authority.files(name), "the stack's certificates")

    def kafka_client(self, name: str = ADMIN) -> dict[str, Any]:
        """The same as arguments of aiokafka's own clients, the servers' addresses included."""
        tls = self.kafka_tls(name)
        return {
            "bootstrap_servers": self.kafka,
            "security_protocol": "SSL" if tls else "PLAINTEXT",
            "ssl_context": tls,
        }


class LocalStack:
    """Kafka and Postgres with all their state under `root`.

    Synchronous, safe to call from a thread and from inside a running event loop (which it then blocks).
    As a context manager it starts on entry and stops on exit.
    """

    def __init__(
        self,
        root: Path = DEFAULT_ROOT,
        *,
        port_base: int | None = None,
        profile: Profile = "run",
        kafka_version: str | None = None,
        postgres_version: str | None = None,
        cache: Path = DEFAULT_CACHE,
        keep_running: bool = False,
        secure: bool | None = None,
    ) -> None:
        """Describe a stack; nothing is touched before `start`.

        Args:
            root: folder for data, logs and pid files; one stack per root.
            port_base: Kafka listens on +2, its controller on +3, its internal listener on +4 (if secured), Postgres on +342. None: MKC_PORT_BASE or 19090.
            kafka_version: one of those with locked jars. None: MKC_KAFKA_VERSION or 4.4.0.
            postgres_version: a major version. None: MKC_POSTGRES_VERSION or 18.
            profile: "test" deletes expired bytes within seconds, "bench" gives Kafka 1 GB and its full compiler.
            cache: downloaded jars and class archives, shared by all roots.
            keep_running: leave the nodes up when this process ends.
            secure: certificates and permissions on Kafka, passwords (and TLS, where the build has it) on Postgres.
                None: MKC_SECURE.
        """
        base = _port_base_from_environment() if port_base is None else port_base
        if not _LOWEST_BASE <= base <= _FIRST_EPHEMERAL_PORT - 1 - _HIGHEST_OFFSET:
            raise LocalStackError(
                f"The port base (MKC_PORT_BASE) must be from {_LOWEST_BASE} to {_FIRST_EPHEMERAL_PORT - 1 - _HIGHEST_OFFSET}."
            )
        self.root = root.absolute()
        self.cache = cache.absolute()
        self.keep_running = keep_running
        self._run_dir = self.root / "run"
        self._owner_file = self._run_dir / "owner.json"
        self._external_kafka = os.environ.get("MKC_KAFKA") or None
        self._external_postgres = os.environ.get("MKC_POSTGRES") or None
        self._owned = False
        self._watchdog: _Watchdog | None = None
        self.secure = os.environ.get("MKC_SECURE", "") not in ("", "0") if secure is None else secure
        if self.secure and (self._external_kafka or self._external_postgres):
            raise LocalStackError(
                "MKC_KAFKA and MKC_POSTGRES name servers that the secured stack cannot set up."
            )
        authority = Authority(self.root / "tls") if self.secure else None
        self._kafka = KafkaNode(
            self.root,
            client_port=base + 2,
            controller_port=base + 3,
            cache=self.cache,
            version=kafka_version or os.environ.get("MKC_KAFKA_VERSION") or kafka_libs.DEFAULT_VERSION,
            profile=profile,
            authority=authority,
            internal_port=base + 4,
        )
        self._postgres = PostgresNode(
            self.root,
            port=base + _HIGHEST_OFFSET,
            version=postgres_version
            or os.environ.get("MKC_POSTGRES_VERSION")
            or postgres_binaries.DEFAULT_VERSION,
            authority=authority,
        )
        self._authority = authority

    @property
    def kafka(self) -> KafkaNode:
        """The local Kafka. LocalStackError if MKC_KAFKA names another."""
        if self._external_kafka is not None:
            raise LocalStackError("MKC_KAFKA names a Kafka of yours, which the local stack does not control.")
        return self._kafka

    @property
    def postgres(self) -> PostgresNode:
        """The local Postgres. LocalStackError if MKC_POSTGRES names another."""
        if self._external_postgres is not None:
            raise LocalStackError(
                "MKC_POSTGRES names a Postgres of yours, which the local stack does not control."
            )
        return self._postgres

    @property
    def endpoints(self) -> Endpoints:
        """Where the servers are, or will be once started."""
        return Endpoints(
            kafka=self._external_kafka or self._kafka.bootstrap,
            postgres=self._external_postgres or self._postgres.dsn(),
            authority=self._authority,
            passwords=None if self._external_postgres else self._postgres.passwords,
        )

    def dsn(self, database: str) -> str:
        """The superuser's DSN for a database, on the local Postgres or on the one MKC_POSTGRES names."""
        if self._external_postgres is None:
            return self._postgres.dsn(database)
        return urlsplit(self._external_postgres)._replace(path=f"/{database}").geturl()

    def start(self) -> Endpoints:
        """Bring both servers up and return once clients are answered.

        Nodes of this root that already run are re-used. If they belong to another living process, or were left up on
        purpose, they stay its: `stop` will then leave them alone.

        Raises:
            LocalStackError: with one sentence that says what to do.
        """
        self._require_external_servers()
        try:
            with self._locked():
                self._take_ownership()
                try:
                    _in_parallel([node.start for node in self._nodes()])
                except BaseException:
                    if self._owned:
                        self._stop_nodes()
                    raise
        except BaseException:
            self._dismiss_watchdog()
            raise
        return self.endpoints

    def stop(self, *, force: bool = False) -> None:
        """Stop the nodes if they are ours; with `force` whoever they belong to."""
        if not self._run_dir.exists():
            return
        with self._locked():
            if self._owned or force:
                self._stop_nodes()
        self._dismiss_watchdog()

    def _stop_nodes(self) -> None:
        try:
            _in_parallel([node.stop for node in self._nodes()])
        finally:
            self._owned = False
            self._owner_file.unlink(missing_ok=True)

    def _dismiss_watchdog(self) -> None:
        # Outside the lock, for which the watchdog itself waits before it looks whether it is still needed.
        if self._watchdog is not None:
            self._watchdog.dismiss()
            self._watchdog = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _require_external_servers(self) -> None:
        kafka, postgres = self._external_kafka, self._external_postgres
        if kafka is not None and cluster_id_at(kafka, _EXTERNAL_TIMEOUT_S) is None:
            raise LocalStackError(
                f"No Kafka answers at {kafka}: correct MKC_KAFKA, or unset it for a local one."
            )
        if postgres is not None and data_directory_at(postgres, _EXTERNAL_TIMEOUT_S) is None:
            # Without the DSN: it may hold a password.
            raise LocalStackError(
                "No PostgreSQL lets a superuser in at MKC_POSTGRES: correct it, or unset it for a local one."
            )

    def _nodes(self) -> list[Node]:
        nodes: list[Node] = []
        if self._external_kafka is None:
            nodes.append(self._kafka)
        if self._external_postgres is None:
            nodes.append(self._postgres)
        return nodes

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self.root.exists():
            self.root.mkdir(parents=True)
            # Whatever the umask: the database's user must be able to pass.
            self.root.chmod(0o755)
        self._run_dir.mkdir(exist_ok=True)
        with (self._run_dir / "stack.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _take_ownership(self) -> None:
        me = ProcessIdentity.of(os.getpid())
        current = Owner.read(self._owner_file)
        if current is not None and current.process != me:
            left_up = current.process is None and any(node.is_running() for node in self._nodes())
            if left_up or (current.process is not None and current.process.is_alive()):
                self._set_owned(False)
                return
        self._set_owned(True)
        owner = Owner(None if self.keep_running else me)
        owner.write(self._owner_file)
        if not self.keep_running and self._watchdog is None:
            self._watchdog = _Watchdog(self._run_dir, me)

    def _set_owned(self, owned: bool) -> None:
        self._owned = owned
        for node in (self._kafka, self._postgres):
            node.may_replace = owned


class _Watchdog:
    """Our end of the pipe that tells the watchdog process we are alive."""

    def __init__(self, run_dir: Path, owner: ProcessIdentity) -> None:
        read_end, self._write_end = os.pipe()
        try:
            arguments = [str(run_dir), str(owner.pid), owner.boot_id, str(owner.start_ticks), str(read_end)]
            self._process = subprocess.Popen(
                [sys.executable, "-E", "-S", "-m", "deploy.local.watchdog", *arguments],
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                pass_fds=[read_end],
                start_new_session=True,
            )
        finally:
            os.close(read_end)

    def dismiss(self) -> None:
        """Let it go. The owner file is gone already, so it ends without touching anything."""
        os.close(self._write_end)
        self._process.wait()


def _in_parallel(actions: list[Callable[[], None]]) -> None:
    """Run all to their end, then raise what failed: no action is left half-done behind our back."""
    if not actions:
        return
    with concurrent.futures.ThreadPoolExecutor(len(actions)) as pool:
        futures = [pool.submit(action) for action in actions]
    errors = [error for future in futures if (error := future.exception()) is not None]
    refusals = [str(error) for error in errors if isinstance(error, LocalStackError)]
    if errors and len(refusals) == len(errors):
        # All at once, so that a person does not repair them one by one.
        raise LocalStackError("\n".join(refusals)) from errors[0]
    for error in errors:
        if not isinstance(error, LocalStackError):
            raise error


def _port_base_from_environment() -> int:
    text = os.environ.get("MKC_PORT_BASE", "")
    if not text:
        return DEFAULT_PORT_BASE
    if not text.isdecimal():
        raise LocalStackError("MKC_PORT_BASE must be a number.")
    return int(text)
