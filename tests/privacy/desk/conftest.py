"""The desk as a process on a database of its own."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.local.stack import LocalStack
from tests.support.databases import fresh_database
from tests.support.servers import free_port

REPOSITORY = Path(__file__).parents[3]
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Desk:
    """`python -m store.desk`."""

    logins: dict[str, str]
    folder: Path
    port: int = field(default_factory=free_port)
    health_port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self, *, is_ready: bool = True, **overrides: str) -> None:
        settings = {
            "DATABASE": self.logins["mk_desk"],
            "PORT": str(self.port),
            "HEALTH_PORT": str(self.health_port),
            "PAGES_PER_MINUTE": "1000",
        }
        environment = {f"MKC_DESK_{name}": value for name, value in (settings | overrides).items()}
        with (self.folder / "desk.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "store.desk"],
                cwd=REPOSITORY,
                env={"PATH": os.environ["PATH"], **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + 60
        # Without its database it says that it is not ready also before anybody can open a page.
        while self.ready() != (200 if is_ready else 503) or not self.listens():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def ready(self) -> int:
        try:
            return fetch(self.health_port, "/readyz")[0]
        except OSError:
            return 0

    def listens(self) -> bool:
        """On the public port."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.process = None
        return code

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return fetch(self.port, path, method, named)

    def log(self) -> str:
        return (self.folder / "desk.log").read_text()


def fetch(port: int, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return (
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read(),
        )
    except http.client.HTTPException as exc:
        raise ConnectionError from exc
    finally:
        connection.close()


@pytest.fixture(scope="module")
def logins(servers: tuple[LocalStack, int]) -> Iterator[dict[str, str]]:
    """The DSNs of a fresh database, migrated."""
    with fresh_database(servers[0], "desk") as made:
        yield made


@pytest.fixture(scope="module")
def desk(logins: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """It runs for the module."""
    made = Desk(logins, tmp_path_factory.mktemp("desk"))
    made.start(TRUSTED_PROXIES="1")
    yield made
    assert made.stop() == 0
    assert "error" not in made.log()
