"""One server process of the local stack: start or re-use, stop, kill, suspend, and never touch a stranger's.

What differs between Kafka and Postgres (files, command line, what counts as an answer) is in their own modules.
"""

import hashlib
import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LocalStackError
from deploy.local.process import NodeRecord, ProcessIdentity

START_TIMEOUT_S = 120.0
_STOP_GRACE_S = 30.0
_LOG_LIMIT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Launch:
    """How to run a server. `user` is a (uid, gid) to run as, or None for the caller's own."""

    command: Sequence[str]
    working_dir: Path
    environment: Mapping[str, str]
    user: tuple[int, int] | None = None

    def fingerprint(self, *files: str) -> str:
        """Equal exactly when the server would run in the same way; `files` are its settings files' contents."""
        digest = hashlib.sha256()
        for part in (*self.command, *files):
            digest.update(part.encode() + b"\0")
        return digest.hexdigest()


class Node(ABC):
    """A server with a pid file and a log under `run_dir`, listening on `ports` of 127.0.0.1."""

    name: str
    stop_signal: signal.Signals

    def __init__(self, run_dir: Path, data_dir: Path, ports: Sequence[int]) -> None:
        self.data_dir = data_dir
        self.log_path = run_dir / f"{self.name}.log"
        self._run_dir = run_dir
        self._ports = ports
        self._pid_file = run_dir / f"{self.name}.pid"
        self._child: subprocess.Popen[bytes] | None = None
        #: Whether `start` may stop a running node of this root whose settings differ. Not if it is another run's.
        self.may_replace = True

    @abstractmethod
    def _prepare(self) -> tuple[Launch, str]:
        """Make the binaries and the data directory ready; the launch and its fingerprint."""

    def _before_launch(self) -> None:  # noqa: B027  # most have nothing to do
        """What can only be done while the server is down, and before it starts."""

    @abstractmethod
    def _answers(self, timeout_s: float) -> bool:
        """Whether a real client gets a real answer from *this* node within the time."""

    @abstractmethod
    def _load_client(self) -> None:
        """Import what `_answers` needs: done while the server starts, because it takes a noticeable time."""

    def start(self) -> None:
        """Bring the node up and return when a client is answered. A running own node is re-used.

        Raises:
            LocalStackError: a port is taken, something is not installed, or the server ended while starting.
        """
        launch, fingerprint = self._prepare()
        if self._adopt(fingerprint):
            return
        self._require_free_ports()
        self._before_launch()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._launch_and_wait(launch, fingerprint, deadline):
            time.sleep(0.1)

    def stop(self) -> None:
        """Let the node finish in order; does nothing if it is not running."""
        process = self._process()
        if process is None and self._child is not None and self.is_child:
            # Its pid file is gone, it is not: whoever removed the folder must not make us wait for it for ever.
            process = ProcessIdentity.of(self._child.pid)
        if process is not None:
            process.stop(self.stop_signal, grace_s=_STOP_GRACE_S)
        self._forget()

    def kill(self) -> None:
        """SIGKILL, and return when the process is gone. The data stays."""
        process = self._require_process()
        process.send(signal.SIGKILL)
        if not process.wait_gone(_STOP_GRACE_S):
            raise LocalStackError(f"{self.name} (pid {process.pid}) did not end on SIGKILL.")
        self._forget()

    @property
    def is_child(self) -> bool:
        """Whether this process started the one that runs."""
        return self._child is not None and self._child.poll() is None

    def reap(self) -> None:
        """Let the kernel forget a child of ours that another process killed: Postgres takes its pid for a living one."""
        if self._child is not None:
            self._child.poll()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers, like a machine that hangs."""
        for process in self._members():
            process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        for process in self._members():
            process.send(signal.SIGCONT)

    @property
    def pid(self) -> int:
        """The server's process id.

        Raises:
            LocalStackError: it is not running.
        """
        return self._require_process().pid

    def is_running(self) -> bool:
        """Whether the process exists; says nothing about whether it answers."""
        return self._process() is not None

    def answers(self, timeout_s: float = 2.0) -> bool:
        """Whether it runs and a client is answered within the time."""
        return self.is_running() and self._answers(timeout_s)

    def _members(self) -> list[ProcessIdentity]:
        return [self._require_process()]

    def _process(self) -> ProcessIdentity | None:
        record = NodeRecord.read(self._pid_file)
        return record.process if record is not None and record.process.is_alive() else None

    def _require_process(self) -> ProcessIdentity:
        process = self._process()
        if process is None:
            raise LocalStackError(f"{self.name} is not running.")
        return process

    def _forget(self) -> None:
        self._pid_file.unlink(missing_ok=True)
        if self._child is not None:
            self._child.wait()
            self._child = None

    def _adopt(self, fingerprint: str) -> bool:
        record = NodeRecord.read(self._pid_file)
        if record is None or not record.process.is_alive():
            self._forget()
            return False
        # Whoever left it may have left it suspended, or still starting.
        for process in self._members():
            process.send(signal.SIGCONT)
        if record.fingerprint == fingerprint and self._answers(START_TIMEOUT_S / 8):
            return True
        if not self.may_replace:
            raise LocalStackError(
                f"{self.name} already runs on this root for somebody else, with other settings or without answering: "
                "end that run, or stop it with `python -m deploy.local down`."
            )
        self.stop()
        return False

    def _require_free_ports(self) -> None:
        for port in self._ports:
            with socket.socket() as probe:
                # As the servers do: a connection that is only lingering does not count as in use.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError as exc:
                    raise LocalStackError(
                        f"Port {port}, wanted for {self.name}, is in use: free it, or set MKC_PORT_BASE to move all "
                        f"ports of the local stack (it is 19090 unless set)."
                    ) from exc

    def _launch_and_wait(self, launch: Launch, fingerprint: str, deadline: float) -> bool:
        """Start the process and wait for an answer; False if it ended for a reason that passes by itself."""
        log_start = self._rotate_log()
        with self.log_path.open("ab") as log:
            self._child = subprocess.Popen(
                launch.command,
                cwd=launch.working_dir,
                env=dict(launch.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for the owner, which drains first and stops the servers last.
                start_new_session=True,
                user=None if launch.user is None else launch.user[0],
                group=None if launch.user is None else launch.user[1],
                extra_groups=None if launch.user is None else [],
            )
        identity = ProcessIdentity.of(self._child.pid)
        NodeRecord(identity, fingerprint, int(self.stop_signal)).write(self._pid_file)
        self._load_client()
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                self._forget()
                tail = self._log_tail(log_start)
                if self._ended_for_now(tail):
                    return False
                # Of a stack trace its head says what is wrong, not the last frame.
                said = [line for line in tail.splitlines() if line.strip() and not line.startswith("\t")]
                last = said[-1] if said else "it wrote nothing"
                raise LocalStackError(
                    f"{self.name} ended while starting: {last.strip()[:300]} (log: {self.log_path})"
                )
            if self._answers(min(2.0, max(0.1, deadline - time.monotonic()))):
                return True
            time.sleep(0.02)
        self.stop()
        raise LocalStackError(
            f"{self.name} did not answer within {START_TIMEOUT_S:.0f} s of its start (log: {self.log_path})."
        )

    def _ended_for_now(self, log_tail: str) -> bool:
        return False

    def _rotate_log(self) -> int:
        """Keep one old log and a bounded new one; the position at which this start's lines begin."""
        if self.log_path.exists() and self.log_path.stat().st_size > _LOG_LIMIT_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def _log_tail(self, position: int) -> str:
        with self.log_path.open("rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")


def port_answers(port: int) -> bool:
    """Whether something accepts connections there: cheap, and quiet where a client would log an error."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def minimal_environment(**extra: str) -> dict[str, str]:
    """An environment without the caller's secrets and without variables that would change a server's behaviour."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "LANG": "C", "TZ": "UTC", **extra}
