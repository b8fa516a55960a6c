"""OpenBao itself as a test's key server: a process on this machine with TLS and files, initialised, unsealed, two engines.

Built by `make openbao` from the Go modules that `tests/support/openbao` pins. Where it was not built, tests that want it
are skipped; with MKC_TEST_OPENBAO=1 they fail instead (`make drill-transit`).
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from deploy.local.certificates import NODE, Authority
from deploy.local.node import Launch, Node, minimal_environment
from tests.support.key_server import KeyServer

BINARY: Final = Path(__file__).parents[2] / ".local" / "openbao" / "bao"
REQUIRED: Final = "MKC_TEST_OPENBAO"
_SETTLES_S: Final = 20.0


class OpenBaoNode(Node):
    """`bao server` with a configuration of its own under `folder`. Whether it is sealed does not matter to `start`."""

    name = "openbao"
    stop_signal = signal.SIGTERM

    def __init__(self, folder: Path, port: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, folder / "data", (port,))
        self._port = port
        self._folder = folder
        authority = Authority(folder / "tls")
        authority.prepare()
        self.tls = authority.files(NODE)

    def _prepare(self) -> tuple[Launch, str]:
        configuration = self._folder / "server.json"
        listener = {
            "address": f"127.0.0.1:{self._port}",
            "tls_cert_file": str(self.tls.certificate),
            "tls_key_file": str(self.tls.key),
        }
        told = {"storage": {"file": {"path": str(self.data_dir)}}, "listener": {"tcp": listener}}
        configuration.write_text(json.dumps(told))
        launch = Launch(
            [str(BINARY), "server", f"-config={configuration}"],
            self._folder,
            minimal_environment(HOME=str(self._folder)),
        )
        return launch, launch.fingerprint()

    def _load_client(self) -> None:
        return

    def _answers(self, timeout_s: float) -> bool:
        trust = ssl.create_default_context(cafile=self.tls.ca)
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=timeout_s, context=trust)
        try:
            connection.request("GET", "/v1/sys/seal-status")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@contextmanager
def openbao(folder: Path, port: int) -> Iterator[KeyServer]:
    """A fresh server, ready for processes of ours; it ends with the context. Skips, or fails, without the binary."""
    if not BINARY.exists():
        if os.environ.get(REQUIRED):
            raise AssertionError("OpenBao is not built: make openbao")
        pytest.skip("OpenBao is not built here (make openbao)")
    node = OpenBaoNode(folder, port)
    node.start()
    try:
        server = KeyServer("OpenBao", f"https://127.0.0.1:{port}", "", "", node.tls.ca, node.data_dir)
        made = server.must("POST", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        server.root_token, server.unseal_key = made["root_token"], made["keys_base64"][0]
        server.unseal()
        server.must("POST", "sys/mounts/transit", {"type": "transit"})
        server.must("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        # The KV engine answers 400 while it makes itself ready.
        _until(lambda: server.call("GET", "secret/metadata/none?list=true")[0] == 404)
        yield server
    finally:
        node.stop()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SETTLES_S
    while not condition():
        assert time.monotonic() < deadline, "OpenBao does not get ready"
        time.sleep(0.05)
