"""Public keys as the receiver knows them, the router's and erasure's: signed files, watched. Nothing here opens anything."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from contracts.errors import InvalidSettings, KeyNotYetKnown
from contracts.hybrid import HybridPublicKey
from contracts.key_file import KeyFile, PublishedKey, current_key
from contracts.signing import KnownSigner
from ingest.watch import Watched
from runtime.clock import Clock


class Keyring:
    """The key to seal to now. `refresh` is called about once a second and costs nothing when nothing changed."""

    def __init__(self, name: str, kind: KeyFile, path: Path, signer: KnownSigner, clock: Clock) -> None:
        """The file may be missing still, or be one that the pinned signer did not sign: then there is no key yet.

        `name`: as in the setting, `MKC_INGEST_<NAME>_FILE`.
        """
        self._name = name
        self._kind = kind
        self._path = path
        self._signer = signer
        self._clock = clock
        self._file: Watched[tuple[PublishedKey, ...]] = Watched(name, self._load, ())
        self._recipient: tuple[HybridPublicKey, datetime] | None = None
        self.refresh()

    def recipient(self) -> tuple[HybridPublicKey, datetime] | None:
        """The key to seal to and its end, or None: fail closed."""
        return self._recipient

    def refresh(self) -> None:
        """Look at the file and the time."""
        self._file.poll()
        self._recipient = current_key(self._file.value, self._clock.now())

    def left_s(self) -> float:
        """Seconds until the last known key ends; 0 if none is left."""
        now = self._clock.now()
        return max(
            (max(0.0, (key.seal_until - now).total_seconds()) for key in self._file.value), default=0.0
        )

    def _load(self) -> tuple[tuple[PublishedKey, ...], tuple[Path, ...]]:
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError as exc:
            raise KeyNotYetKnown("the public keys have not been written yet") from exc
        except OSError as exc:
            raise InvalidSettings(f"MKC_INGEST_{self._name.upper()}_FILE: cannot be read") from exc
        return self._kind.decode(raw, self._signer), (self._path,)
