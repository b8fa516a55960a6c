"""Facts added after sealing are signed by whoever adds them."""

from __future__ import annotations

import os

import pytest

from contracts.errors import TamperedRecord
from contracts.headers import Q_BY, Q_ITEMS, Q_REPLAY, Q_SIG, add_q_facts, sealed_digest, verify_q_facts
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Right, Signer

ROUTER = Signer.from_bytes("router", os.urandom(32))
VALUE = b"sealed"
ORIGINAL = [("mk_count", b"1"), ("ek_sig", b"s")]


def known(name: str) -> KnownSigner | None:
    return KnownSigner(name, ROUTER.public_raw, RIGHTS_BY_PROCESS["router"]) if name == "router" else None


def verify(
    value: bytes, headers: list[tuple[str, bytes]], right: Right = Right.QUARANTINE_RAW
) -> dict[str, bytes]:
    return verify_q_facts(value, headers, known, right)


def test_facts_verify_with_the_value_and_the_original_headers() -> None:
    headers = add_q_facts(VALUE, ORIGINAL, {Q_ITEMS: b"[]", Q_REPLAY: b"1"}, ROUTER)
    assert verify(VALUE, headers)[Q_REPLAY] == b"1"
    assert verify(VALUE, list(ORIGINAL)) == {}


def test_facts_added_again_replace_the_older_ones() -> None:
    first = add_q_facts(VALUE, ORIGINAL, {Q_REPLAY: b"1"}, ROUTER)
    second = add_q_facts(VALUE, first, {Q_REPLAY: b"2"}, ROUTER)
    assert verify(VALUE, second)[Q_REPLAY] == b"2"
    assert [name for name, _ in second].count(Q_SIG) == 1


@pytest.mark.parametrize("changed", [Q_REPLAY, Q_ITEMS, Q_BY, Q_SIG, "mk_count", "ek_sig"])
def test_a_changed_fact_or_original_header_is_tampering(changed: str) -> None:
    headers = add_q_facts(VALUE, ORIGINAL, {Q_ITEMS: b"[]", Q_REPLAY: b"1"}, ROUTER)
    with pytest.raises(TamperedRecord):
        verify(VALUE, [(name, content + b"x" if name == changed else content) for name, content in headers])


def test_another_value_an_added_fact_or_a_missing_signature_is_tampering() -> None:
    headers = add_q_facts(VALUE, ORIGINAL, {Q_REPLAY: b"1"}, ROUTER)
    for value, given in (
        (b"other", headers),
        (VALUE, [*headers, ("q_extra", b"1")]),
        (VALUE, [pair for pair in headers if pair[0] != Q_SIG]),
        (VALUE, [*headers, (Q_REPLAY, b"0")]),
    ):
        with pytest.raises(TamperedRecord):
            verify(value, given)


def test_a_signer_without_the_right_may_not_add_facts() -> None:
    headers = add_q_facts(VALUE, ORIGINAL, {Q_REPLAY: b"1"}, ROUTER)
    with pytest.raises(TamperedRecord):
        verify(VALUE, headers, Right.QUARANTINE_TENANT)


def test_the_digest_covers_ce_and_mk_headers_only_and_tells_topics_apart() -> None:
    base = sealed_digest("a", [("ce_id", b"1")])
    assert sealed_digest("a", [("ce_id", b"1"), ("q_items", b"x"), ("ek_key", b"y")]) == base
    assert sealed_digest("b", [("ce_id", b"1")]) != base
    assert sealed_digest("a", [("ce_id", b"1"), ("mk_ref", b"x")]) != base
    assert sealed_digest("a", [("ce_i", b"d1")]) != base
