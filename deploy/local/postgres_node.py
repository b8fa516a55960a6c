"""The local PostgreSQL: a private cluster run from its own binaries, durable as in production, silent about rows."""

import asyncio
import concurrent.futures
import hashlib
import importlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

from deploy.local.certificates import Authority, install_server_pair
from deploy.local.database import LOGINS
from deploy.local.errors import LocalStackError
from deploy.local.node import Launch, Node, minimal_environment, port_answers
from deploy.local.passwords import SUPERUSER, Passwords, login_rules, verifier
from deploy.local.postgres_binaries import binaries, data_folder, make_reachable_parent, server_user
from deploy.local.process import ProcessIdentity
from runtime.files import write_atomic

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


_NO_TLS = b"SSL is not supported by this build"
"""Stands in the program exactly when it was built without."""


class PostgresNode(Node):
    """A cluster whose superuser `postgres` logs in from this machine only: without a password, unless it is secured."""

    name = "postgres"
    # Fast shutdown: open sessions are ended. SIGTERM would wait for them for ever.
    stop_signal = signal.SIGINT

    def __init__(self, root: Path, *, port: int, version: str, authority: Authority | None = None) -> None:
        """`authority`: every login has a password then, and TLS where this build has it."""
        self._user = server_user()
        super().__init__(root / "run", data_folder(root, self._user), (port,))
        self.version = version
        self._root = root
        self._port = port
        self._authority = authority
        self._passwords: Passwords | None = None

    def dsn(self, database: str = "postgres") -> str:
        """The superuser's DSN for a database of this cluster."""
        plain = f"postgresql://{SUPERUSER}@127.0.0.1:{self._port}/{database}"
        return plain if self.passwords is None else self.passwords.dsn(plain, SUPERUSER)

    @property
    def passwords(self) -> Passwords | None:
        """Those of the logins; None where nobody needs one."""
        if self._authority is not None and self._passwords is None:
            has_tls = _NO_TLS not in (binaries(self.version, self._user) / "postgres").read_bytes()
            self._passwords = Passwords(self._root / "logins", self._authority.ca if has_tls else None)
        return self._passwords

    def _prepare(self) -> tuple[Launch, str]:
        programs = binaries(self.version, self._user)
        self._initialise(programs)
        command = [str(programs / "postgres"), "-D", str(self.data_dir), "-p", str(self._port)]
        for name, value in _SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        for name, value in self._secured().items():
            command += ["-c", f"{name}={value}"]
        launch = Launch(command, Path("/"), minimal_environment(), self._user)
        return launch, launch.fingerprint()

    def _secured(self) -> dict[str, str]:
        passwords = self.passwords
        if self._authority is None or passwords is None:
            return {}
        rules = self.data_dir / "pg_hba.secured.conf"
        write_atomic(rules, login_rules(LOGINS, tls=passwords.ca is not None).encode())
        if self._user is not None:
            os.chown(rules, *self._user)
        settings = {"hba_file": str(rules), "password_encryption": "scram-sha-256"}
        if passwords.ca is not None:
            self._authority.prepare()
            certificate, key = install_server_pair(self._authority, self.data_dir, self._user)
            settings |= {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}
            settings |= {"ssl_min_protocol_version": "TLSv1.2"}
        return settings

    def _before_launch(self) -> None:
        passwords = self.passwords
        if passwords is None:
            return
        password = passwords.ensure(SUPERUSER)
        known = self.data_dir / "superuser.sha256"
        digest = hashlib.sha256(password).hexdigest()
        if known.exists() and known.read_text() == digest:
            return
        # Nobody can log in to give the first password: the server's own single-user mode takes it, by standard input.
        statement = f"ALTER ROLE {SUPERUSER} PASSWORD '{verifier(password)}';\n"
        command = [str(binaries(self.version, self._user) / "postgres"), "--single", "-D", str(self.data_dir)]
        result = subprocess.run(
            [*command, "-c", "log_min_messages=log", "postgres"],
            input=statement,
            cwd="/",
            env=minimal_environment(),
            capture_output=True,
            text=True,
            check=False,
            user=None if self._user is None else self._user[0],
            group=None if self._user is None else self._user[1],
            extra_groups=None if self._user is None else [],
        )
        if result.returncode != 0 or "ERROR" in result.stderr:
            raise LocalStackError("The database's superuser could not be given a password.")
        write_atomic(known, digest.encode())
        if self._user is not None:
            # A base backup reads every file of the directory, as the server's user.
            os.chown(known, *self._user)

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
