"""One process of the service on this machine: a `Node` whose answer is `/readyz`. Never re-used: settings may have changed."""

import http.client
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.local.node import Launch, Node, minimal_environment
from deploy.local.process import ProcessIdentity

REPOSITORY = Path(__file__).resolve().parents[2]
_HEALTH_TIMEOUT_S = 2.0


class ServiceNode(Node):
    """`python -m <module>` with its own environment, log and pid file; ready when `/readyz` says so."""

    stop_signal = signal.SIGTERM

    def __init__(
        self,
        name: str,
        module: str,
        run_dir: Path,
        environment: Mapping[str, str],
        *,
        health_port: int,
        ports: Sequence[int] = (),
    ) -> None:
        self.name = name
        super().__init__(run_dir, run_dir, (health_port, *ports))
        self._module = module
        self.health_port = health_port
        self._environment = environment

    def _prepare(self) -> tuple[Launch, str]:
        command = [sys.executable, "-m", self._module]
        launch = Launch(command, REPOSITORY, minimal_environment(**self._environment))
        return launch, launch.fingerprint()

    def _load_client(self) -> None:
        return

    def _adopt(self, fingerprint: str) -> bool:
        # A process that an earlier run left behind holds that run's settings: it makes room.
        self.stop()
        return False

    def _answers(self, timeout_s: float) -> bool:
        return self.get("/readyz", timeout_s)[0] == 200

    def readiness(self) -> dict[str, object]:
        """What `/readyz` says now; empty if nothing answers."""
        _, body = self.get("/readyz", _HEALTH_TIMEOUT_S)
        return dict(json.loads(body)) if body.startswith(b"{") else {}

    def metrics(self) -> dict[str, float]:
        """The samples of `/metrics`, by name with labels as in Prometheus' text; empty if nothing answers."""
        _, body = self.get("/metrics", _HEALTH_TIMEOUT_S)
        samples: dict[str, float] = {}
        for line in body.decode().splitlines():
            if line and line[0] != "#":
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    def get(self, path: str, timeout_s: float) -> tuple[int, bytes]:
        """Status and body of a GET on the health port; status 0 if nothing answers in time."""
        connection = http.client.HTTPConnection("127.0.0.1", self.health_port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def identity(self) -> ProcessIdentity | None:
        """The process that runs now, or None."""
        return self._process()
