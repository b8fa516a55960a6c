"""A strict double of Vault's and OpenBao's HTTP API as far as key providers use it: Transit and KV version 2, over HTTP.

Its answers are those of the servers' documented API, the unpleasant parts included: `encrypt` makes a key that does not
exist, a delete needs `deletion_allowed`, a batch answers 400 with results. What it does not know it refuses.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_CAPABILITIES = {"GET": "read", "LIST": "list", "POST": "write", "DELETE": "delete"}


@dataclass(slots=True)
class TransitKey:
    """A named key."""

    exportable: bool = False
    backup: bool = False
    deletion_allowed: bool = False
    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)


class TransitServer:
    """The state of one server. `sealed`: it answers 503 to everything, as after a restart; `calls` counts requests."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.policies: dict[str, tuple[tuple[str, str], ...]] = {}
        """Further tokens: (capabilities, beginning of a path) each. The first one may everything."""
        self.keys: dict[str, TransitKey] = {}
        self.secrets: dict[str, list[dict[str, str]]] = {}
        self.limits: dict[str, int] = {}
        self.sealed = False
        self.calls = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        """One request."""
        self.calls += 1
        if self.sealed:
            return web.json_response({"errors": ["Vault is sealed"]}, status=503)
        whole = request.path.removeprefix("/v1/")
        # The documented form of LIST for clients and proxies that know no such method.
        method = "LIST" if request.method == "GET" and request.query.get("list") == "true" else request.method
        if not self._may(request.headers.get("X-Vault-Token", ""), method, whole):
            return web.json_response({"errors": ["permission denied"]}, status=403)
        fields = await request.json() if request.can_read_body else {}
        engine, _, path = whole.partition("/")
        if engine == "transit":
            return self._transit(method, path, fields)
        return self._kv(method, path, fields)

    def _may(self, token: str, method: str, path: str) -> bool:
        if token == self.token:
            return True
        return any(
            _CAPABILITIES[method] in capabilities and path.startswith(beginning)
            for capabilities, beginning in self.policies.get(token, ())
        )

    def _transit(self, method: str, path: str, fields: dict[str, Any]) -> web.Response:
        kind, _, rest = path.partition("/")
        if kind == "keys" and method == "LIST":
            return _data({"keys": sorted(self.keys)}) if self.keys else _missing()
        name, _, more = rest.partition("/")
        if kind == "keys" and more == "config" and method == "POST":
            if name not in self.keys:
                return _refused("no existing key named " + name + " could be found")
            _only(fields, {"deletion_allowed"})
            self.keys[name].deletion_allowed = bool(fields["deletion_allowed"])
            return _data({"name": name})
        if kind == "keys" and not more:
            return self._key(method, name, fields)
        if kind in ("encrypt", "decrypt") and method == "POST":
            _only(fields, {"batch_input"})
            return self._batch(kind, name, fields["batch_input"])
        return _refused("unsupported path")

    def _key(self, method: str, name: str, fields: dict[str, Any]) -> web.Response:
        key = self.keys.get(name)
        if method == "GET":
            if key is None:
                return _missing()
            return _data(
                {
                    "name": name,
                    "type": "aes256-gcm96",
                    "exportable": key.exportable,
                    "allow_plaintext_backup": key.backup,
                    "deletion_allowed": key.deletion_allowed,
                    "keys": {"1": 1},
                }
            )
        if method == "POST":
            _only(fields, {"type", "exportable", "allow_plaintext_backup"})
            assert fields["type"] == "aes256-gcm96"
            self.keys.setdefault(name, TransitKey(fields["exportable"], fields["allow_plaintext_backup"]))
            return _data({"name": name})
        if key is None:
            return _refused("could not delete key; not found")
        if not key.deletion_allowed:
            return _refused("deletion is not allowed for this key")
        del self.keys[name]
        return web.Response(status=204)

    def _batch(self, kind: str, name: str, items: list[dict[str, str]]) -> web.Response:
        if kind == "encrypt":
            key = self.keys.setdefault(name, TransitKey())
        elif name not in self.keys:
            return _refused("encryption key not found")
        else:
            key = self.keys[name]
        results: list[dict[str, str]] = []
        for item in items:
            _only(item, {"plaintext", "ciphertext", "associated_data"})
            aad = b64decode(item.get("associated_data", ""), validate=True)
            if kind == "encrypt":
                nonce = os.urandom(12)
                sealed = nonce + AESGCM(key.secret).encrypt(
                    nonce, b64decode(item["plaintext"], validate=True), aad
                )
                results.append({"ciphertext": "vault:v1:" + b64encode(sealed).decode(), "key_version": "1"})
                continue
            try:
                if not item["ciphertext"].startswith("vault:v1:"):
                    raise ValueError("no version")
                raw = b64decode(item["ciphertext"].removeprefix("vault:v1:"), validate=True)
                plain = AESGCM(key.secret).decrypt(raw[:12], raw[12:], aad)
                results.append({"plaintext": b64encode(plain).decode()})
            except (InvalidTag, ValueError):
                results.append({"error": "cipher: message authentication failed"})
        failed = any("error" in result for result in results)
        return web.json_response({"data": {"batch_results": results}}, status=400 if failed else 200)

    def _kv(self, method: str, path: str, fields: dict[str, Any]) -> web.Response:
        kind, _, name = path.partition("/")
        if kind == "metadata" and method == "LIST":
            folder = name.rstrip("/") + "/"
            names = sorted(one.removeprefix(folder) for one in self.secrets if one.startswith(folder))
            return _data({"keys": names}) if names else _missing()
        if kind == "metadata" and method == "POST":
            _only(fields, {"max_versions"})
            self.limits[name] = fields["max_versions"]
            return web.Response(status=204)
        if kind == "metadata" and method == "DELETE":
            self.secrets.pop(name, None)
            return web.Response(status=204)
        if kind == "data" and method == "POST":
            _only(fields, {"data", "options"})
            versions = self.secrets.get(name, [])
            if "cas" in fields["options"] and fields["options"]["cas"] != len(versions):
                return _refused("check-and-set parameter did not match the current version")
            kept = [*versions, fields["data"]]
            self.secrets[name] = kept[-self.limits.get(name, 10) :]
            return _data({"version": len(kept)})
        if kind == "data" and method == "GET":
            found = self.secrets.get(name)
            return _data({"data": found[-1], "metadata": {}}) if found else _missing()
        return _refused("unsupported path")


def _data(data: dict[str, Any]) -> web.Response:
    return web.json_response({"request_id": "1", "data": data})


def _missing() -> web.Response:
    return web.json_response({"errors": []}, status=404)


def _refused(reason: str) -> web.Response:
    return web.json_response({"errors": [reason]}, status=400)


def _only(fields: dict[str, Any], allowed: set[str]) -> None:
    """A misspelt field would be ignored by the server and missed by nobody."""
    assert set(fields) <= allowed, sorted(set(fields) - allowed)


@asynccontextmanager
async def transit_server(token: str = "a-token") -> AsyncIterator[TransitServer]:
    """A server on a free port of this machine."""
    server = TransitServer(token)
    application = web.Application(client_max_size=32 << 20)
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        server.url = f"http://{host}:{port}"
        yield server
    finally:
        await runner.cleanup()
