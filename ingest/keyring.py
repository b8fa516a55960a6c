"""The router's public keys as the receiver knows them: a signed file, watched. Holds nothing that opens anything."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from contracts.errors import InvalidSettings, KeyNotYetKnown
from contracts.hybrid import HybridPublicKey
from contracts.raw_keys import RawKey, current, decode
from contracts.signing import KnownSigner
from ingest.watch import Watched
from runtime.clock import Clock


class Keyring:
    """The key to seal to now. `refresh` is called about once a second and costs nothing when nothing changed."""

    def __init__(self, path: Path, router: KnownSigner, clock: Clock) -> None:
        """The file may be missing still, or be one that the pinned router did not sign: then there is no key yet."""
        self._path = path
        self._router = router
        self._clock = clock
        self._file: Watched[tuple[RawKey, ...]] = Watched("raw_keys", self._load, ())
        self._recipient: tuple[HybridPublicKey, datetime] | None = None
        self.refresh()

    def recipient(self) -> tuple[HybridPublicKey, datetime] | None:
        """The key to seal to and its end, or None: fail closed."""
        return self._recipient

    def refresh(self) -> None:
        """Look at the file and the time."""
        self._file.poll()
        self._recipient = current(self._file.value, self._clock.now())

    def left_s(self) -> float:
        """Seconds until the last known key ends; 0 if none is left."""
        now = self._clock.now()
        return max(
            (max(0.0, (key.seal_until - now).total_seconds()) for key in self._file.value), default=0.0
        )

    def _load(self) -> tuple[tuple[RawKey, ...], tuple[Path, ...]]:
        try:
            raw = self._path.read_bytes()
        except FileNotFoundError as exc:
            raise KeyNotYetKnown("the router has not written its public keys yet") from exc
        except OSError as exc:
            raise InvalidSettings("MKC_INGEST_RAW_KEYS_FILE: cannot be read") from exc
        return decode(raw, self._router), (self._path,)
