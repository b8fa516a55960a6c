"""Seal and open are inverse for any plaintext and headers, and for nothing else."""

from __future__ import annotations

import os
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import topics
from contracts.errors import TamperedRecord
from contracts.hybrid import HybridPrivateKey
from contracts.sealing import RecordOpener, SealingEpoch
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer

RECIPIENT = HybridPrivateKey.generate()
ROUTER = Signer.from_bytes("router", os.urandom(32))
TOPIC = topics.tenant_events_topic("abcdefgh23")
EPOCH = SealingEpoch.begin(
    recipient=RECIPIENT.public,
    tenant=uuid4(),
    topic=TOPIC,
    signer=ROUTER,
    now_s=1_760_000_000,
    epoch_key=os.urandom(32),
)
OPENER = RecordOpener(
    lambda _id: RECIPIENT, lambda name: KnownSigner(name, ROUTER.public_raw, RIGHTS_BY_PROCESS["router"])
)
HEADERS = st.dictionaries(
    st.from_regex(r"(ce|mk)_[a-z]{1,8}", fullmatch=True), st.binary(max_size=50), max_size=6
)


@given(st.binary(max_size=2000), HEADERS)
@settings(max_examples=100)
def test_what_was_sealed_opens(plaintext: bytes, headers: dict[str, bytes]) -> None:
    value = EPOCH.seal(plaintext, list(headers.items()), os.urandom(12))
    opened = OPENER.open(TOPIC, value, [*headers.items(), *EPOCH.headers], broker_time_s=1_760_000_001)
    assert opened.plaintext == plaintext


@given(HEADERS, HEADERS)
@settings(max_examples=100)
def test_other_headers_do_not_open(sealed: dict[str, bytes], given_headers: dict[str, bytes]) -> None:
    value = EPOCH.seal(b"x", list(sealed.items()), os.urandom(12))
    headers = [*given_headers.items(), *EPOCH.headers]
    if sealed == given_headers:
        assert OPENER.open(TOPIC, value, headers, broker_time_s=1_760_000_001).plaintext == b"x"
        return
    with pytest.raises(TamperedRecord):
        OPENER.open(TOPIC, value, headers, broker_time_s=1_760_000_001)


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_arbitrary_bytes_are_tampering_and_never_a_crash(value: bytes) -> None:
    with pytest.raises(TamperedRecord):
        OPENER.open(TOPIC, value, list(EPOCH.headers), broker_time_s=1_760_000_001)
