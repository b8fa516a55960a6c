"""A strict double of Vault's and OpenBao's HTTP API as far as key providers use it: Transit, KV version 2, policies, seal.

Its answers are those that OpenBao 2.4.0 gave to the same tests (`make drill-transit` runs them against both), the
unpleasant parts included: `encrypt` makes a key that does not exist, a delete needs `deletion_allowed`, a batch answers
400 with results, a write to what is not there needs `create`, metadata alone is a secret that lists and does not read.
What it does not know, or would ignore, it refuses. The state is `TransitServer`'s; KV's is in `tests.support.kv_engine`.
"""

import asyncio
import json
import os
import re
import secrets
import ssl
import threading
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.key_server import KeyServer
from tests.support.kv_engine import KvEngine

_CIPHERTEXT = re.compile(r"vault:v([+-]?[0-9]+):(.*)", re.DOTALL)


@dataclass(slots=True)
class TransitKey:
    """A named key."""

    exportable: bool = False
    backup: bool = False
    deletion_allowed: bool = False
    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    def shown(self, name: str) -> dict[str, Any]:
        """What the server tells of it."""
        return {
            "name": name,
            "type": "aes256-gcm96",
            "exportable": self.exportable,
            "allow_plaintext_backup": self.backup,
            "deletion_allowed": self.deletion_allowed,
            "keys": {"1": 1},
        }


