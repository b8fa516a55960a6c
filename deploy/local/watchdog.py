"""Stops the nodes when the process that owns them ends without doing so, `kill -9` included.

It waits on a pipe whose other end only the owner holds. PR_SET_PDEATHSIG would not do: it fires when the *thread*
that started a child ends. It touches nothing if another owner has taken the stack over in the meantime.
Standard library only: it starts with every run.
"""

import fcntl
import os
import signal
import sys
from pathlib import Path

from deploy.local.process import NodeRecord, Owner, ProcessIdentity

_GRACE_S = 20.0


def watch(run_dir: Path, owner: Owner, pipe: int) -> None:
    """Block until the owner's end of `pipe` closes, then stop the nodes that are still the owner's."""
    os.read(pipe, 1)
    with (run_dir / "stack.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        owner_file = run_dir / "owner.json"
        if Owner.read(owner_file) != owner:
            return
        records = [(path, NodeRecord.read(path)) for path in sorted(run_dir.glob("*.pid"))]
        for _, record in records:
            if record is not None:
                record.process.send(signal.Signals(record.stop_signal))
                record.process.send(signal.SIGCONT)
        for path, record in records:
            if record is not None:
                record.process.stop(signal.Signals(record.stop_signal), grace_s=_GRACE_S)
            path.unlink(missing_ok=True)
        owner_file.unlink(missing_ok=True)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _run_dir, _pid, _boot_id, _start_ticks, _pipe = sys.argv[1:]
    watch(Path(_run_dir), Owner(ProcessIdentity(int(_pid), _boot_id, int(_start_ticks))), int(_pipe))
