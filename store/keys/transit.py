"""Vault's or OpenBao's Transit engine as the key provider, over its HTTP API; secrets lie in its KV engine.

One Transit key for each root epoch (`aes256-gcm96`, not exportable, no plaintext backup), so that destroying an epoch is
deleting a key. Source: openbao.org/api-docs/secret/transit. Must never put a word that the server answered into an error.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from contracts.errors import InvalidSettings, KeyNotYetKnown, KeyServiceUnavailable, TamperedRecord
from runtime.secrets import KvSecrets
from runtime.vault import VaultClient, VaultServer
from store.keys.provider import ProviderStatus, Rewrap

BATCH: Final = 500
"""Items in one call of `rewrap_many`."""
_KEY_TYPE: Final = "aes256-gcm96"
_WRAPPED: Final = re.compile(rb"vault:v[1-9][0-9]*:[A-Za-z0-9+/]+={0,2}")


class Transit(KvSecrets):
    """A client of one server; the secrets are those of the zone `store`."""

    def __init__(
        self,
        server: VaultServer,
        mount: str = "transit",
        secrets_mount: str = "secret",
        prefix: str = "mk",
        destroy_delay: timedelta = timedelta(0),
    ) -> None:
        """`destroy_delay`: how old the server's own backups get, as the operator declares it."""
        client = VaultClient(server)
        super().__init__(client, secrets_mount, f"{prefix}-store")
        self._client = client
        self._mount_of_keys, self._prefix, self._delay = mount, prefix, destroy_delay
        self._known: set[int] = set()

    @property
    def destroy_delay(self) -> timedelta:
        """The age that the server's backups reach."""
        return self._delay

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
        path = f"{self._mount_of_keys}/keys/{self._key(epoch)}"
        fields = {"type": _KEY_TYPE, "exportable": False, "allow_plaintext_backup": False}
        (await self._client.call("POST", path, fields)).expect(200, 204)
        await self._require(epoch)

    async def destroy_epoch(self, epoch: int) -> None:
        """Allows the deletion, deletes, and looks whether it is gone."""
        path = f"{self._mount_of_keys}/keys/{self._key(epoch)}"
        self._known.discard(epoch)
        if (await self._client.call("GET", path)).status == 404:
            return
        (await self._client.call("POST", f"{path}/config", {"deletion_allowed": True})).expect(200, 204)
        (await self._client.call("DELETE", path)).expect(204)
        if (await self._client.call("GET", path)).status != 404:
            raise KeyServiceUnavailable("a destroyed root key is still there")

    async def status(self) -> ProviderStatus:
        """The keys of our prefix."""
        answer = await self._client.call("GET", f"{self._mount_of_keys}/keys?list=true")
        prefix = f"{self._prefix}-root-"
        names = [] if answer.status == 404 else answer.expect(200).body["data"]["keys"]
        epochs = sorted(int(name.removeprefix(prefix)) for name in names if name.startswith(prefix))
        return ProviderStatus("transit", tuple(epochs), 1)

    async def _require(self, epoch: int) -> None:
        if epoch in self._known:
            return
        answer = await self._client.call("GET", f"{self._mount_of_keys}/keys/{self._key(epoch)}")
        if answer.status == 404:
            raise KeyNotYetKnown("no root key of that epoch")
        data = answer.expect(200).body["data"]
        if data["type"] != _KEY_TYPE or data["exportable"] or data["allow_plaintext_backup"]:
            raise InvalidSettings("the key service has a root key that can be taken out of it")
        self._known.add(epoch)

    async def _each(self, path: str, items: list[dict[str, str]], wanted: str) -> list[str]:
        """One batch call; `wanted` of each result."""
        answer = await self._client.call("POST", f"{self._mount_of_keys}/{path}", {"batch_input": items})
        results = (answer.body.get("data") or {}).get("batch_results") or answer.body.get("batch_results")
        if results is None:
            if answer.status in (400, 404) and answer.says("key not found"):
                raise KeyNotYetKnown("no root key of that epoch")
            answer.expect(200)
            raise KeyServiceUnavailable("the key service answers something else")
        # What failed has an error beside an empty plaintext.
        if len(results) != len(items) or any(
            result.get("error") or not result.get(wanted) for result in results
        ):
            raise TamperedRecord("a wrapped key does not open")
        return [str(result[wanted]) for result in results]

    def _key(self, epoch: int) -> str:
        return f"{self._prefix}-root-{int(epoch)}"


def _b64(raw: bytes) -> str:
    return b64encode(raw).decode()


def _text(wrapped: bytes) -> str:
    """Raises TamperedRecord for a form that the server would read, but never write (version 0, a line end, a sign)."""
    if _WRAPPED.fullmatch(wrapped) is None:
        raise TamperedRecord("a wrapped key is none of the key service's")
    return wrapped.decode()
