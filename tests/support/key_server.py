"""The key server of a test, the double or OpenBao, as an administrator sees it: over HTTP, with the root token.

What it can, both can: a test that takes one runs on both. Synchronous, for tests that drive processes.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from runtime.vault import VaultServer
from tests.support.key_policies import POLICIES, Paths

_TIMEOUT_S = 10.0


@dataclass(slots=True)
class KeyServer:
    """One server, unsealed, with Transit at `transit` and KV version 2 at `secret`. `ca`: who signed its certificate."""

    name: str
    url: str
    root_token: str = field(repr=False)
    unseal_key: str = field(repr=False)
    ca: Path | None = None
    storage: Path | None = None
    """Where it keeps its files, if it has any."""

    def call(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """Status and body of one request as root."""
        where = urlsplit(self.url)
        assert where.hostname is not None
        connection: http.client.HTTPConnection
        if where.scheme == "https":
            trust = ssl.create_default_context(cafile=self.ca)
            connection = http.client.HTTPSConnection(
                where.hostname, where.port, timeout=_TIMEOUT_S, context=trust
            )
        else:
            connection = http.client.HTTPConnection(where.hostname, where.port, timeout=_TIMEOUT_S)
        try:
            body = None if fields is None else json.dumps(fields)
            connection.request(method, f"/v1/{path}", body, {"X-Vault-Token": self.root_token})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        return response.status, json.loads(content) if content else {}

    def must(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> Any:
        """The body of a request that succeeds."""
        status, body = self.call(method, path, fields)
        assert status in (200, 204), (status, method, path)
        return body

    def token(self, name: str, paths: Paths) -> str:
        """A new token that may these."""
        rules = {path: {"capabilities": list(capabilities)} for path, capabilities in paths.items()}
        self.must("POST", f"sys/policies/acl/{name}", {"policy": json.dumps({"path": rules})})
        made = self.must(
            "POST", "auth/token/create", {"policies": [name], "no_default_policy": True, "no_parent": True}
        )
        return str(made["auth"]["client_token"])

    def seal(self) -> None:
        """From now on it answers 503 to everything: as after a restart."""
        self.must("POST", "sys/seal", {})

    def unseal(self) -> None:
        """It answers again when this returns."""
        assert self.must("POST", "sys/unseal", {"key": self.unseal_key})["sealed"] is False
        deadline = time.monotonic() + _TIMEOUT_S
        while self.call("GET", "sys/health")[0] != 200:
            assert time.monotonic() < deadline, "the key server does not get ready"
            time.sleep(0.05)

    def put(self, path: str, content: bytes) -> None:
        """A secret, in the form that processes read."""
        self.must("POST", f"secret/data/{path}", {"data": {"content": b64encode(content).decode()}})

    def secrets(self, *folders: str) -> dict[str, int]:
        """Every secret of these folders, and how many versions of it can be read."""
        found: dict[str, int] = {}
        for folder in folders:
            status, body = self.call("GET", f"secret/metadata/{folder}?list=true")
            for name in body["data"]["keys"] if status == 200 else ():
                told = self.must("GET", f"secret/metadata/{folder}/{name}")["data"]["versions"]
                found[f"{folder}/{name}"] = len(told)
        return found

    def root_keys(self) -> set[str]:
        """Names of Transit's keys."""
        status, body = self.call("GET", "transit/keys?list=true")
        return set(body["data"]["keys"]) if status == 200 else set()

    def at(self, folder: Path, token: str) -> VaultServer:
        """For a client of ours, which takes its token from a file in that folder."""
        return VaultServer(self.url, token_file(folder, "token", token), self.tls())

    def tls(self) -> ssl.SSLContext | None:
        """Whom a client believes."""
        return None if self.ca is None else ssl.create_default_context(cafile=self.ca)

    def settings(self, folder: Path) -> dict[str, str]:
        """Of each process that opens something, each with a token of its own and what docs/keys.md lets it."""
        found: dict[str, str] = {}
        for process, paths in POLICIES.items():
            prefix = f"MKC_{process.upper()}"
            found |= {
                f"{prefix}_KEY_PROVIDER": "transit",
                f"{prefix}_TRANSIT_URL": self.url,
                f"{prefix}_TRANSIT_TOKEN_FILE": str(
                    token_file(folder, process, self.token(f"mk-{process}", paths))
                ),
            }
            if self.ca is not None:
                found[f"{prefix}_TRANSIT_CA_FILE"] = str(self.ca)
        return found


def token_file(folder: Path, name: str, token: str) -> Path:
    """A file of 0600."""
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(token + "\n")
    return path
