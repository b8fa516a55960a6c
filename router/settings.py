"""The router's settings: `MKC_ROUTER_*`. Also what `mkc quarantine --zone raw` runs with."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import orjson
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from contracts.control import pinned_signers
from contracts.errors import InvalidSettings
from contracts.signing import KnownSigner, Signer
from runtime.files import read_secret
from runtime.secrets import Secrets, SecretSettings, secrets_from

SIGNER_NAME = "router"


class RouterSettings(SecretSettings):
    """One frozen set, read once at start."""

    model_config = SettingsConfigDict(env_prefix="MKC_ROUTER_")
    secret_folders: ClassVar = ("secrets_dir",)

    health_port: int = 18082
    """Port of the health and metrics server."""
    signing_key_file: Path
    """File of the router's Ed25519 signing key: 32 bytes, 0600."""
    control_signers_file: Path
    """JSON `{name: base64}`: the public keys that may sign control records."""
    secrets_dir: Path | None = None
    """Folder of named secrets: raw private keys (the router makes them), tenants' pseudonym keys, the routing key. The keyring
    needs it."""
    raw_keys_file: Path
    """The signed list of the router's public keys, which it writes and every receiver watches."""
    group: str = "mk.router.v1"
    """Consumer group on `mk.raw.v1`."""
    drain_s: float = Field(default=10.0, gt=0)
    """Seconds that a graceful stop may take to finish what was taken up."""
    tenant_unavailable_after_s: float = Field(default=60.0, gt=0)
    """Seconds after which a single tenant's items are set aside while other tenants' go on."""

    def secrets(self) -> Secrets:
        """The router's own secrets, which all routers share. Raises InvalidSettings."""
        return secrets_from(self, "router", self.secrets_dir)

    def signer(self) -> Signer:
        """The router's signer. Raises InvalidSettings."""
        raw = read_secret(self.signing_key_file, "MKC_ROUTER_SIGNING_KEY_FILE")
        try:
            return Signer.from_bytes(SIGNER_NAME, raw)
        except ValueError as exc:
            raise InvalidSettings("MKC_ROUTER_SIGNING_KEY_FILE: not a key of 32 bytes") from exc

    def pinned(self) -> dict[str, KnownSigner]:
        """The signers of control records. Raises InvalidSettings."""
        try:
            return pinned_signers(orjson.loads(self.control_signers_file.read_bytes()))
        except (OSError, ValueError, AttributeError, TypeError) as exc:
            raise InvalidSettings("MKC_ROUTER_CONTROL_SIGNERS_FILE: cannot be read") from exc
