"""The transport record: opens for its recipient alone, and for nothing that was changed."""

from __future__ import annotations

import os
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from contracts import topics
from contracts.errors import KeyGone, KeyNotYetKnown, TamperedRecord
from contracts.headers import EK_KEY, EK_SIG, EK_STATEMENT
from contracts.hybrid import HybridPrivateKey
from contracts.sealing import (
    EPOCH_MAX_RECORDS,
    EPOCH_MAX_S,
    KEY_KEPT_AFTER_S,
    NO_TENANT,
    OVERHEAD_BYTES,
    EpochStatement,
    RecordOpener,
    SealingEpoch,
)
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Right, Signer

NOW_S = 1_760_000_000
HEADERS = [("ce_id", b"1"), ("ce_tenant", b"t"), ("mk_person", b"ab")]
RECIPIENT = HybridPrivateKey.generate()
ROUTER = Signer.from_bytes("router", os.urandom(32))
INGEST = Signer.from_bytes("ingest", os.urandom(32))
TENANT = uuid4()
TOPIC = topics.tenant_events_topic("abcdefgh23")


def known(name: str) -> KnownSigner | None:
    signers = {"router": ROUTER, "ingest": INGEST}
    signer = signers.get(name)
    return KnownSigner(name, signer.public_raw, RIGHTS_BY_PROCESS[name]) if signer else None


def epoch(
    signer: Signer = ROUTER, topic: str = TOPIC, tenant: UUID = TENANT, now_s: int = NOW_S
) -> SealingEpoch:
    return SealingEpoch.begin(
        recipient=RECIPIENT.public,
        tenant=tenant,
        topic=topic,
        signer=signer,
        now_s=now_s,
        epoch_key=os.urandom(32),
    )


def opener() -> RecordOpener:
    return RecordOpener(lambda key_id: RECIPIENT if key_id == RECIPIENT.public.key_id else None, known)


def test_a_record_opens_for_its_recipient_and_says_who_sealed_it_for_whom() -> None:
    sealing = epoch()
    value = sealing.seal(b"hello", HEADERS, os.urandom(12))
    opened = opener().open(TOPIC, value, [*HEADERS, *sealing.headers], broker_time_s=NOW_S + 1)
    assert opened.plaintext == b"hello"
    assert opened.statement.tenant == TENANT
    assert opened.statement.signer == "router"


def test_the_overhead_is_52_bytes_and_the_sealed_key_1168() -> None:
    sealing = epoch()
    assert len(sealing.seal(b"x" * 100, HEADERS, os.urandom(12))) == 100 + OVERHEAD_BYTES == 152
    assert len(dict(sealing.headers)[EK_KEY]) == 1168


def test_every_flipped_bit_of_the_value_is_refused() -> None:
    sealing = epoch()
    value = sealing.seal(b"hello", HEADERS, os.urandom(12))
    for position in range(len(value)):
        changed = bytearray(value)
        changed[position] ^= 1
        with pytest.raises(TamperedRecord):
            opener().open(TOPIC, bytes(changed), [*HEADERS, *sealing.headers], broker_time_s=NOW_S)


@pytest.mark.parametrize("name", [EK_KEY, EK_SIG, EK_STATEMENT])
def test_every_changed_byte_of_an_epoch_header_is_refused(name: str) -> None:
    sealing = epoch()
    value = sealing.seal(b"hello", HEADERS, os.urandom(12))
    original = dict(sealing.headers)[name]
    for position in range(0, len(original), 7):
        changed = bytearray(original)
        changed[position] ^= 1
        headers = [(key, bytes(changed) if key == name else content) for key, content in sealing.headers]
        with pytest.raises(TamperedRecord):
            opener().open(TOPIC, value, [*HEADERS, *headers], broker_time_s=NOW_S)


@pytest.mark.parametrize(
    "headers",
    [
        [("ce_id", b"2"), ("ce_tenant", b"t"), ("mk_person", b"ab")],
        [("ce_id", b"1"), ("ce_tenant", b"t")],
        [("ce_id", b"1"), ("ce_tenant", b"t"), ("mk_person", b"ab"), ("mk_ref", b"")],
        [("ce_id", b"1t"), ("ce_tenant", b""), ("mk_person", b"ab")],
        [("ce_id", b"1"), ("ce_id", b"1"), ("ce_tenant", b"t"), ("mk_person", b"ab")],
    ],
)
def test_a_changed_missing_added_shifted_or_doubled_header_is_refused(
    headers: list[tuple[str, bytes]],
) -> None:
    sealing = epoch()
    value = sealing.seal(b"hello", HEADERS, os.urandom(12))
    with pytest.raises(TamperedRecord):
        opener().open(TOPIC, value, [*headers, *sealing.headers], broker_time_s=NOW_S)


def test_the_order_of_headers_does_not_matter() -> None:
    sealing = epoch()
    value = sealing.seal(b"hello", HEADERS, os.urandom(12))
    opened = opener().open(TOPIC, value, [*sealing.headers, *reversed(HEADERS)], broker_time_s=NOW_S)
    assert opened.plaintext == b"hello"


def test_a_record_moved_to_another_topic_is_refused() -> None:
    sealing = epoch()
    value = sealing.seal(b"hello", HEADERS, os.urandom(12))
    with pytest.raises(TamperedRecord):
        opener().open(
            topics.tenant_events_topic("other23456"), value, [*HEADERS, *sealing.headers], broker_time_s=NOW_S
        )


