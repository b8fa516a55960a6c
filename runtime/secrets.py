"""A zone's named secrets, in whatever keeps them: files of this machine, or Vault's and OpenBao's KV engine.

A zone (`store`, `router`, `erasure`) is what one process may read: transport private halves, pseudonym keys, the routing
key. No old version of a secret is kept. A call is never made per record: whoever opens keeps what it opened with, so that
a provider that is away stops nothing that is open. Must never know what it keeps.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import ClassVar, Final, Literal, Protocol, Self

from pydantic import Field, model_validator

from contracts.errors import InvalidSettings, KeyNotYetKnown, KeyServiceUnavailable
from runtime.files import SecretFolder
from runtime.settings import ProcessSettings
from runtime.tls import TrustFile, trusting_context
from runtime.vault import Answer, VaultClient, VaultServer

Zone = Literal["store", "router", "erasure"]
_BEYOND: Final = frozenset("-._")


class Secrets(Protocol):
    """Named secrets. Every call raises KeyServiceUnavailable when what keeps them is away, or does not let us."""

    async def put_secret(self, name: str, content: bytes) -> None:
        """Write or replace; what stood there before is gone."""

    async def put_secret_if_absent(self, name: str, content: bytes) -> bytes:
        """Write unless it exists; the content that stands in the end, whoever wrote it."""

    async def get_secret(self, name: str) -> bytes:
        """Raises KeyNotYetKnown if there is none of that name."""

    async def destroy_secret(self, name: str) -> None:
        """Gone for ever; nothing happens if it is gone already."""

    async def secret_names(self, prefix: str = "") -> list[str]:
        """Names that begin with `prefix`, sorted."""

    async def close(self) -> None:
        """Give connections back."""


class FolderSecrets:
    """Files of 0600 in a folder of 0700, replaced in one step, overwritten before they are removed."""

    def __init__(self, folder: SecretFolder) -> None:
        self._folder = folder

    async def put_secret(self, name: str, content: bytes) -> None:
        """One file."""
        with available():
            self._folder.put(name, content)

    async def put_secret_if_absent(self, name: str, content: bytes) -> bytes:
        """The content that stands in the end."""
        with available():
            return self._folder.put_if_absent(name, content)

    async def get_secret(self, name: str) -> bytes:
        """Raises KeyNotYetKnown."""
        with available():
            return self._folder.get(name)

    async def destroy_secret(self, name: str) -> None:
        """Overwritten and removed."""
        with available():
            self._folder.destroy(name)

    async def secret_names(self, prefix: str = "") -> list[str]:
        """Sorted."""
        with available():
            return self._folder.names(prefix)

    async def close(self) -> None:
        """Nothing is held."""


class KvSecrets:
    """Secrets of one folder of a KV version 2 engine, one version each. Source: openbao.org/api-docs/secret/kv/kv-v2.

    `put_secret` needs no right to read: who may only write hands a key over and cannot take it back. A kill between two
    calls leaves no name without content: a list would show it, and nobody would write what is listed.
    """

    def __init__(self, client: VaultClient, mount: str, folder: str) -> None:
        self._client, self._mount, self._folder = client, mount, folder

    async def put_secret(self, name: str, content: bytes) -> None:
        """One version is kept: the one before is gone with this call."""
        if await self._create(name, content):
            return
        path = self._path(name)
        # First: a write removes only what is more than it says then.
        await self._keep_one(path)
        (await self._write(path, content, {})).expect(200, 204)

    async def put_secret_if_absent(self, name: str, content: bytes) -> bytes:
        """By the engine's check-and-set: version 0 must stand."""
        if await self._create(name, content):
            return content
        return await self.get_secret(name)

    async def get_secret(self, name: str) -> bytes:
        """Raises KeyNotYetKnown."""
        answer = await self._client.call("GET", f"{self._mount}/data/{self._path(name)}")
        if answer.status == 404:
            raise KeyNotYetKnown("no secret of that name yet")
        return b64decode(answer.expect(200).body["data"]["data"]["content"])

    async def destroy_secret(self, name: str) -> None:
        """Metadata and every version."""
        answer = await self._client.call("DELETE", f"{self._mount}/metadata/{self._path(name)}")
        answer.expect(204, 404)

    async def secret_names(self, prefix: str = "") -> list[str]:
        """Sorted."""
        answer = await self._client.call("GET", f"{self._mount}/metadata/{self._folder}?list=true")
        if answer.status == 404:
            return []
        return sorted(name for name in answer.expect(200).body["data"]["keys"] if name.startswith(prefix))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _create(self, name: str, content: bytes) -> bool:
        """The first version, and then that one is kept; False if there is one."""
        path = self._path(name)
        answer = await self._write(path, content, {"cas": 0})
        if answer.status == 400 and answer.says("check-and-set"):
            return False
        answer.expect(200, 204)
        await self._keep_one(path)
        return True

    async def _keep_one(self, path: str) -> None:
        metadata = {"max_versions": 1}
        (await self._client.call("POST", f"{self._mount}/metadata/{path}", metadata)).expect(200, 204)

    async def _write(self, path: str, content: bytes, options: Mapping[str, int]) -> Answer:
        fields = {"data": {"content": b64encode(content).decode()}, "options": dict(options)}
        return await self._client.call("POST", f"{self._mount}/data/{path}", fields)

    def _path(self, name: str) -> str:
        if not name.isascii() or not "".join(one for one in name if one not in _BEYOND).isalnum():
            raise InvalidSettings("a secret's name has characters it may not have")
        return f"{self._folder}/{name}"


