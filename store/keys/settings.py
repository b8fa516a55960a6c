"""Which key provider a process uses, and how to reach it; the same settings for every process that opens storage keys."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from runtime.files import SecretFolder
from runtime.secrets import SecretSettings
from store.keys.keyring import LocalKeyring
from store.keys.provider import KeyProvider
from store.keys.transit import Transit


class KeySettings(SecretSettings):
    """Added to the settings of the store, the reading commands and the custodian."""

    transit_mount: str = Field(default="transit", pattern=r"^[a-z0-9_/-]{1,64}$")
    """Where the Transit engine is mounted."""
    transit_backup_hours: int = Field(default=0, ge=0)
    """How old the server's own backups get: a destroyed key can be had back that long."""


def provider_from(settings: KeySettings, secrets: Path | None, escrow: Path | None = None) -> KeyProvider:
    """The configured provider. `secrets`, `escrow`: folders of the local keyring. Raises InvalidSettings."""
    if settings.key_provider == "keyring":
        assert secrets is not None
        return LocalKeyring(SecretFolder(secrets), None if escrow is None else SecretFolder(escrow))
    return Transit(
        settings.vault(),
        settings.transit_mount,
        settings.transit_secrets_mount,
        settings.transit_prefix,
        timedelta(hours=settings.transit_backup_hours),
    )