def test_nobody_waits_for_the_key_of_a_record_that_was_copied_from_another_topic() -> None:
    """Its signature is right and its key unknown here: waiting for that key would hold the partition for days."""
    sealed = epoch()
    value = sealed.seal(b"x", HEADERS, os.urandom(12))
    elsewhere = RecordOpener(lambda _key_id: None, known)
    with pytest.raises(TamperedRecord):
        elsewhere.open(topics.RAW, value, [*HEADERS, *sealed.headers], broker_time_s=NOW_S)
    with pytest.raises(KeyNotYetKnown):
        elsewhere.open(TOPIC, value, [*HEADERS, *sealed.headers], broker_time_s=NOW_S)


def test_a_signer_may_seal_only_what_its_list_says() -> None:
    sealing = epoch(signer=INGEST)  # ingest may seal raw blocks, not tenants' events
    value = sealing.seal(b"hello", HEADERS, os.urandom(12))
    with pytest.raises(TamperedRecord):
        opener().open(TOPIC, value, [*HEADERS, *sealing.headers], broker_time_s=NOW_S)


def test_an_unknown_signer_is_refused() -> None:
    stranger = Signer.from_bytes("stranger", os.urandom(32))
    sealing = epoch(signer=stranger)
    value = sealing.seal(b"hello", HEADERS, os.urandom(12))
    with pytest.raises(TamperedRecord):
        opener().open(TOPIC, value, [*HEADERS, *sealing.headers], broker_time_s=NOW_S)


def test_whoever_can_open_an_epoch_cannot_forge_one_under_another_name() -> None:
    sealing = epoch()
    forged = replace(sealing.statement, tenant=NO_TENANT).encode()
    headers = [(EK_STATEMENT, forged), *(pair for pair in sealing.headers if pair[0] != EK_STATEMENT)]
    value = sealing.seal(b"hello", HEADERS, os.urandom(12))
    with pytest.raises(TamperedRecord):
        opener().open(TOPIC, value, [*HEADERS, *headers], broker_time_s=NOW_S)


def test_a_key_that_is_not_here_yet_is_transient_and_one_past_its_life_is_gone() -> None:
    sealing = epoch()
    value = sealing.seal(b"hello", HEADERS, os.urandom(12))
    nobody = RecordOpener(lambda _key_id: None, known)
    with pytest.raises(KeyNotYetKnown):
        nobody.open(TOPIC, value, [*HEADERS, *sealing.headers], broker_time_s=NOW_S)
    late_s = NOW_S + EPOCH_MAX_S + KEY_KEPT_AFTER_S + 1
    with pytest.raises(KeyGone):
        nobody.open(TOPIC, value, [*HEADERS, *sealing.headers], broker_time_s=late_s)


def test_the_signature_is_judged_before_the_private_key_is_needed() -> None:
    sealing = epoch()
    value = sealing.seal(b"hello", HEADERS, os.urandom(12))
    headers = [(key, b"\x00" * 64 if key == EK_SIG else content) for key, content in sealing.headers]
    with pytest.raises(TamperedRecord):
        RecordOpener(lambda _key_id: None, known).open(
            TOPIC, value, [*HEADERS, *headers], broker_time_s=NOW_S
        )


def test_a_cached_epoch_does_not_let_a_changed_signature_stand_for_another_epoch() -> None:
    shared = opener()
    first, second = epoch(), epoch()
    value = first.seal(b"hello", HEADERS, os.urandom(12))
    shared.open(TOPIC, value, [*HEADERS, *first.headers], broker_time_s=NOW_S)
    with pytest.raises(TamperedRecord):
        shared.open(TOPIC, value, [*HEADERS, *second.headers], broker_time_s=NOW_S)


def test_an_epoch_ends_after_five_minutes_and_after_2_to_the_20_records() -> None:
    sealing = epoch()
    assert not sealing.exhausted(NOW_S)
    assert sealing.exhausted(NOW_S + EPOCH_MAX_S)
    assert sealing.exhausted(NOW_S - 1)
    sealing._left = 1
    sealing.seal(b"", HEADERS, os.urandom(12))
    assert sealing.exhausted(NOW_S)
    assert EPOCH_MAX_RECORDS == 1 << 20


def test_a_record_from_before_its_epoch_is_refused() -> None:
    sealing = epoch(now_s=NOW_S)
    value = sealing.seal(b"hello", HEADERS, os.urandom(12))
    with pytest.raises(TamperedRecord):
        opener().open(TOPIC, value, [*HEADERS, *sealing.headers], broker_time_s=NOW_S - 3600)


@pytest.mark.parametrize("raw", [b"", b"\x01\x01", b"\x01\x01" + bytes(60), bytes(200)])
def test_an_unreadable_statement_is_tampering(raw: bytes) -> None:
    with pytest.raises(TamperedRecord):
        EpochStatement.decode(raw)


def test_a_statement_with_trailing_bytes_is_tampering() -> None:
    encoded = epoch().statement.encode()
    assert EpochStatement.decode(encoded).encode() == encoded
    with pytest.raises(TamperedRecord):
        EpochStatement.decode(encoded + b"\x00")


def test_keys_never_show_in_a_repr() -> None:
    assert RECIPIENT.raw.hex() not in repr(RECIPIENT)
    assert "AESGCM" not in repr(epoch())
    assert "Ed25519PrivateKey" not in repr(ROUTER)


def test_no_process_may_say_everything() -> None:
    for name, rights in RIGHTS_BY_PROCESS.items():
        assert rights < frozenset(Right), name
    assert RIGHTS_BY_PROCESS["ingest"] == {Right.SEAL_RAW, Right.SEAL_REQUESTS}
