"""Vault's or OpenBao's Transit engine as the key provider, over its HTTP API; secrets lie in a KV version 2 engine.

One Transit key for each root epoch (`aes256-gcm96`, not exportable, no plaintext backup), so that destroying an epoch is
deleting a key. Sources: openbao.org/api-docs/secret/transit and .../secret/kv/kv-v2. Must never put the token, or a
word that the server answered, into an error.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from ssl import SSLContext
from typing import Any, Final

import aiohttp

from contracts.errors import InvalidSettings, KeyNotYetKnown, KeyServiceUnavailable, TamperedRecord
from runtime.files import read_secret
from store.keys.provider import ProviderStatus, Rewrap

TIMEOUT_S: Final = 5.0
BATCH: Final = 500
"""Items in one call of `rewrap_many`."""
_KEY_TYPE: Final = "aes256-gcm96"


@dataclass(frozen=True, slots=True)
class TransitServer:
    """Where it is and what is ours there. `destroy_delay`: how old the server's own backups get."""

    url: str
    token_file: Path
    transit: str = "transit"
    secrets_mount: str = "secret"
    prefix: str = "mk"
    destroy_delay: timedelta = timedelta(0)
    tls: SSLContext | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: Mapping[str, Any] = field(repr=False)

    def says(self, words: str) -> bool:
        """Whether one of the server's errors holds `words`."""
        return any(words in str(error) for error in self.body.get("errors") or ())


