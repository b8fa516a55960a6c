"""Processes by identity: who a pid belongs to, signals that cannot hit a stranger, and records that outlive us.

A pid alone is reused by the kernel; pid, boot and start time together are not. Standard library only, because
the watchdog loads this module in every run and must be cheap.
"""

import contextlib
import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process of this machine's current boot."""

    pid: int
    boot_id: str
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity":
        """The identity of the process that has this pid now.

        Raises:
            ProcessLookupError: there is none.
        """
        stat = _stat(pid)
        if stat is None:
            raise ProcessLookupError(pid)
        return cls(pid=pid, boot_id=_boot_id(), start_ticks=stat.start_ticks)

    def is_alive(self) -> bool:
        """Whether exactly this process still runs; a zombie does not."""
        stat = _stat(self.pid)
        return (
            stat is not None
            and stat.state not in "ZX"
            and stat.start_ticks == self.start_ticks
            and self.boot_id == _boot_id()
        )

    def send(self, signum: signal.Signals) -> bool:
        """Signal this process; False if it is gone already."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            # The descriptor pins the process, so the check and the signal concern the same one.
            if not self.is_alive():
                return False
            signal.pidfd_send_signal(descriptor, signum)
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)
        return True

    def wait_gone(self, timeout_s: float) -> bool:
        """Wait until this process has ended; False if it has not within the time."""
        deadline = time.monotonic() + timeout_s
        while self.is_alive():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def stop(self, signum: signal.Signals, *, grace_s: float) -> None:
        """Ask with `signum`, and end it with SIGKILL if it has not gone after `grace_s`."""
        self.send(signum)
        # A suspended process takes no other signal until it continues.
        self.send(signal.SIGCONT)
        if not self.wait_gone(grace_s):
            self.send(signal.SIGKILL)
            self.wait_gone(grace_s)

    def family(self) -> "list[ProcessIdentity]":
        """This process and its direct children."""
        members = [self]
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                stat = _stat(int(entry.name))
                if stat is not None and stat.parent_pid == self.pid:
                    members.append(ProcessIdentity(int(entry.name), self.boot_id, stat.start_ticks))
        return members


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What a node's pid file holds. `fingerprint` tells whether it runs with the settings wanted now."""

    process: ProcessIdentity
    fingerprint: str
    stop_signal: int

    @classmethod
    def read(cls, path: Path) -> "NodeRecord | None":
        """The record in `path`, or None if there is none or a crash left half of one."""
        try:
            content = json.loads(path.read_bytes())
            return cls(ProcessIdentity(**content["process"]), content["fingerprint"], content["stop_signal"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        write_atomically(path, json.dumps(asdict(self)))


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose end ends the stack: a process, or nobody (`process` is None: it stays up until told)."""

    process: ProcessIdentity | None

    @classmethod
    def read(cls, path: Path) -> "Owner | None":
        try:
            content = json.loads(path.read_bytes())["process"]
            return cls(None if content is None else ProcessIdentity(**content))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        write_atomically(path, json.dumps(asdict(self)))


def write_atomically(path: Path, text: str) -> None:
    """Replace a file so that a reader sees the old content or the new, never half."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(text)
    draft.replace(path)


@dataclass(frozen=True, slots=True)
class _Stat:
    state: str
    parent_pid: int
    start_ticks: int


def _stat(pid: int) -> _Stat | None:
    text = ""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    if not text:
        return None
    # The name in brackets may itself hold spaces and brackets; the fields follow the last one (proc(5)).
    fields = text.rpartition(")")[2].split()
    return _Stat(state=fields[0], parent_pid=int(fields[1]), start_ticks=int(fields[19]))


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
