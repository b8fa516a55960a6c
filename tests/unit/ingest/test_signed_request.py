"""A callback is Meta's or it is nothing: META.md section 15 and its vectors."""

import base64
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import InvalidSignature, MalformedRequest, RequestRejected, UnsupportedAlgorithm
from ingest.signature import AppSecret
from ingest.signed_request import cause_of, field_of, verify

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "meta-signatures.json"
needs_vectors = pytest.mark.skipif(not VECTORS.is_file(), reason="there is no ../shared/vectors here")
NEW, OLD = AppSecret("new", b"new-secret"), AppSecret("old", b"old-secret")
PAYLOAD: dict[str, Any] = {"algorithm": "HMAC-SHA256", "issued_at": 1_700_000_000, "user_id": "218471"}


def vectors(*, valid: bool) -> list[Any]:
    if not VECTORS.is_file():
        return []
    listed = json.loads(VECTORS.read_bytes())["signed_request"]
    return [pytest.param(one, id=one["id"]) for one in listed if one["expect_valid"] is valid]


def encoded(content: bytes, *, padded: bool = False, standard: bool = False) -> str:
    text = (base64.b64encode if standard else base64.urlsafe_b64encode)(content).decode()
    return text if padded else text.rstrip("=")


def signed(
    payload: object, secret: bytes = NEW.secret, *, sig: dict[str, bool] | None = None, **form: bool
) -> str:
    part = encoded(payload if isinstance(payload, bytes) else json.dumps(payload).encode(), **form)
    return f"{encoded(hmac.digest(secret, part.encode(), 'sha256'), **(sig or form))}.{part}"


@needs_vectors
@pytest.mark.parametrize("vector", vectors(valid=True))
def test_published_and_derived_requests_verify_in_every_form(vector: dict[str, Any]) -> None:
    secrets = [AppSecret("other", b"another"), AppSecret("s", vector["secret"].encode())]
    found = verify(vector["signed_request"], secrets)
    assert found.payload == vector["expected_json"]
    assert found.secret_id == "s"


@needs_vectors
@pytest.mark.parametrize("vector", vectors(valid=False))
def test_wrong_secrets_swapped_payloads_other_algorithms_and_bad_forms_are_refused(
    vector: dict[str, Any],
) -> None:
    with pytest.raises(RequestRejected):
        verify(vector["signed_request"], [AppSecret("s", vector["secret"].encode())])


@needs_vectors
def test_no_vector_of_this_section_is_left_out() -> None:
    listed = json.loads(VECTORS.read_bytes())["signed_request"]
    assert len(vectors(valid=True)) + len(vectors(valid=False)) == len(listed) >= 16


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("sig_padded", [False, True])
@pytest.mark.parametrize("standard", [False, True])
def test_padding_and_alphabet_may_differ_in_each_part(padded: bool, sig_padded: bool, standard: bool) -> None:
    # A content whose Base64 has both characters in which the alphabets differ, and padding.
    payload = PAYLOAD | {"pad": "\x7f?>~ü" * 3}
    raw = json.dumps(payload, ensure_ascii=False).encode()
    assert {"+", "/"} & set(encoded(raw, standard=True))
    text = signed(raw, sig={"padded": sig_padded, "standard": standard}, padded=padded)
    assert verify(text, [NEW]).payload == payload


def test_an_old_secret_is_taken_as_long_as_it_is_live() -> None:
    assert verify(signed(PAYLOAD, OLD.secret), [NEW, OLD]).secret_id == "old"
    with pytest.raises(InvalidSignature):
        verify(signed(PAYLOAD, OLD.secret), [NEW])
    with pytest.raises(InvalidSignature):
        verify(signed(PAYLOAD), [])


@pytest.mark.parametrize(
    "algorithm", ["none", "HMAC-SHA1", "hmac-sha256", "HMAC-SHA512", None, 1, ["HMAC-SHA256"]]
)
def test_a_rightly_signed_payload_that_names_another_algorithm_is_refused(algorithm: object) -> None:
    with pytest.raises(UnsupportedAlgorithm):
        verify(signed(PAYLOAD | {"algorithm": algorithm}), [NEW])


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a", "a.b.c", "a b.c", "ü.a", "a=b.c", "====.====", "\n.\n"]
)
def test_a_wrong_number_of_parts_or_bad_base64_is_refused_before_any_cryptography(text: str) -> None:
    with pytest.raises(MalformedRequest):
        verify(text, [])


def test_a_signature_has_one_spelling() -> None:
    text = signed(PAYLOAD)
    last = text.partition(".")[0][-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(last) ^ 1]
    signature, _, payload = text.partition(".")
    for changed in (signature[:-1] + other, signature + "==", signature[:-1], signature + "A"):
        with pytest.raises(MalformedRequest):
            verify(f"{changed}.{payload}", [NEW])


@pytest.mark.parametrize("payload", [b"", b"[]", b"1", b'"x"', b"{", b"\xff\xfe", b"{}" * 2, b"NaN"])
def test_a_signed_payload_that_is_no_json_object_is_refused(payload: bytes) -> None:
    with pytest.raises(MalformedRequest):
        verify(signed(payload), [NEW])


@pytest.mark.parametrize("user", ["218471", 218471])
def test_a_user_id_may_be_a_string_or_an_integer_and_is_the_same_person(user: object) -> None:
    cause = cause_of(verify(signed(PAYLOAD | {"user_id": user}), [NEW]))
    assert (cause.user_id, cause.issued_at_s) == ("218471", 1_700_000_000)
    assert "218471" not in repr(cause)


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": None}, {"user_id": ""}, {"user_id": True}, {"user_id": 1.5}, {"user_id": "1" * 129}, {"user_id": "a b"},
        {"user_id": "1\n"}, {"user_id": ["1"]}, {"issued_at": None}, {"issued_at": True}, {"issued_at": -1},
        {"issued_at": "1700000000"}, {"issued_at": 1 << 41}, {"issued_at": 1.5},
    ],
)  # fmt: skip
def test_a_payload_that_does_not_say_whom_or_when_makes_no_request(change: dict[str, object]) -> None:
    with pytest.raises(MalformedRequest):
        cause_of(verify(signed(PAYLOAD | change), [NEW]))


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"a=b",
        b"signed_request=a&signed_request=b",
        b"signed_request=\xff",
        b"&".join([b"a=b"] * 20),
        b"{}",
    ],
)
def test_a_form_has_one_signed_request(form: bytes) -> None:
    with pytest.raises(MalformedRequest):
        field_of(form)
    assert field_of(b"x=1&signed_request=a%2Bb.c%3D") == "a+b.c="
