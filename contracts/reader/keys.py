"""Where a reader's private halves and the signers it trusts come from. Must never write a key anywhere."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Protocol

from contracts.hybrid import PRIVATE_BYTES, HybridPrivateKey
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, SignerLookup

PUBLIC_SIGNING_BYTES: Final = 32


class PrivateHalves(Protocol):
    """A provider of private halves. Asked once per sealing epoch (five minutes), and again when a key is unknown."""

    def get(self, key_id: bytes) -> HybridPrivateKey | None:
        """The private half with this id of 4 bytes; None if it is not here (yet, or any more)."""


class Keyring:
    """Private halves in memory."""

    def __init__(self, raw: Iterable[bytes] = ()) -> None:
        """`raw`: private halves of 96 bytes. Raises ValueError otherwise."""
        self._halves: dict[bytes, HybridPrivateKey] = {}
        for one in raw:
            self.add(one)

    def add(self, raw: bytes) -> None:
        """Raises ValueError if `raw` is not a private half."""
        half = HybridPrivateKey.from_bytes(raw)
        self._halves[half.public.key_id] = half

    def destroy(self, key_id: bytes) -> None:
        """Forget it; what was sealed to it reads as unavailable."""
        self._halves.pop(key_id, None)

    def get(self, key_id: bytes) -> HybridPrivateKey | None:
        """The private half of that id."""
        return self._halves.get(key_id)


class KeyFolder:
    """Private halves as files of 96 bytes whose names end with the key id in hex.

    A file that appears later is found when its key is first needed; one that is removed is gone here at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[bytes, tuple[Path, HybridPrivateKey]] = {}

    def get(self, key_id: bytes) -> HybridPrivateKey | None:
        """The private half of that id, read anew if it was not read before."""
        path, half = self._read.pop(key_id, (None, None))
        if path is None or not path.is_file():
            path, half = self._find(key_id)
        if path is None or half is None:
            return None
        self._read[key_id] = path, half
        return half

    def _find(self, key_id: bytes) -> tuple[Path | None, HybridPrivateKey | None]:
        for path in sorted(self._folder.glob(f"*{key_id.hex()}")):
            try:
                raw = path.read_bytes()
            except OSError:
                continue  # removed this moment
            if len(raw) == PRIVATE_BYTES:
                half = HybridPrivateKey.from_bytes(raw)
                if half.public.key_id == key_id:
                    return path, half
        return None, None


def pinned(public_keys: Mapping[str, str]) -> SignerLookup:
    """Trust these signers: process (`router`, `erasure`, `store`) to base64 of its 32 public bytes; several, apart by spaces or
    lines, while its key is changed.

    Each may say what a process of that name may say. For signers that control names, give `ControlView.signer`
    instead. Raises ValueError for another process or another length.
    """
    known: dict[str, KnownSigner] = {}
    for name, encoded in public_keys.items():
        keys = [b64decode(one, validate=True) for one in encoded.split()]
        if name not in RIGHTS_BY_PROCESS or not keys or any(len(raw) != PUBLIC_SIGNING_BYTES for raw in keys):
            raise ValueError("not a process of ours, or not a public signing key")
        known[name] = KnownSigner(name, keys[0], RIGHTS_BY_PROCESS[name], tuple(keys[1:]))
    return known.get
