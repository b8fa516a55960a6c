"""A delivery is Meta's or it is nothing: META.md section 3 and its vectors."""

import base64
import copy
import dataclasses
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import InvalidSignature
from ingest.signature import AppSecret, Verified, verify

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "meta-signatures.json"
needs_vectors = pytest.mark.skipif(not VECTORS.is_file(), reason="there is no ../shared/vectors here")
SECRET = AppSecret("meta", b"secret")
BODY = b'{"object":"page"}'


def vectors(kind: str) -> list[Any]:
    if not VECTORS.is_file():
        return []
    return [pytest.param(vector, id=vector["id"]) for vector in json.loads(VECTORS.read_bytes())[kind]]


def signed(body: bytes = BODY, secret: bytes = SECRET.secret) -> bytes:
    return b"sha256=" + hmac.digest(secret, body, "sha256").hex().encode()


def reason_of(header: bytes | None, secrets: list[AppSecret], body: bytes = BODY) -> str:
    with pytest.raises(InvalidSignature) as caught:
        verify(body, header, secrets)
    return caught.value.reason


@needs_vectors
@pytest.mark.parametrize("vector", vectors("x_hub_signature"))
def test_published_vectors_verify_over_raw_bytes_and_sha1_never_does(vector: dict[str, Any]) -> None:
    body = base64.b64decode(vector["body_b64"])
    header = vector["header_value"].encode()
    secrets = [AppSecret("v", vector["secret"].encode())]
    if vector["expect_valid"] and vector["header_name"] == "X-Hub-Signature-256":
        assert verify(body, header, secrets).body == body
    else:
        assert reason_of(header, secrets, body) in ("mismatch", "malformed")


@needs_vectors
@pytest.mark.parametrize("vector", vectors("negative_headers"))
def test_malformed_headers_are_refused_and_so_is_upper_case(vector: dict[str, Any]) -> None:
    header = None if vector["header_value"] is None else vector["header_value"].encode()
    secrets = [AppSecret("v", vector["secret"].encode())]
    assert reason_of(header, secrets, base64.b64decode(vector["body_b64"])) in ("missing", "malformed")


def test_every_live_secret_is_accepted_and_named() -> None:
    old, new = AppSecret("old", b"one"), AppSecret("new", b"two")
    assert verify(BODY, signed(secret=b"one"), [new, old]).secret_id == "old"
    assert verify(BODY, signed(secret=b"two"), [new, old]).secret_id == "new"
    assert reason_of(signed(secret=b"three"), [new, old]) == "mismatch"


def test_without_a_secret_nothing_verifies() -> None:
    assert reason_of(signed(), []) == "no_secret"


def test_one_changed_bit_of_the_body_is_a_mismatch() -> None:
    assert reason_of(signed(), [SECRET], BODY[:-1] + b"~") == "mismatch"


def test_a_trailing_newline_after_the_digest_is_malformed() -> None:
    assert reason_of(signed() + b"\n", [SECRET]) == "malformed"


def test_only_verification_makes_a_verified() -> None:
    verified = verify(BODY, signed(), [SECRET])
    with pytest.raises(TypeError):
        Verified(BODY, "meta", object())
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(verified, body=b"another")  # type: ignore[call-arg]
    with pytest.raises(dataclasses.FrozenInstanceError):
        verified.body = b"another"  # type: ignore[misc]
    assert copy.copy(verified).body == BODY


def test_neither_body_nor_secret_shows_in_a_representation() -> None:
    verified = verify(BODY, signed(), [SECRET])
    assert "page" not in repr(verified)
    assert "secret'" not in repr(SECRET)
    assert "b'" not in repr(SECRET)
