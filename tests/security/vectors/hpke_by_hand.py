"""HPKE of RFC 9180 a second time, in the standard library's terms, as `contracts.hybrid` uses it: base mode, one shot.

The combiner is X-Wing's (`draft-ietf-hpke-pq`, KEM 0x647a). Checked itself against RFC 9180 A.1.1 and Wycheproof's HKDF
before anything is concluded from it. Must never be imported by what it checks.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_XWING_LABEL: Final = bytes.fromhex("5c2e2f2f5e5c")
HYBRID_SUITE: Final = b"HPKE\x64\x7a\x00\x01\x00\x02"
"""MLKEM768-X25519, HKDF-SHA256, AES-256-GCM."""
_HASH_BYTES: Final = 32


def hkdf_extract(salt: bytes, ikm: bytes) -> bytes:
    """RFC 5869 section 2.2 with SHA-256."""
    return hmac.digest(salt, ikm, "sha256")


def hkdf_expand(secret: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869 section 2.3. Raises ValueError for more than 255 blocks."""
    if size > 255 * _HASH_BYTES:
        raise ValueError("more than HKDF can give")
    made, block = b"", b""
    for number in range(1, -(-size // _HASH_BYTES) + 1):
        block = hmac.digest(secret, block + info + bytes((number,)), "sha256")
        made += block
    return made[:size]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The key schedule of base mode (RFC 9180 section 5.1)."""

    suite: bytes
    shared: bytes = field(repr=False)
    info: bytes

    @property
    def context(self) -> bytes:
        """`key_schedule_context`."""
        return b"\x00" + self._extract(b"", b"psk_id_hash", b"") + self._extract(b"", b"info_hash", self.info)

    @property
    def secret(self) -> bytes:
        """`secret`."""
        return self._extract(self.shared, b"secret", b"")

    def key(self, size: int) -> bytes:
        """The AEAD's key."""
        return self._expand(b"key", size)

    @property
    def nonce(self) -> bytes:
        """`base_nonce`, the nonce of sequence number 0."""
        return self._expand(b"base_nonce", 12)

    def seal(self, plaintext: bytes, aad: bytes = b"", key_bytes: int = 32) -> bytes:
        """Ciphertext and tag of sequence number 0."""
        return AESGCM(self.key(key_bytes)).encrypt(self.nonce, plaintext, aad)

    def _extract(self, salt: bytes, label: bytes, ikm: bytes) -> bytes:
        return hkdf_extract(salt, b"HPKE-v1" + self.suite + label + ikm)

    def _expand(self, label: bytes, size: int) -> bytes:
        labelled = size.to_bytes(2) + b"HPKE-v1" + self.suite + label + self.context
        return hkdf_expand(self.secret, labelled, size)


def hybrid_shared(
    mlkem_shared: bytes, x25519_shared: bytes, x25519_enc: bytes, x25519_public: bytes
) -> bytes:
    """X-Wing's combiner."""
    return hashlib.sha3_256(mlkem_shared + x25519_shared + x25519_enc + x25519_public + _XWING_LABEL).digest()
