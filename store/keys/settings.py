"""Which key provider a process uses, and how to reach it; the same settings for every process that opens storage keys."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from contracts.errors import InvalidSettings
from runtime.files import SecretFolder
from runtime.settings import ProcessSettings
from store.keys.keyring import LocalKeyring
from store.keys.provider import KeyProvider
from store.keys.transit import Transit, TransitServer


class KeySettings(ProcessSettings):
    """Added to the settings of the store, the reading commands and the custodian."""

    key_provider: Literal["keyring", "transit"] = "keyring"
    """`keyring`: files of this machine; `transit`: Vault's or OpenBao's Transit engine."""
    transit_url: str = ""
    """Address of the Transit server, https."""
    transit_token_file: Path | None = None
    """File of the token for the Transit server, 0600; read for each call."""
    transit_ca_file: Path | None = None
    """Certificates that may sign the Transit server's, if not the system's."""
    transit_mount: str = Field(default="transit", pattern=r"^[a-z0-9_/-]{1,64}$")
    """Where the Transit engine is mounted."""
    transit_secrets_mount: str = Field(default="secret", pattern=r"^[a-z0-9_/-]{1,64}$")
    """Where the KV version 2 engine is mounted."""
    transit_prefix: str = Field(default="mk", pattern=r"^[a-z0-9-]{1,32}$")
    """What our keys' and secrets' names begin with there."""
    transit_backup_hours: int = Field(default=0, ge=0)
    """How old the Transit server's own backups get: a destroyed key can be had back that long."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.key_provider == "transit":
            if self.transit_token_file is None or not self.transit_url:
                raise ValueError("transit needs an address and a token")
            local = self.transit_url.startswith(("http://127.0.0.1:", "http://localhost:"))
            if not (self.transit_url.startswith("https://") or local):
                raise ValueError("transit is reached by https")
        return self


def provider_from(settings: KeySettings, secrets: Path, escrow: Path | None = None) -> KeyProvider:
    """The configured provider. `secrets`, `escrow`: folders of the local keyring. Raises InvalidSettings."""
    if settings.key_provider == "keyring":
        return LocalKeyring(SecretFolder(secrets), None if escrow is None else SecretFolder(escrow))
    assert settings.transit_token_file is not None
    tls = None
    if settings.transit_ca_file is not None:
        try:
            tls = ssl.create_default_context(cafile=str(settings.transit_ca_file))
        except OSError as exc:
            raise InvalidSettings("TRANSIT_CA_FILE: the file cannot be used") from exc
    return Transit(
        TransitServer(
            settings.transit_url,
            settings.transit_token_file,
            settings.transit_mount,
            settings.transit_secrets_mount,
            settings.transit_prefix,
            timedelta(hours=settings.transit_backup_hours),
            tls,
        )
    )