class Transit:
    """A client of one server. The token is read from its file for each call: it may be renewed beside us."""

    def __init__(self, server: TransitServer) -> None:
        self._server = server
        self._session: aiohttp.ClientSession | None = None
        self._known: set[int] = set()

    @property
    def destroy_delay(self) -> timedelta:
        """As the operator declares it: the age that the server's backups reach."""
        return self._server.destroy_delay

    async def wrap(self, epoch: int, plaintext: bytes, aad: bytes) -> bytes:
        """The server's own ciphertext form, `vault:v1:…`."""
        # `encrypt` makes a key that does not exist: an epoch that was destroyed would come back as another key.
        await self._require(epoch)
        item = {"plaintext": _b64(plaintext), "associated_data": _b64(aad)}
        return (await self._each(f"encrypt/{self._key(epoch)}", [item], "ciphertext"))[0].encode()

    async def unwrap(self, epoch: int, wrapped: bytes, aad: bytes) -> bytes:
        """Raises TamperedRecord or KeyNotYetKnown."""
        item = {"ciphertext": _text(wrapped), "associated_data": _b64(aad)}
        return b64decode((await self._each(f"decrypt/{self._key(epoch)}", [item], "plaintext"))[0])

    async def rewrap_many(self, old: int, new: int, wraps: Sequence[Rewrap]) -> list[bytes]:
        """In batches. The server's own `rewrap` stays within one key, so this opens and wraps again."""
        await self._require(new)
        moved: list[bytes] = []
        for start in range(0, len(wraps), BATCH):
            part = wraps[start : start + BATCH]
            opened = await self._each(
                f"decrypt/{self._key(old)}",
                [{"ciphertext": _text(one.wrapped), "associated_data": _b64(one.aad)} for one in part],
                "plaintext",
            )
            items = [
                {"plaintext": plaintext, "associated_data": _b64(one.new_aad)}
                for plaintext, one in zip(opened, part, strict=True)
            ]
            moved += [
                text.encode() for text in await self._each(f"encrypt/{self._key(new)}", items, "ciphertext")
            ]
        return moved

    async def new_epoch(self, epoch: int) -> None:
        """A key that exists is left as it is."""
        path = f"{self._server.transit}/keys/{self._key(epoch)}"
        fields = {"type": _KEY_TYPE, "exportable": False, "allow_plaintext_backup": False}
        _expect(await self._call("POST", path, fields), 200, 204)
        await self._require(epoch)

    async def destroy_epoch(self, epoch: int) -> None:
        """Allows the deletion, deletes, and looks whether it is gone."""
        path = f"{self._server.transit}/keys/{self._key(epoch)}"
        self._known.discard(epoch)
        if (await self._call("GET", path)).status == 404:
            return
        _expect(await self._call("POST", f"{path}/config", {"deletion_allowed": True}), 200, 204)
        _expect(await self._call("DELETE", path), 204)
        if (await self._call("GET", path)).status != 404:
            raise KeyServiceUnavailable("a destroyed root key is still there")

    async def status(self) -> ProviderStatus:
        """The keys of our prefix."""
        answer = await self._call("GET", f"{self._server.transit}/keys?list=true")
        prefix = f"{self._server.prefix}-root-"
        names = [] if answer.status == 404 else _expect(answer, 200).body["data"]["keys"]
        epochs = sorted(int(name.removeprefix(prefix)) for name in names if name.startswith(prefix))
        return ProviderStatus("transit", tuple(epochs), 1)

    async def put_secret(self, name: str, content: bytes) -> None:
        """One version is kept: the one before is gone with this call."""
        await self._put(name, content, {})

    async def put_secret_if_absent(self, name: str, content: bytes) -> bytes:
        """By the engine's check-and-set: version 0 must stand."""
        if await self._put(name, content, {"cas": 0}):
            return content
        return await self.get_secret(name)

    async def get_secret(self, name: str) -> bytes:
        """Raises KeyNotYetKnown."""
        answer = await self._call("GET", f"{self._server.secrets_mount}/data/{self._secret(name)}")
        if answer.status == 404:
            raise KeyNotYetKnown("no secret of that name yet")
        return b64decode(_expect(answer, 200).body["data"]["data"]["content"])

    async def destroy_secret(self, name: str) -> None:
        """Metadata and every version."""
        _expect(
            await self._call("DELETE", f"{self._server.secrets_mount}/metadata/{self._secret(name)}"),
            204,
            404,
        )

    async def secret_names(self, prefix: str = "") -> list[str]:
        """Sorted."""
        answer = await self._call(
            "GET", f"{self._server.secrets_mount}/metadata/{self._server.prefix}?list=true"
        )
        if answer.status == 404:
            return []
        return sorted(name for name in _expect(answer, 200).body["data"]["keys"] if name.startswith(prefix))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _put(self, name: str, content: bytes, options: Mapping[str, int]) -> bool:
        path = self._secret(name)
        metadata = {"max_versions": 1}
        _expect(await self._call("POST", f"{self._server.secrets_mount}/metadata/{path}", metadata), 200, 204)
        fields = {"data": {"content": _b64(content)}, "options": dict(options)}
        answer = await self._call("POST", f"{self._server.secrets_mount}/data/{path}", fields)
        if options and answer.status == 400 and answer.says("check-and-set"):
            return False
        _expect(answer, 200, 204)
        return True

    async def _require(self, epoch: int) -> None:
        if epoch in self._known:
            return
        answer = await self._call("GET", f"{self._server.transit}/keys/{self._key(epoch)}")
        if answer.status == 404:
            raise KeyNotYetKnown("no root key of that epoch")
        data = _expect(answer, 200).body["data"]
        if data["type"] != _KEY_TYPE or data["exportable"] or data["allow_plaintext_backup"]:
            raise InvalidSettings("the key service has a root key that can be taken out of it")
        self._known.add(epoch)

    async def _each(self, path: str, items: list[dict[str, str]], wanted: str) -> list[str]:
        """One batch call; `wanted` of each result."""
        answer = await self._call("POST", f"{self._server.transit}/{path}", {"batch_input": items})
        results = (answer.body.get("data") or {}).get("batch_results") or answer.body.get("batch_results")
        if results is None:
            if answer.status in (400, 404) and answer.says("key not found"):
                raise KeyNotYetKnown("no root key of that epoch")
            _expect(answer, 200)
            raise KeyServiceUnavailable("the key service answers something else")
        if len(results) != len(items) or any(wanted not in result for result in results):
            raise TamperedRecord("a wrapped key does not open")
        return [str(result[wanted]) for result in results]

    def _key(self, epoch: int) -> str:
        return f"{self._server.prefix}-root-{int(epoch)}"

    def _secret(self, name: str) -> str:
        if not name.replace("-", "").replace(".", "").replace("_", "").isalnum() or not name.isascii():
            raise InvalidSettings("a secret's name has characters it may not have")
        return f"{self._server.prefix}/{name}"

    async def _call(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> _Answer:
        """One request. Raises KeyServiceUnavailable for everything that may pass: network, 403, 412, 429, 5xx."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        token = read_secret(self._server.token_file, "TRANSIT_TOKEN_FILE").decode().strip()
        try:
            async with self._session.request(
                method,
                f"{self._server.url.rstrip('/')}/v1/{path}",
                json=fields,
                headers={"X-Vault-Token": token, "X-Vault-Request": "true"},
                ssl=self._server.tls or True,
                allow_redirects=False,
            ) as response:
                body = await response.json(content_type=None) if response.status != 204 else {}
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as exc:
            raise KeyServiceUnavailable("the key service does not answer") from exc
        if response.status in (403, 412, 429) or response.status >= 500:
            raise KeyServiceUnavailable("the key service refuses or is sealed")
        return _Answer(response.status, body if isinstance(body, dict) else {})


def _expect(answer: _Answer, *statuses: int) -> _Answer:
    if answer.status not in statuses:
        raise KeyServiceUnavailable("the key service answers something else")
    return answer


def _b64(raw: bytes) -> str:
    return b64encode(raw).decode()


def _text(wrapped: bytes) -> str:
    return wrapped.decode("ascii", "replace")
