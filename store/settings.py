"""Settings of the store (`MKC_STORE_`) and of the reading commands (`MKC_READER_`). Read once, at start."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from contracts.control import pinned_signers
from contracts.errors import InvalidSettings
from contracts.signing import KnownSigner
from store.keys.settings import KeySettings


class StoreSettings(KeySettings):
    """The store process: tenants' topics in, encrypted rows out."""

    model_config = SettingsConfigDict(env_prefix="MKC_STORE_")
    secret_folders: ClassVar = ("secrets_dir",)

    health_port: int = 18083
    signing_key_file: Path
    """File of the store's Ed25519 signing key: 32 bytes, 0600. Signs what is set aside."""
    control_signers_file: Path
    """JSON of the keys that may sign control records: name to base64."""
    secrets_dir: Path | None = None
    """Folder of root KEKs and tenants' transport private halves. The keyring needs it."""
    database: SecretStr
    """DSN of the database cell as `mk_store`."""
    database_cell: str = Field(default="local", pattern=r"^[a-z0-9-]{1,32}$")
    """Name of the database cell: the consumer group is `mk.store.<cell>.v1`."""
    workers: int = Field(default=2, ge=1, le=16)
    """Database workers, one connection each."""
    statements_kept: int = Field(default=512, ge=0, le=10_000)
    """Prepared statements each worker keeps in Postgres, two or three a tenant, 0.15 MB each. For 1,000 evenly busy tenants
    2,500 take a third of a visit's time and 0.5 GB a worker."""
    batch_rows: int = Field(default=500, ge=1, le=5_000)
    """Most records of one lane in a transaction."""
    batch_bytes: int = Field(default=8 << 20, ge=1 << 20)
    """Most bytes of one lane in a transaction (a single larger record still goes)."""
    lane_records: int = Field(default=2_000, ge=1)
    """Records in one lane's queue at which its partition is paused."""
    lane_bytes: int = Field(default=8 << 20, ge=1 << 20)
    """Bytes in one lane's queue at which its partition is paused."""
    buffer_bytes: int = Field(default=48 << 20, ge=8 << 20)
    """Bytes in all queues at which every lane that has rows is paused."""
    drain_s: float = Field(default=10.0, gt=0)
    """How long a stop waits for what was fetched to be stored. Nothing is lost after that either."""

    @property
    def group(self) -> str:
        """The consumer group."""
        return f"mk.store.{self.database_cell}.v1"

    def summary(self) -> dict[str, object]:
        """What the start-up line may show."""
        return {**super().summary(), "name": self.database_cell, "count": self.workers}


class ReaderSettings(KeySettings):
    """`mkc messages` and `mkc events`: reads of personal data, each one logged."""

    model_config = SettingsConfigDict(env_prefix="MKC_READER_")
    secret_folders: ClassVar = ("secrets_dir",)

    health_port: int = 0
    """Unused: a command has no health server."""
    database: SecretStr
    """DSN of the database cell as `mk_reader`."""
    secrets_dir: Path | None = None
    """Folder of root KEKs and tenants' transport private halves. The keyring needs it."""
    control_signers_file: Path
    """JSON of the keys that may sign control records: name to base64."""


def read_control_signers(path: Path) -> dict[str, KnownSigner]:
    """The pinned keys. Raises InvalidSettings, naming the setting, if the file cannot be used."""
    try:
        return pinned_signers(json.loads(path.read_bytes()))
    except (OSError, ValueError, AttributeError, TypeError) as exc:
        raise InvalidSettings("CONTROL_SIGNERS_FILE: the file cannot be used") from exc
