"""RFC 9180's own vectors: what of them our suite allows, and that the second implementation which checks ours is right.

None of the RFC's vectors can be run through `contracts.hybrid`: it has one suite (MLKEM768-X25519, HKDF-SHA256,
AES-256-GCM, base mode), the RFC has DHKEMs only; and every ciphertext of the RFC has an AAD, which `cryptography`'s HPKE
does not take. What can be run: A.1.1's key schedule and first ciphertext, through the implementation by hand, to whose
results ours is then held, in both directions. docs/threat-model.md says so too.
"""

from __future__ import annotations

import os

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.hybrid import HybridPrivateKey
from tests.security.vectors.hpke_by_hand import (
    HYBRID_SUITE,
    Schedule,
    hkdf_expand,
    hkdf_extract,
    hybrid_shared,
)

DHKEM_SUITE = b"HPKE\x00\x20\x00\x01\x00\x01"
"""DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM."""


def test_the_implementation_by_hand_gives_what_rfc_9180_a_1_1_says() -> None:
    enc = bytes.fromhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
    recipient = X25519PrivateKey.from_private_bytes(
        bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
    )
    kem = b"KEM\x00\x20"
    dh = recipient.exchange(X25519PublicKey.from_public_bytes(enc))
    extracted = hkdf_extract(b"", b"HPKE-v1" + kem + b"eae_prk" + dh)
    labelled = b"\x00\x20HPKE-v1" + kem + b"shared_secret" + enc + recipient.public_key().public_bytes_raw()
    shared = hkdf_expand(extracted, labelled, 32)
    assert shared.hex() == "fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc"
    schedule = Schedule(DHKEM_SUITE, shared, b"Ode on a Grecian Urn")
    assert schedule.secret.hex() == "12fff91991e93b48de37e7daddb52981084bd8aa64289c3788471d9a9712f397"
    assert schedule.key(16).hex() == "4531685d41d65f03dc48f6b8302c05b0"
    assert schedule.nonce.hex() == "56d890e5accaaf011cff4b7d"
    sealed = schedule.seal(b"Beauty is truth, truth beauty", b"Count-0", 16)
    assert sealed.hex() == (
        "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a"
    )


@pytest.mark.parametrize("info", [b"", b"info", os.urandom(300)])
def test_what_ours_seals_the_implementation_by_hand_opens(info: bytes) -> None:
    private = HybridPrivateKey.generate()
    sealed = private.public.seal(b"an epoch key", info)
    scalar = X25519PrivateKey.from_private_bytes(private.raw[64:])
    mlkem_shared = MLKEM768PrivateKey.from_seed_bytes(private.raw[:64]).decapsulate(sealed[:1088])
    enc = sealed[1088:1120]
    x25519_shared = scalar.exchange(X25519PublicKey.from_public_bytes(enc))
    shared = hybrid_shared(mlkem_shared, x25519_shared, enc, private.public.raw[1184:])
    schedule = Schedule(HYBRID_SUITE, shared, info)
    assert AESGCM(schedule.key(32)).decrypt(schedule.nonce, sealed[1120:], b"") == b"an epoch key"


def test_another_info_another_key_or_a_cut_does_not_open() -> None:
    private, other = HybridPrivateKey.generate(), HybridPrivateKey.generate()
    sealed = private.public.seal(b"an epoch key", b"info")
    assert private.open(sealed, b"info") == b"an epoch key"
    for key, value, info in (
        (private, sealed, b"inf0"),
        (private, sealed, b""),
        (other, sealed, b"info"),
        (private, sealed + b"\x00", b"info"),
        *(
            (private, sealed[:size], b"info")
            for size in (0, 1, 31, 32, 1087, 1088, 1119, 1120, 1135, len(sealed) - 1)
        ),
    ):
        with pytest.raises(InvalidTag):
            key.open(value, info)