class TransitServer:
    """The state of one server. `sealed`: it answers 503 to everything, as after a restart; `calls` counts requests."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.policies: dict[str, dict[str, frozenset[str]]] = {}
        """By name: path, or beginning with a star, to capabilities."""
        self.tokens: dict[str, list[str]] = {}
        """Further tokens and their policies. The first one may everything."""
        self.keys: dict[str, TransitKey] = {}
        self.kv = KvEngine()
        self.sealed = False
        self.unseal_key = secrets.token_hex(32)
        self.calls = 0
        self.seals_at: int | None = None
        """The call before which it is sealed."""
        self.url = ""

    def token_for(self, policies: list[str]) -> str:
        """A new token."""
        token = "s." + secrets.token_hex(12)
        self.tokens[token] = policies
        return token

    async def answer(self, request: web.Request) -> web.Response:
        """One request."""
        self.calls += 1
        if self.calls == self.seals_at:
            self.sealed = True
        whole = request.path.removeprefix("/v1/")
        fields = await request.json() if request.can_read_body else {}
        if whole == "sys/unseal" and request.method == "POST":
            self.sealed = fields["key"] != self.unseal_key
            return web.json_response({"sealed": self.sealed})
        if self.sealed:
            return web.json_response({"errors": ["Vault is sealed"]}, status=503)
        # The documented form of LIST for clients and proxies that know no such method.
        method = "LIST" if request.method == "GET" and request.query.get("list") == "true" else request.method
        if not self._may(request.headers.get("X-Vault-Token", ""), method, whole):
            return web.json_response({"errors": ["permission denied"]}, status=403)
        engine, _, path = whole.partition("/")
        if engine == "transit":
            return self._transit(method, path, fields)
        if engine == "secret":
            return self.kv.answer(method, path, fields)
        return self._administer(method, whole, fields)

    def _may(self, token: str, method: str, path: str) -> bool:
        if token == self.token:
            return True
        needed = {"GET": "read", "LIST": "list", "DELETE": "delete", "POST": "update"}[method]
        if method == "POST" and self._creates(path):
            needed = "create"
        rules = [rule for name in self.tokens.get(token, ()) for rule in self.policies[name].items()]
        exact = [allowed for rule, allowed in rules if rule == path]
        stars = sorted(
            (rule for rule, _ in rules if rule.endswith("*") and path.startswith(rule[:-1])), key=len
        )
        longest = [allowed for rule, allowed in rules if stars and rule == stars[-1]]
        return any(needed in allowed for allowed in exact or longest)

    def _creates(self, path: str) -> bool:
        """Of the paths that ask whether it exists: a write to what does not needs `create`. `transit/keys` does not ask."""
        engine, _, rest = path.partition("/")
        kind, _, name = rest.partition("/")
        if engine == "secret":
            return name not in self.kv.secrets
        return engine == "transit" and kind == "encrypt" and name not in self.keys

    def _administer(self, method: str, path: str, fields: dict[str, Any]) -> web.Response:
        if method == "GET" and path == "sys/health":
            return web.json_response({"sealed": False})
        if method == "POST" and path == "sys/seal":
            self.sealed = True
            return web.Response(status=204)
        if method == "POST" and path.startswith("sys/policies/acl/"):
            rules = json.loads(fields["policy"])["path"]
            self.policies[path.rpartition("/")[2]] = {
                rule: frozenset(told["capabilities"]) for rule, told in rules.items()
            }
            return web.Response(status=204)
        if method == "POST" and path == "auth/token/create":
            return web.json_response({"auth": {"client_token": self.token_for(fields["policies"])}})
        reason = f'no handler for route "{path}". route entry not found.'
        return web.json_response({"errors": [reason]}, status=404)

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
            return _data(self.keys[name].shown(name))
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
            return _data(key.shown(name))
        if method == "POST":
            _only(fields, {"type", "exportable", "allow_plaintext_backup"})
            assert fields["type"] == "aes256-gcm96"
            made = TransitKey(fields.get("exportable", False), fields.get("allow_plaintext_backup", False))
            return _data(self.keys.setdefault(name, made).shown(name))
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
        results: list[dict[str, str | int]] = []
        for item in items:
            _only(item, {"plaintext", "ciphertext", "associated_data"})
            aad = b64decode(item.get("associated_data", ""), validate=True)
            if kind == "encrypt":
                nonce = os.urandom(12)
                sealed = nonce + AESGCM(key.secret).encrypt(
                    nonce, b64decode(item["plaintext"], validate=True), aad
                )
                results.append({"ciphertext": "vault:v1:" + b64encode(sealed).decode(), "key_version": 1})
                continue
            try:
                results.append(
                    {"plaintext": b64encode(_opened(key.secret, item["ciphertext"], aad)).decode()}
                )
            except (InvalidTag, ValueError):
                results.append({"plaintext": "", "error": "cipher: message authentication failed"})
        failed = any("error" in result for result in results)
        return web.json_response({"data": {"batch_results": results}}, status=400 if failed else 200)


def _opened(secret: bytes, text: str, aad: bytes) -> bytes:
    """As lenient as the server's: version 0 is 1, signs and zeros before it, line ends anywhere in Base64."""
    form = _CIPHERTEXT.fullmatch(text)
    if form is None or int(form[1]) not in (0, 1):
        raise ValueError("no version that there is")
    raw = b64decode(form[2].replace("\n", "").replace("\r", ""), validate=True)
    return AESGCM(secret).decrypt(raw[:12], raw[12:], aad)


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
async def transit_server(
    token: str = "a-token", tls: ssl.SSLContext | None = None
) -> AsyncIterator[TransitServer]:
    """A server on a free port of this machine; `tls`: with its certificate."""
    server = TransitServer(token)
    application = web.Application(client_max_size=32 << 20)
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        server.url = f"{'https' if tls else 'http'}://{host}:{port}"
        yield server
    finally:
        await runner.cleanup()


@contextmanager
def served() -> Iterator[KeyServer]:
    """The server in a loop and a thread of its own, for tests whose own calls block."""
    started: Future[KeyServer] = Future()
    ended = threading.Event()

    async def serve() -> None:
        async with transit_server(secrets.token_hex(8)) as server:
            started.set_result(KeyServer("double", server.url, server.token, server.unseal_key))
            await asyncio.to_thread(ended.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield started.result(10)
    finally:
        ended.set()
        thread.join()
