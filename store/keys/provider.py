"""The key provider: wraps tenant KEKs under root epochs. One Protocol; a folder of files locally, a KMS elsewhere.

A call is never made per message (PRIVACY.md section 2): a tenant KEK is unwrapped once per epoch and process.
"""

from __future__ import annotations

import os
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import KeyNotYetKnown, TamperedRecord
from runtime.files import SecretFolder

_NONCE: Final = 12


class KeyProvider(Protocol):
    """Wraps and unwraps under numbered root epochs. Raises KeyServiceUnavailable when it is away."""

    async def wrap(self, epoch: int, plaintext: bytes, aad: bytes) -> bytes:
        """`plaintext` under the root key of `epoch`. Raises KeyNotYetKnown for an epoch that does not exist."""

    async def unwrap(self, epoch: int, wrapped: bytes, aad: bytes) -> bytes:
        """Raises TamperedRecord if it does not open, KeyNotYetKnown for an epoch that does not exist."""

    async def new_epoch(self, epoch: int) -> None:
        """Make the root key of `epoch`; nothing happens if it exists."""

    async def destroy_epoch(self, epoch: int) -> None:
        """Make everything wrapped under `epoch` unreadable for ever."""

    async def epochs(self) -> list[int]:
        """Epochs that exist, ascending."""


class LocalKeyring:
    """Root keys as 0600 files `root-<epoch>` in a folder. Not part of any backup."""

    def __init__(self, secrets: SecretFolder) -> None:
        self._secrets = secrets

    def _cipher(self, epoch: int) -> AESGCM:
        return AESGCM(self._secrets.get(f"root-{epoch}"))

    async def wrap(self, epoch: int, plaintext: bytes, aad: bytes) -> bytes:
        """Nonce, ciphertext, tag."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher(epoch).encrypt(nonce, plaintext, aad)

    async def unwrap(self, epoch: int, wrapped: bytes, aad: bytes) -> bytes:
        """Raises TamperedRecord or KeyNotYetKnown."""
        try:
            return self._cipher(epoch).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], aad)
        except (InvalidTag, ValueError) as exc:
            raise TamperedRecord("a wrapped key does not open") from exc

    async def new_epoch(self, epoch: int) -> None:
        """Put-if-absent: of two that try, both use the same key."""
        self._secrets.put_if_absent(f"root-{epoch}", os.urandom(32))

    async def destroy_epoch(self, epoch: int) -> None:
        """Overwrite and remove."""
        self._secrets.destroy(f"root-{epoch}")

    async def epochs(self) -> list[int]:
        """Ascending."""
        return sorted(int(name.removeprefix("root-")) for name in self._secrets.names("root-"))


__all__ = ["KeyNotYetKnown", "KeyProvider", "LocalKeyring"]
