"""The one Kafka and one Postgres of a test run: joined if `tests.budget` started them, else started for this session."""

import os
import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.local.stack import LocalStack

ROOT_VARIABLE = "MKC_TEST_ROOT"
PORT_VARIABLE = "MKC_TEST_PORT_BASE"
FIRST_PORT_BASE = 20_090
_PORT_STEP = 400
"""Bases of one residue: the ports of no two of them meet, nor those of the bases that `test_local_stack` takes."""


def free_port_base() -> int:
    """A base none of whose ports is in use, at random: two runs that start at the same moment do not meet."""
    bases = list(range(FIRST_PORT_BASE, 32_000, _PORT_STEP))
    random.shuffle(bases)
    for base in bases:
        try:
            for offset in (2, 3, 4, 342, *range(-1010, -1000)):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        return base
    raise AssertionError("no free port base")


@contextmanager
def test_stack() -> Iterator[tuple[LocalStack, int]]:
    """The stack and its port base. What this call started ends with it."""
    given = os.environ.get(ROOT_VARIABLE)
    if given:
        base = int(os.environ[PORT_VARIABLE])
        with LocalStack(Path(given), port_base=base, profile="test") as stack:
            yield stack, base
            # What was started again here, after a kill, ends here: `tests.budget` starts it anew for the next folder.
            for node in (stack.kafka, stack.postgres):
                if node.is_child:
                    node.stop()
        return
    # Not pytest's own folder: the database's user cannot pass it.
    root = Path(tempfile.mkdtemp(prefix="mkchannels-test-"))
    root.chmod(0o755)
    base = free_port_base()
    try:
        with LocalStack(root, port_base=base, profile="test") as stack:
            yield stack, base
    finally:
        shutil.rmtree(root, ignore_errors=True)


test_stack.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it by its name
