"""The handshake: META.md section 2 and its vectors."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from contracts.errors import MalformedRequest, RequestRejected, VerifyTokenMismatch
from ingest import challenge

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "meta-signatures.json"


def vectors() -> list[dict[str, Any]]:
    return json.loads(VECTORS.read_bytes())["verify_handshake"] if VECTORS.is_file() else []


@pytest.mark.skipif(not VECTORS.is_file(), reason="there is no ../shared/vectors here")
@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["query"])
def test_published_handshakes_are_answered_as_expected(vector: dict[str, Any]) -> None:
    query, token = parse_qsl(vector["query"]), vector["configured_token"].encode()
    if vector["expect"]["status"] == 200:
        assert challenge.answer(query, token) == vector["expect"]["body"].encode()
    else:
        with pytest.raises(RequestRejected) as caught:
            challenge.answer(query, token)
        assert caught.value.http_status == vector["expect"]["status"]


def test_a_challenge_is_echoed_verbatim() -> None:
    query = [("hub.mode", "subscribe"), ("hub.challenge", ' <é> "1" '), ("hub.verify_token", "t")]
    assert challenge.answer(query, b"t") == ' <é> "1" '.encode()


def test_a_non_ascii_token_is_a_mismatch_and_not_an_error() -> None:
    query = [("hub.mode", "subscribe"), ("hub.challenge", "1"), ("hub.verify_token", "tök")]
    with pytest.raises(VerifyTokenMismatch):
        challenge.answer(query, b"tok")


def test_a_parameter_that_stands_twice_is_malformed() -> None:
    query = [("hub.verify_token", "wrong"), ("hub.verify_token", "t"), ("hub.mode", "subscribe")]
    with pytest.raises(MalformedRequest):
        challenge.answer(query, b"t")
