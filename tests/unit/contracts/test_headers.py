"""Facts added after sealing are signed by whoever adds them."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import Any

import pytest

from contracts.errors import TamperedRecord
from contracts.headers import (
    Q_BY,
    Q_ITEMS,
    Q_REPLAY,
    Q_SIG,
    add_q_facts,
    index,
    sealed_digest,
    verify_q_facts,
)
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


HOSTILE: list[list[tuple[str, bytes | None]]] = [
    [("mk_count", b"1"), ("mk_count", b"2")],
    [("x", b"1"), ("x", b"2")],
    [("mk_count", None)],
    [("x", None)],
    [("ce_" + "n" * 70_000, b"1")],
    [("", b"")],
    [(Q_BY, b"router"), (Q_SIG, None)],
    [(Q_BY, None), (Q_SIG, b"s" * 64)],
    [(Q_SIG, b"s" * 64), (Q_SIG, b"s" * 64)],
]
"""What anybody who may write to a topic can put there: aiokafka hands it over as it is."""


@pytest.mark.parametrize("headers", HOSTILE)
def test_whatever_headers_somebody_wrote_the_record_can_be_set_aside_with_signed_facts(headers: Any) -> None:
    set_aside = add_q_facts(VALUE, headers, {Q_REPLAY: b"0"}, ROUTER)
    assert verify(VALUE, set_aside)[Q_REPLAY] == b"0"


@pytest.mark.parametrize("headers", HOSTILE)
def test_hostile_headers_are_tampering_or_harmless_and_nothing_else(headers: Any) -> None:
    """Any other exception would stop the process that reads the record, and the next one too."""
    with contextlib.suppress(TamperedRecord):
        verify(VALUE, headers)
    with contextlib.suppress(TamperedRecord):
        index(headers)
        sealed_digest("mk.raw.v1", headers)


def test_the_digest_of_many_headers_follows_the_same_rule_as_that_of_few() -> None:
    """More headers than any record of ours has are digested without what is remembered of usual ones."""
    few = [("mk_b", b"x" * 300), ("ce_a", b""), ("ek_key", b"k"), ("ce_id", b"1")]
    canonical = b"\x00\x01t" + b"".join(
        len(name).to_bytes(2) + name.encode() + len(value).to_bytes(4) + value
        for name, value in sorted(few)
        if name != "ek_key"
    )
    expected = hashlib.sha256(canonical).digest()
    for extra in (0, 100):
        for headers in (few, few[::-1]):
            strangers = [(f"x{number}", b"") for number in range(extra)]
            assert sealed_digest("t", [*strangers, *headers]) == expected
            with pytest.raises(TamperedRecord):
                sealed_digest("t", [*strangers, *headers, ("ce_id", b"2")])
