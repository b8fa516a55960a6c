"""The local PostgreSQL: a private cluster run from its own binaries, durable as in production, silent about rows."""

import asyncio
import concurrent.futures
import importlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from deploy.local.errors import LocalStackError
from deploy.local.node import Launch, Node, minimal_environment, port_answers
from deploy.local.postgres_binaries import binaries, data_folder, make_reachable_parent, server_user
from deploy.local.process import ProcessIdentity

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # TCP only: a socket file would need a folder both users reach.
    "unix_socket_directories": "",
    "max_connections": "200",
    # A commit that was acknowledged is on disk, in tests too.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_level": "replica",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # No row value may reach the server's log. An ERROR's own first line can carry one (`invalid input syntax for
    # type uuid: "…"`) and terse does not hide that line, so errors of statements are for the client alone. `log`
    # ranks above `error` here: the server's own messages, FATAL and PANIC stay.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_line_prefix": "%m [%p] ",
    "logging_collector": "off",
}


class PostgresNode(Node):
    """A cluster whose superuser `postgres` logs in without a password from this machine only."""

    name = "postgres"
    # Fast shutdown: open sessions are ended. SIGTERM would wait for them for ever.
    stop_signal = signal.SIGINT

    def __init__(self, root: Path, *, port: int, version: str) -> None:
        self._user = server_user()
        super().__init__(root / "run", data_folder(root, self._user), (port,))
        self.version = version
        self._root = root
        self._port = port

    def dsn(self, database: str = "postgres") -> str:
        """The superuser's DSN for a database of this cluster."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    def _prepare(self) -> tuple[Launch, str]:
        programs = binaries(self.version, self._user)
        self._initialise(programs)
        command = [str(programs / "postgres"), "-D", str(self.data_dir), "-p", str(self._port)]
        for name, value in _SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        launch = Launch(command, Path("/"), minimal_environment(), self._user)
        return launch, launch.fingerprint()

    def _initialise(self, programs: Path) -> None:
        marker = self.data_dir / "PG_VERSION"
        if marker.exists():
            if (found := marker.read_text().strip()) != self.version:
                raise LocalStackError(
                    f"{self.data_dir} was made by PostgreSQL {found}, not {self.version}: use another root, or "
                    "`make clean-data`."
                )
            return
        make_reachable_parent(self.data_dir, self._root)
        draft = self.data_dir.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(draft, *self._user)
        command = [str(programs / "initdb"), "-D", str(draft), "-U", "postgres", "-A", "trust", "--locale=C"]
        result = subprocess.run(
            [*command, "-E", "UTF8", "--data-checksums"],
            cwd="/",
            env=minimal_environment(),
            capture_output=True,
            text=True,
            check=False,
            user=None if self._user is None else self._user[0],
            group=None if self._user is None else self._user[1],
            extra_groups=None if self._user is None else [],
        )
        if result.returncode != 0:
            lines = (result.stderr or result.stdout).strip().splitlines() or ["initdb wrote nothing"]
            raise LocalStackError(f"The database cluster could not be made: {lines[0][:300]}")
        # Last, so that a crash before leaves no half-made cluster behind.
        draft.rename(self.data_dir)

    def _members(self) -> list[ProcessIdentity]:
        # Each session is a process of its own; suspending only the first one would leave them all answering.
        return self._require_process().family()

    def _ended_for_now(self, log_tail: str) -> bool:
        # After kill -9 the last session processes may live on for some milliseconds.
        return "shared memory block" in log_tail

    def _load_client(self) -> None:
        importlib.import_module("asyncpg")

    def _answers(self, timeout_s: float) -> bool:
        if not port_answers(self._port):
            return False
        # Our data directory: another PostgreSQL on this port is not this node.
        return data_directory_at(self.dsn(), timeout_s) == str(self.data_dir)


def data_directory_at(dsn: str, timeout_s: float) -> str | None:
    """The data directory of the server that answers there, or None if none does within the time."""
    # An own thread, because the caller may be inside a running event loop.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(_data_directory(dsn, timeout_s))).result()


async def _data_directory(dsn: str, timeout_s: float) -> str | None:
    import asyncpg

    try:
        async with asyncio.timeout(timeout_s):
            connection = await asyncpg.connect(dsn)
            try:
                found = await connection.fetchval("SHOW data_directory")
            finally:
                connection.terminate()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError, OSError):
        return None
    return str(found)
