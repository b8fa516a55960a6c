"""Settings of the custodian (`MKC_CUSTODIAN_`) and of the operator's commands (`MKC_OPERATOR_`)."""

from __future__ import annotations

import getpass
from base64 import b64decode
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import orjson
from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from contracts.control import pinned_signers
from contracts.errors import InvalidSettings
from contracts.signing import KnownSigner, Signer
from runtime.files import read_secret
from runtime.kafka.topics import TopicSettings
from runtime.secrets import Secrets, SecretSettings, secrets_from
from store.custody.epochs.rotation import Plan
from store.keys.provider import KeyProvider, require_budget
from store.keys.settings import KeySettings, provider_from


class CustodianSettings(KeySettings):
    """What the custodian is given."""

    model_config = SettingsConfigDict(env_prefix="MKC_CUSTODIAN_")
    secret_folders: ClassVar = ("store_secrets_dir", "router_secrets_dir", "erasure_secrets_dir")

    health_port: int = 18084
    signing_key_file: Path
    """File of the custodian's Ed25519 signing key: 32 bytes, 0600."""
    control_signers_file: Path
    """JSON: the names and base64 public keys that may sign control records."""
    database: str = Field(repr=False)
    """DSN of the login mk_custodian."""
    store_secrets_dir: Path | None = None
    """The store's secrets: root epochs, tenants' private transport halves. The keyring needs it."""
    router_secrets_dir: Path | None = None
    """The router's secrets: tenants' pseudonym keys are put there. The keyring needs it."""
    erasure_secrets_dir: Path | None = None
    """The erasure consumer's secrets: the private half of the requests key is put there. The keyring needs it."""
    request_keys_file: Path
    """The signed list of erasure's public keys, which the custodian writes and every receiver watches."""
    escrow_dir: Path | None = None
    """The keyring's escrow copy: a folder of another disk or machine, part of no backup. The keyring needs one."""
    export_dirs: tuple[Path, ...]
    """JSON: two folders or more for sealed exports of the key tables, outside the database's machine and its backups."""
    root_epoch_days: float = Field(default=7.0, gt=0)
    """How long a root epoch lasts: erased people's keys are irrecoverable when the one that wrapped them is destroyed."""
    public_keys_dir: Path
    """Folder with `<process>.pub` of ingest, router, store, erasure and operator, which control announces: one key a line, the
    present one first, those that are believed as well after it."""
    free_slots_1: int = Field(default=4, ge=0)
    """Free slots with one partition kept ready."""
    free_slots_8: int = Field(default=1, ge=0)
    """Free slots with eight partitions kept ready."""
    replication: int = Field(default=1, ge=1)
    """Replication factor of topics."""
    min_insync_replicas: int = Field(default=1, ge=1)
    """`min.insync.replicas` of topics."""
    local: bool = True
    """One machine: the smaller partition counts of contracts.topics."""
    retention_ms: int | None = None
    """Shortens the retention of every topic; for tests only."""
    segment_ms: int | None = None
    """Shortens the segments of every topic; for tests only."""

    @field_validator("export_dirs")
    @classmethod
    def _two_places(cls, value: tuple[Path, ...]) -> tuple[Path, ...]:
        if len({path.absolute() for path in value}) < 2 or len(set(value)) != len(value):
            raise ValueError("an export lies in two places")
        return value

    @field_validator("escrow_dir")
    @classmethod
    def _has_escrow(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if info.data.get("key_provider") == "keyring" and value in (None, info.data.get("store_secrets_dir")):
            raise ValueError("the keyring needs an escrow copy elsewhere")
        return value

    @property
    def topics(self) -> TopicSettings:
        """How this cluster's topics differ from production's."""
        return TopicSettings(
            self.replication, self.min_insync_replicas, self.local, self.retention_ms, self.segment_ms
        )

    def provider(self) -> KeyProvider:
        """The key provider, with which epochs may be made and destroyed. Raises InvalidSettings if it is too slow."""
        escrow = self.escrow_dir if self.key_provider == "keyring" else None
        provider = provider_from(self, self.store_secrets_dir, escrow)
        require_budget(provider, timedelta(days=self.root_epoch_days), "MKC_CUSTODIAN_ROOT_EPOCH_DAYS")
        return provider

    def router_secrets(self) -> Secrets:
        """The router's: written, never read. Raises InvalidSettings."""
        return secrets_from(self, "router", self.router_secrets_dir)

    def erasure_secrets(self) -> Secrets:
        """The erasure consumer's. Raises InvalidSettings."""
        return secrets_from(self, "erasure", self.erasure_secrets_dir)

    def plan(self) -> Plan:
        """How rotations go."""
        return Plan(timedelta(days=self.root_epoch_days), self.export_dirs)


class OperatorSettings(SecretSettings):
    """What `mkc tenant`, `account`, `ledger` and `doctor` are given."""

    model_config = SettingsConfigDict(env_prefix="MKC_OPERATOR_")
    secret_folders: ClassVar = ("routing_secrets_dir",)

    health_port: int = 0
    """Unused: a command has no health server."""
    signing_key_file: Path
    """File of the operators' Ed25519 signing key: 32 bytes, 0600."""
    control_signers_file: Path
    """JSON: the names and base64 public keys that may sign control records."""
    database: str = Field(repr=False)
    """DSN of the login mk_custodian."""
    routing_secrets_dir: Path | None = None
    """The router's secrets: the routing key, which hashes administrators' ids, is there. The keyring needs it."""
    name: str = Field(default_factory=getpass.getuser, max_length=200)
    """Who gives the command: recorded with what it did."""
    timeout_s: float = Field(default=30, gt=0)
    """How long a command waits for the custodian."""
    replication: int = Field(default=1, ge=1)
    """Replication factor that `mkc doctor` expects of topics."""
    min_insync_replicas: int = Field(default=1, ge=1)
    """`min.insync.replicas` that `mkc doctor` expects of topics."""
    local: bool = True
    """Whether `mkc doctor` expects the partition counts of one machine."""
    retention_ms: int | None = None
    """Shortened retention that `mkc doctor` expects; for tests only."""
    segment_ms: int | None = None
    """Shortened segments that `mkc doctor` expects; for tests only."""
    free_slots_1: int = Field(default=4, ge=0)
    """Free slots with one partition that `mkc doctor` expects."""
    free_slots_8: int = Field(default=1, ge=0)
    """Free slots with eight partitions that `mkc doctor` expects."""
    root_epoch_days: float = Field(default=7.0, gt=0)
    """How long the custodian's root epochs last: `mkc erasure status` says when copies become unreadable."""
    backups_kept_days: float = Field(default=14.0, gt=0)
    """The checked maximum age of base backups and WAL."""
    transit_backup_hours: int = Field(default=0, ge=0)
    """How old the key server's own backups get: `mkc erasure status` counts what they hold."""

    @property
    def topics(self) -> TopicSettings:
        """How this cluster's topics differ from production's."""
        return TopicSettings(
            self.replication, self.min_insync_replicas, self.local, self.retention_ms, self.segment_ms
        )


def load_signer(name: str, path: Path, setting: str) -> Signer:
    """A signing key from its file. Raises InvalidSettings naming `setting`."""
    try:
        return Signer.from_bytes(name, read_secret(path, setting))
    except ValueError as exc:
        raise InvalidSettings(f"{setting}: not a signing key of 32 bytes") from exc


def load_control_signers(path: Path, setting: str) -> dict[str, KnownSigner]:
    """The signers pinned in a file. Raises InvalidSettings naming `setting`."""
    try:
        return pinned_signers(orjson.loads(path.read_bytes()))
    except (OSError, ValueError, AttributeError, TypeError) as exc:
        raise InvalidSettings(f"{setting}: not a readable list of signers") from exc


def require_pinned(signer: Signer, pinned: dict[str, KnownSigner], setting: str) -> None:
    """Raises InvalidSettings unless readers of control would believe `signer`."""
    known = pinned.get(signer.name)
    if known is None or known.public_raw != signer.public_raw:
        raise InvalidSettings(f"{setting}: does not hold the public half of this process's signing key")


def load_public_keys(path: Path, setting: str) -> tuple[bytes, ...]:
    """A signer's public keys of 32 bytes, base64 and one a line: the present one first, then those that are believed as well.

    Raises InvalidSettings naming `setting`.
    """
    try:
        keys = tuple(b64decode(line, validate=True) for line in path.read_text().split())
    except (OSError, ValueError) as exc:
        raise InvalidSettings(f"{setting}: {path.name} is missing or not base64") from exc
    if not keys or any(len(raw) != 32 for raw in keys):
        raise InvalidSettings(f"{setting}: {path.name} is not of public keys of 32 bytes")
    return keys
