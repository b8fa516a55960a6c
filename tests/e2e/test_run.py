"""`make run` as a person meets it: it checks its own demo, keeps its data, and whatever ends it leaves nothing running."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.process import NodeRecord, ProcessIdentity
from deploy.local.processes import MODULES
from deploy.local.stack import REPOSITORY, LocalStack
from tests.support.servers import free_port_base
from tests.support.world import World, delete_topics

pytestmark = [pytest.mark.stack, pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

UP_S = 300.0
DEMO_S = 300.0
"""From start to stop, everything checked: half a minute on two idle cores, and the machine may be busy."""
GONE_S = 120.0
"""Until whatever was killed or asked to drain is gone: seconds, on an idle machine."""


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A root for the module: the second run finds what the first left."""
    folder = Path(tempfile.mkdtemp(prefix="mkchannels-run-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def ctrl_c() -> None:
    """A shell lets what it starts in the background ignore SIGINT, and children inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def port_base() -> int:
    """Ports of the module."""
    return free_port_base()


def environment(**extra: str) -> dict[str, str]:
    """Without what would lead to other servers."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MKC_")}
    return {**kept, "COLUMNS": "120", **extra}


@contextmanager
def run(root: Path, port_base: int, *arguments: str, **extra: str) -> "Iterator[subprocess.Popen[str]]":
    """Start it as `make run` does. Whatever becomes of the test, it does not outlive this: its watchdog clears up."""
    command = [
        sys.executable,
        "-m",
        "deploy.local.run",
        "--root",
        str(root),
        "--port-base",
        str(port_base),
        *arguments,
    ]
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment(**extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def identities(root: Path) -> list[ProcessIdentity]:
    """Every process that has a pid file there."""
    records = [NodeRecord.read(path) for path in (root / "run").glob("*.pid")]
    return [record.process for record in records if record is not None]


def await_following(process: "subprocess.Popen[str]") -> str:
    """Read its output until it follows; what it said."""
    assert process.stdout is not None
    said: list[str] = []
    deadline = time.monotonic() + UP_S
    for line in process.stdout:
        said.append(line)
        if line.startswith("accepted "):
            return "".join(said)
        assert time.monotonic() < deadline, "".join(said)
    raise AssertionError("it ended: " + "".join(said))


def test_the_demo_finds_every_outcome_as_it_should_be(root: Path, port_base: int) -> None:
    with run(root, port_base, "--demo") as process:
        output, _ = process.communicate(timeout=DEMO_S)
    assert "every outcome as it should be" in output, output
    assert "live with every key: nothing found" in output, output
    assert "first webhook is a row" in output
    assert identities(root) == []


def test_a_run_that_is_killed_leaves_nothing_and_the_next_one_goes_on_and_drains(
    root: Path, port_base: int
) -> None:
    with run(root, port_base) as killed:
        await_following(killed)
        running = identities(root)
        assert len(running) == len(MODULES) + 2, "every process, Kafka and Postgres"
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert [one for one in running if not one.wait_gone(GONE_S)] == []
    with run(root, port_base) as following:
        said = await_following(following)
        tenants = json.loads(mkc(root, "tenant", "list", "--json"))
        assert sorted(one["name"] for one in tenants) == ["clinica", "padaria"], said
        running = identities(root)
        following.send_signal(signal.SIGINT)
        output, _ = following.communicate(timeout=GONE_S)
    assert following.returncode == 0, output
    assert "stopped" in output
    assert [one for one in running if one.is_alive()] == []


def mkc(root: Path, *arguments: str) -> str:
    """The operator's command on that root; its output."""
    command = [sys.executable, "-m", "runtime.mkc", *arguments]
    settings = environment(MKC_LOCAL_ENV=str(root / "run" / "mkc.env"))
    return subprocess.run(
        command, cwd=REPOSITORY, env=settings, capture_output=True, text=True, check=True
    ).stdout


def test_with_servers_of_ones_own_the_demo_uses_those(root: Path, port_base: int, tmp_path: Path) -> None:
    """Plain ones, as somebody's own are: here those of the runs before, started by this process."""
    with LocalStack(root, port_base=port_base, profile="run") as stack:
        delete_topics(stack.endpoints)
        World.drop_database(stack, "mkc")
        own = {"MKC_KAFKA": stack.endpoints.kafka, "MKC_POSTGRES": stack.endpoints.postgres}
        with run(tmp_path / "own", free_port_base(), "--demo", **own) as process:
            output, _ = process.communicate(timeout=DEMO_S)
        assert "every outcome as it should be" in output, output
        assert identities(tmp_path / "own") == []
        assert stack.kafka.answers()
        assert stack.postgres.answers()
