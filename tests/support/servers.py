"""The one Kafka and one Postgres of a test run: joined if `tests.budget` started them, else started for this session.

They are secured: every client shows a certificate and may do what its name may, every login has its password. What is
about the plain stack starts one of its own.
"""

import os
import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.access import static_permits
from deploy.local.processes import in_own_loop
from deploy.local.stack import LocalStack
from runtime.kafka.acls import AclAdmin

ROOT_VARIABLE = "MKC_TEST_ROOT"
PORT_VARIABLE = "MKC_TEST_PORT_BASE"
TAKEN_VARIABLE = "MKC_TEST_PORT_BASES_TAKEN"
"""Bases of the run's stacks, with commas: also while a test has killed what listens there."""
FIRST_PORT_BASE = 20_090
_PORT_STEP = 400
"""Bases of one residue: the ports of no two of them meet, nor those of the bases that `test_local_stack` takes."""


def free_port() -> int:
    """One that nobody listens on now, for a server of a test's own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_port_base() -> int:
    """A base none of whose ports is in use, at random: two runs that start at the same moment do not meet."""
    return free_port_bases(1)[0]


def free_port_bases(count: int) -> list[int]:
    """Several such."""
    taken = {int(base) for base in os.environ.get(TAKEN_VARIABLE, "").split(",") if base}
    bases = [base for base in range(FIRST_PORT_BASE, 32_000, _PORT_STEP) if base not in taken]
    random.shuffle(bases)
    found: list[int] = []
    for base in bases:
        if len(found) == count:
            return found
        try:
            for offset in (2, 3, 4, 342, *range(-1010, -1000)):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", base + offset))
        except OSError:
            continue
        found.append(base)
    raise AssertionError("no free port base")


@contextmanager
def test_stack() -> Iterator[tuple[LocalStack, int]]:
    """The stack and its port base. What this call started ends with it."""
    given = os.environ.get(ROOT_VARIABLE)
    if given:
        base = int(os.environ[PORT_VARIABLE])
        with LocalStack(Path(given), port_base=base, profile="test", secure=True) as stack:
            permit_processes(stack)
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
        with LocalStack(root, port_base=base, profile="test", secure=True) as stack:
            permit_processes(stack)
            yield stack, base
    finally:
        shutil.rmtree(root, ignore_errors=True)


def permit_processes(stack: LocalStack) -> None:
    """Give the processes what an installation gives them; nothing happens to what they have."""

    async def permit() -> None:
        tls = stack.endpoints.kafka_tls()
        assert tls is not None
        async with AclAdmin(stack.endpoints.kafka, tls) as acls:
            await acls.add(static_permits())

    in_own_loop(permit())


test_stack.__test__ = False  # type: ignore[attr-defined]  # pytest would collect it by its name