@asynccontextmanager
async def closing_all(*kept: Secrets) -> AsyncIterator[None]:
    """Give the connections of all of them back at the end."""
    try:
        yield
    finally:
        for secrets in kept:
            await secrets.close()


@contextmanager
def available() -> Iterator[None]:
    """Files that cannot be reached are a provider that is away: OSError becomes KeyServiceUnavailable."""
    try:
        yield
    except OSError as exc:
        raise KeyServiceUnavailable("the folder of secrets cannot be reached") from exc


class SecretSettings(ProcessSettings):
    """Added to the settings of every process that opens something: what keeps its secrets."""

    secret_folders: ClassVar[tuple[str, ...]] = ()
    """Settings that name a folder, and are needed where secrets are files."""

    key_provider: Literal["keyring", "transit"] = "keyring"
    """`keyring`: files of this machine; `transit`: Vault or OpenBao, its Transit engine for root keys and its KV engine for
    other secrets."""
    transit_url: str = ""
    """Address of the Vault or OpenBao server, https."""
    transit_token_file: Path | None = None
    """File of the token for that server, 0600; read for each call."""
    transit_ca_file: Path | None = None
    """Certificates that may sign the server's, if not the system's. A changed file counts for new connections."""
    transit_secrets_mount: str = Field(default="secret", pattern=r"^[a-z0-9_/-]{1,64}$")
    """Where the KV version 2 engine is mounted."""
    transit_prefix: str = Field(default="mk", pattern=r"^[a-z0-9-]{1,32}$")
    """What our names begin with there: root keys `<prefix>-root-…`, secrets in the folder `<prefix>-<zone>`."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.key_provider == "keyring":
            for name in self.secret_folders:
                if getattr(self, name) is None:
                    setting = f"{self.model_config.get('env_prefix', '')}{name}".upper()
                    raise InvalidSettings(f"{setting}: is missing")
            return self
        if self.transit_token_file is None or not self.transit_url:
            raise ValueError("transit needs an address and a token")
        local = self.transit_url.startswith(("http://127.0.0.1:", "http://localhost:"))
        if not (self.transit_url.startswith("https://") or local):
            raise ValueError("transit is reached by https")
        return self

    def vault(self) -> VaultServer:
        """The server that `transit` names. Raises InvalidSettings."""
        assert self.transit_token_file is not None
        tls = None
        if self.transit_ca_file is not None:
            tls = trusting_context(TrustFile(self.transit_ca_file), "TRANSIT_CA_FILE")
        return VaultServer(self.transit_url, self.transit_token_file, tls)


def secrets_from(settings: SecretSettings, zone: Zone, folder: Path | None) -> Secrets:
    """The secrets of a zone, as this process may reach them. `folder`: of the local keyring. Raises InvalidSettings."""
    if settings.key_provider == "keyring":
        assert folder is not None
        return FolderSecrets(SecretFolder(folder))
    path = f"{settings.transit_prefix}-{zone}"
    return KvSecrets(VaultClient(settings.vault()), settings.transit_secrets_mount, path)
