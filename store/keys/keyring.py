"""The local key provider: root keys and secrets as 0600 files in a folder, with one escrow copy of the root keys.

The escrow is replaced and read back whenever an epoch is made; an old epoch is overwritten in both before `destroy_epoch`
returns. Neither folder may be part of any backup. Overwriting a file reaches its old blocks only on file systems that
write in place: docs/keys.md says which do not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import KeyServiceUnavailable, TamperedRecord
from runtime.files import SecretFolder
from runtime.secrets import FolderSecrets, available
from store.keys.provider import ProviderStatus, Rewrap

_NONCE: Final = 12
_ROOT: Final = "root-"


class LocalKeyring(FolderSecrets):
    """Root keys are `root-<epoch>`. Only the custodian is given `escrow`: nobody else makes or destroys epochs."""

    def __init__(self, secrets: SecretFolder, escrow: SecretFolder | None = None) -> None:
        super().__init__(secrets)
        self._secrets = secrets
        self._escrow = escrow

    @property
    def destroy_delay(self) -> timedelta:
        """None: overwritten at once, and not part of any backup."""
        return timedelta(0)

    async def wrap(self, epoch: int, plaintext: bytes, aad: bytes) -> bytes:
        """Nonce, ciphertext, tag."""
        return _wrap(self._cipher(epoch), plaintext, aad)

    async def unwrap(self, epoch: int, wrapped: bytes, aad: bytes) -> bytes:
        """Raises TamperedRecord or KeyNotYetKnown."""
        return _unwrap(self._cipher(epoch), wrapped, aad)

    async def rewrap_many(self, old: int, new: int, wraps: Sequence[Rewrap]) -> list[bytes]:
        """All or TamperedRecord."""
        before, after = self._cipher(old), self._cipher(new)
        return [_wrap(after, _unwrap(before, one.wrapped, one.aad), one.new_aad) for one in wraps]

    async def new_epoch(self, epoch: int) -> None:
        """Put-if-absent: of two that try, both use the same key. The escrow holds it before this returns."""
        name = f"{_ROOT}{epoch}"
        with available():
            key = self._secrets.put_if_absent(name, os.urandom(32))
            if self._secrets.get(name) != key or len(key) != 32:
                raise KeyServiceUnavailable("a root key does not read back")
            self._verify_escrow()

    async def destroy_epoch(self, epoch: int) -> None:
        """Overwritten and removed: the copy first, so that a kill in between leaves it to the next call."""
        name = f"{_ROOT}{epoch}"
        folders = [folder for folder in (self._escrow, self._secrets) if folder is not None]
        with available():
            for folder in folders:
                folder.destroy(name)
            if any(name in folder.names(_ROOT) for folder in folders):
                raise KeyServiceUnavailable("a destroyed root key is still there")

    async def status(self) -> ProviderStatus:
        """The keyring's own files. Raises KeyServiceUnavailable if the escrow is not its copy."""
        with available():
            if self._escrow is not None and self._escrow.names(_ROOT) != self._secrets.names(_ROOT):
                raise KeyServiceUnavailable("the escrow is not the keyring's copy")
            epochs = sorted(int(name.removeprefix(_ROOT)) for name in self._secrets.names(_ROOT))
        return ProviderStatus("keyring", tuple(epochs), 1 if self._escrow is None else 2)

    def _verify_escrow(self) -> None:
        """Make the escrow hold every root key and nothing else of that kind, and read each back."""
        if self._escrow is None:
            return
        names = self._secrets.names(_ROOT)
        for old in set(self._escrow.names(_ROOT)) - set(names):
            self._escrow.destroy(old)
        for name in names:
            self._escrow.put(name, self._secrets.get(name))
            if self._escrow.get(name) != self._secrets.get(name):
                raise KeyServiceUnavailable("a root key does not read back from the escrow")

    def _cipher(self, epoch: int) -> AESGCM:
        with available():
            return AESGCM(self._secrets.get(f"{_ROOT}{epoch}"))


def _wrap(cipher: AESGCM, plaintext: bytes, aad: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, plaintext, aad)


def _unwrap(cipher: AESGCM, wrapped: bytes, aad: bytes) -> bytes:
    try:
        return cipher.decrypt(wrapped[:_NONCE], wrapped[_NONCE:], aad)
    except (InvalidTag, ValueError) as exc:
        raise TamperedRecord("a wrapped key does not open") from exc
