"""The transport keypair: ML-KEM-768 with X25519, used through HPKE (RFC 9180, `draft-ietf-hpke-pq`).

Encodes and decodes both halves as raw bytes. The private half exists only as an argument and a value here; storing it
is the business of a key provider.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

MLKEM_PUBLIC_BYTES: Final = 1184
MLKEM_SEED_BYTES: Final = 64
PUBLIC_BYTES: Final = MLKEM_PUBLIC_BYTES + 32
PRIVATE_BYTES: Final = MLKEM_SEED_BYTES + 32
KEY_ID_BYTES: Final = 4

_SUITE: Final = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True, slots=True)
class HybridPublicKey:
    """A recipient's public half: `raw` is ML-KEM-768 (1,184 bytes) then X25519 (32 bytes)."""

    raw: bytes = field(repr=False)
    key_id: bytes
    _key: MLKEM768X25519PublicKey = field(repr=False, compare=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> HybridPublicKey:
        """Raises ValueError if `raw` is not a public key of 1,216 bytes."""
        if len(raw) != PUBLIC_BYTES:
            raise ValueError("a transport public key has 1216 bytes")
        mlkem = MLKEM768PublicKey.from_public_bytes(raw[:MLKEM_PUBLIC_BYTES])
        x25519 = X25519PublicKey.from_public_bytes(raw[MLKEM_PUBLIC_BYTES:])
        return cls(raw, key_id_of(raw), MLKEM768X25519PublicKey(mlkem, x25519))

    def seal(self, plaintext: bytes, info: bytes) -> bytes:
        """HPKE base mode, single shot: enc (1,120 bytes) then ciphertext and tag (+16)."""
        return _SUITE.encrypt(plaintext, self._key, info)


@dataclass(frozen=True, slots=True)
class HybridPrivateKey:
    """A recipient's private half: `raw` is the ML-KEM seed (64 bytes) then the X25519 scalar (32 bytes)."""

    raw: bytes = field(repr=False)
    public: HybridPublicKey
    _key: MLKEM768X25519PrivateKey = field(repr=False, compare=False)

    @classmethod
    def generate(cls) -> HybridPrivateKey:
        """A fresh keypair from the system's random source."""
        mlkem = MLKEM768PrivateKey.generate()
        return cls.from_bytes(mlkem.private_bytes_raw() + X25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_bytes(cls, raw: bytes) -> HybridPrivateKey:
        """Raises ValueError if `raw` is not a private key of 96 bytes."""
        if len(raw) != PRIVATE_BYTES:
            raise ValueError("a transport private key has 96 bytes")
        mlkem = MLKEM768PrivateKey.from_seed_bytes(raw[:MLKEM_SEED_BYTES])
        x25519 = X25519PrivateKey.from_private_bytes(raw[MLKEM_SEED_BYTES:])
        public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        return cls(raw, HybridPublicKey.from_bytes(public), MLKEM768X25519PrivateKey(mlkem, x25519))

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """Raises cryptography's InvalidTag if `sealed` or `info` was changed."""
        return _SUITE.decrypt(sealed, self._key, info)


def key_id_of(public_raw: bytes) -> bytes:
    """The 4 bytes that name a public key in a record: the start of its SHA-256."""
    return hashlib.sha256(public_raw).digest()[:KEY_ID_BYTES]
