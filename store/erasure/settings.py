"""Settings of the erasure consumer (`MKC_ERASURE_`). Read once, at start."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from contracts.errors import InvalidSettings
from contracts.signing import Signer
from runtime.files import read_secret
from store.keys.settings import KeySettings

SIGNER_NAME = "erasure"
RECEIPT_SIGNER_NAME = "receipts"


class ErasureSettings(KeySettings):
    """The erasure consumer: requests in; fences, outcomes and announcements out."""

    model_config = SettingsConfigDict(env_prefix="MKC_ERASURE_")
    secret_folders: ClassVar = ("secrets_dir", "keyring_secrets_dir")

    health_port: int = 18085
    signing_key_file: Path
    """File of erasure's Ed25519 signing key: 32 bytes, 0600. Signs fences, outcomes, announcements and audit checkpoints."""
    receipt_key_file: Path
    """File of the company's Ed25519 receipt key: 32 bytes, 0600. Signs receipts and nothing else."""
    control_signers_file: Path
    """JSON of the keys that may sign control records: name to base64."""
    secrets_dir: Path | None = None
    """Folder of erasure's own transport private halves, which requests are sealed to, and of the routing key. The keyring needs it."""
    keyring_secrets_dir: Path | None = None
    """Folder of root KEKs: pseudonyms of requested people take the tenant's pseudonym key. The keyring needs it."""
    database: SecretStr
    """DSN of the database cell as `mk_erasure`."""
    meta_tokens_dir: Path | None = None
    """Folder of `<phone_number_id>.json` (0600), each `{"token": …, "proof": …}` (`mkc proof`): with it an erased person's
    contact-book entry is deleted at Meta, too."""
    meta_url: str = Field(
        default="https://graph.facebook.com/v25.0", pattern=r"^(https://|http://127\.0\.0\.1:)[^\s?#]+$"
    )
    """Meta's Graph API with its version."""
    workers: int = Field(default=4, ge=1, le=32)
    """Requests that are worked on at the same time, one database connection each."""

    restricted_hours: float = Field(default=72.0, ge=0)
    """How long the erasure of a whole account waits, in hours, unless a second person approves it."""
    clock_limit_s: float = Field(default=1.0, gt=0)
    """How far the database's clock and the broker's may be apart, in seconds, for a person's erasure to be executed."""
    root_epoch_days: float = Field(default=7.0, gt=0)
    """How long the custodian's root epochs last: answers say when copies become unreadable."""
    backups_kept_days: float = Field(default=14.0, gt=0)
    """The checked maximum age of base backups and WAL."""

    def signer(self) -> Signer:
        """Erasure's signer. Raises InvalidSettings."""
        return _signer(SIGNER_NAME, self.signing_key_file, "MKC_ERASURE_SIGNING_KEY_FILE")

    def receipt_signer(self) -> Signer:
        """The company's signer of receipts. Raises InvalidSettings."""
        return _signer(RECEIPT_SIGNER_NAME, self.receipt_key_file, "MKC_ERASURE_RECEIPT_KEY_FILE")

    def summary(self) -> dict[str, object]:
        """What the start-up line may show."""
        return {**super().summary(), "count": self.workers}


def _signer(name: str, path: Path, setting: str) -> Signer:
    try:
        return Signer.from_bytes(name, read_secret(path, setting))
    except ValueError as exc:
        raise InvalidSettings(f"{setting}: not a key of 32 bytes") from exc
