"""Wycheproof's cases as `../shared/vectors/wycheproof` holds them, each with what one of our functions makes of it.

A runner says True (accepted, with the right result), False (refused, typed), or why ours cannot take the case. It must
never ask a library for the answer: what is right stands in the file.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts.errors import InvalidSignature, TamperedRecord
from contracts.hybrid import HybridPrivateKey
from contracts.pseudonyms import PSEUDONYM_BYTES, KeyedHash
from contracts.signing import KnownSigner, Right
from ingest.signature import AppSecret, verify
from store.keys.cells import unwrap_key
from tests.security.vectors.hpke_by_hand import (
    HYBRID_SUITE,
    Schedule,
    hkdf_expand,
    hkdf_extract,
    hybrid_shared,
)

FOLDER: Final = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "wycheproof"
Case = dict[str, Any]
Runner = Callable[[Case], bool | str]
PLAINTEXT: Final = b"an epoch key of thirty-two bytes"
INFO: Final = b"mkchannels epoch v1\x00 and a statement"


def cases(name: str) -> Iterator[Case]:
    """Every case of a file, the fields of its group beside its own."""
    told = json.loads((FOLDER / f"{name}_test.json").read_bytes())
    for group in told["testGroups"]:
        shared = {key: value for key, value in group.items() if key != "tests"}
        for case in group["tests"]:
            yield {**shared, **case}


def run(name: str, runner: Runner) -> tuple[Counter[str], list[int]]:
    """How many cases were run, and how many not for which reason; and the numbers of those that came out wrong."""
    counts: Counter[str] = Counter()
    wrong = []
    for case in cases(name):
        accepted = runner(case)
        if isinstance(accepted, str):
            counts[accepted] += 1
            continue
        counts["run"] += 1
        if case["result"] != "acceptable" and accepted != (case["result"] == "valid"):
            wrong.append(case["tcId"])
    return counts, wrong


def aes_gcm(case: Case) -> bool | str:
    """`unwrap_key`: nonce, ciphertext and tag in one value."""
    if case["ivSize"] != 96:
        return "our formats have a nonce of 12 bytes"
    key, iv, aad = (bytes.fromhex(case[name]) for name in ("key", "iv", "aad"))
    wrapped = iv + bytes.fromhex(case["ct"]) + bytes.fromhex(case["tag"])
    try:
        return unwrap_key(AESGCM(key), wrapped, aad) == bytes.fromhex(case["msg"])
    except TamperedRecord:
        return False


def webhook_hmac(case: Case) -> bool | str:
    """The receiver's check of a delivery."""
    if case["tagSize"] != 256:
        return "a signature of Meta's has 32 bytes"
    secret = AppSecret("a", bytes.fromhex(case["key"]))
    try:
        return verify(bytes.fromhex(case["msg"]), f"sha256={case['tag']}".encode(), [secret]).secret_id == "a"
    except InvalidSignature:
        return False


def keyed_hash(case: Case) -> bool | str:
    """What pseudonyms and event ids are made with, whole or cut to a pseudonym's length."""
    key, tag = bytes.fromhex(case["key"]), bytes.fromhex(case["tag"])
    if len(key) > 64:
        return "our keys have at most 64 bytes"
    size = PSEUDONYM_BYTES if case["tagSize"] == 128 else 32
    return KeyedHash(key).digest(bytes.fromhex(case["msg"]))[:size] == tag


def ed25519(case: Case) -> bool | str:
    """A known signer's signature."""
    signer = KnownSigner("a", bytes.fromhex(case["publicKey"]["pk"]), frozenset({Right.SIGN_CONTROL}))
    try:
        signer.verify(bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]), Right.SIGN_CONTROL)
    except TamperedRecord:
        return False
    return True


_OTHER_SEED: Final = os.urandom(64)
_OTHER_MLKEM: Final = MLKEM768PrivateKey.from_seed_bytes(_OTHER_SEED)
_OTHER_SCALAR: Final = X25519PrivateKey.generate()


def x25519(case: Case) -> bool | str:
    """The transport key's X25519 half: what was sealed by hand with the case's shared secret opens, or is refused."""
    scalar, enc = bytes.fromhex(case["private"]), bytes.fromhex(case["public"])
    private = HybridPrivateKey.from_bytes(_OTHER_SEED + scalar)
    mlkem_shared, mlkem_enc = _OTHER_MLKEM.public_key().encapsulate()
    shared = bytes.fromhex(case["shared"])
    return _opens(private, mlkem_enc + enc, mlkem_shared, shared, enc)


def mlkem(case: Case) -> bool | str:
    """The transport key's ML-KEM half, the same way; the public half is the file's too."""
    raw = bytes.fromhex(case["seed"]) + _OTHER_SCALAR.private_bytes_raw()
    try:
        private = HybridPrivateKey.from_bytes(raw)
    except ValueError:
        return False
    if private.public.raw[:1184] != bytes.fromhex(case["ek"]):
        raise AssertionError("another public key than the file's")
    ephemeral = X25519PrivateKey.generate()
    public = _OTHER_SCALAR.public_key()
    enc = ephemeral.public_key().public_bytes_raw()
    sealed_to = bytes.fromhex(case["c"]) + enc
    return _opens(private, sealed_to, bytes.fromhex(case["K"]), ephemeral.exchange(public), enc)


def _opens(
    private: HybridPrivateKey, sealed_to: bytes, mlkem_shared: bytes, x25519_shared: bytes, x25519_enc: bytes
) -> bool:
    shared = hybrid_shared(mlkem_shared, x25519_shared, x25519_enc, private.public.raw[1184:])
    sealed = sealed_to + Schedule(HYBRID_SUITE, shared, INFO).seal(PLAINTEXT)
    try:
        return private.open(sealed, INFO) == PLAINTEXT
    except InvalidTag:
        return False


def hkdf(case: Case) -> bool | str:
    """Ours has no HKDF but the library's inside HPKE; this is the one by which that is checked."""
    ikm, salt, info = (bytes.fromhex(case[name]) for name in ("ikm", "salt", "info"))
    try:
        return hkdf_expand(hkdf_extract(salt, ikm), info, case["size"]) == bytes.fromhex(case["okm"])
    except ValueError:
        return False
