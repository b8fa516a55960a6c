"""Pseudonyms and event ids: stable, keyed, and apart by namespace."""

from __future__ import annotations

import hmac
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import event_id, event_id_text, first_id_at, time_ms_of
from contracts.pseudonyms import Domain, KeyedHash, phone_forms, pseudonym, pseudonym_by

KEY = bytes(range(32))


@pytest.mark.parametrize(
    ("given", "forms"),
    [
        ("+55 (31) 98888-8888", ("5531988888888", "553188888888")),
        ("553188888888", ("5531988888888", "553188888888")),
        ("5531988888888", ("5531988888888", "553188888888")),
        ("553133334444", ("553133334444",)),  # a landline gets no 9
        ("16505551234", ("16505551234",)),
        ("5531", ("5531",)),
        ("", ()),
        ("no digits", ()),
    ],
)
def test_a_brazilian_mobile_has_two_forms_and_nobody_else_has(given: str, forms: tuple[str, ...]) -> None:
    assert phone_forms(given) == forms


def test_pseudonyms_are_16_bytes_and_differ_by_key_domain_and_value() -> None:
    values = {
        pseudonym(KEY, Domain.PHONE, "5531988888888"),
        pseudonym(KEY, Domain.PSID, "5531988888888"),
        pseudonym(KEY, Domain.PHONE, "5531988888889"),
        pseudonym(os.urandom(32), Domain.PHONE, "5531988888888"),
    }
    assert len(values) == 4
    assert {len(value) for value in values} == {16}


def test_a_pseudonym_is_the_documented_hmac() -> None:
    # HMAC-SHA256(key, "p" | 0x000d | "5531988888888")[:16], computed apart from our code with openssl.
    assert pseudonym(KEY, Domain.PHONE, "5531988888888").hex() == "8a10c07e1859bc08d084d1d843ba8c3b"


@given(st.binary(max_size=64), st.lists(st.binary(max_size=200), max_size=3))
def test_a_keyed_hash_is_hmac_and_may_be_used_again(key: bytes, messages: list[bytes]) -> None:
    keyed = KeyedHash(key)
    assert [keyed.digest(one) for one in messages] == [hmac.digest(key, one, "sha256") for one in messages]


def test_a_key_that_hmac_would_hash_first_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 64"):
        KeyedHash(bytes(65))


@given(st.sampled_from(Domain), st.text())
def test_a_pseudonym_made_one_of_many_is_the_same(domain: Domain, value: str) -> None:
    assert pseudonym_by(KeyedHash(KEY), domain, value) == pseudonym(KEY, domain, value)


@given(
    st.none() | st.integers(0, 2**47),
    st.text(),
    st.text(),
    st.none() | st.text(),
    st.lists(st.text(), max_size=3),
)
def test_the_text_of_an_id_is_that_of_the_id(
    occurred_at_ms: int | None, account: str, kind: str, native_id: str | None, discriminator: list[str]
) -> None:
    made = event_id_text(KeyedHash(KEY), occurred_at_ms, "page", account, kind, native_id, discriminator)
    assert made == str(
        event_id(
            KEY,
            occurred_at_ms=occurred_at_ms,
            provider_object="page",
            account=account,
            kind=kind,
            native_id=native_id,
            discriminator=discriminator,
        )
    )


def make(**changed: object) -> object:
    arguments: dict[str, object] = {
        "occurred_at_ms": 1_760_000_000_123,
        "provider_object": "page",
        "account": "10",
        "kind": "message.received",
        "native_id": "mid.1",
        "discriminator": (),
    }
    return event_id(KEY, **(arguments | changed))  # type: ignore[arg-type]


def test_an_id_is_a_uuid_8_that_carries_the_second() -> None:
    made = event_id(
        KEY, occurred_at_ms=1_760_000_000_999, provider_object="page", account="1", kind="k", native_id="n"
    )
    assert made.version == 8
    assert made.variant == "specified in RFC 4122"
    assert time_ms_of(made) == 1_760_000_000_000


def test_ids_do_not_depend_on_milliseconds_which_meta_drops_on_redelivery() -> None:
    assert make(occurred_at_ms=1_760_000_000_123) == make(occurred_at_ms=1_760_000_000_000)


@pytest.mark.parametrize(
    "changed",
    [
        {"occurred_at_ms": 1_760_000_001_000},
        {"occurred_at_ms": None},
        {"provider_object": "instagram"},
        {"account": "11"},
        {"kind": "message.sent"},
        {"native_id": "mid.2"},
        {"native_id": None},
        {"discriminator": ("1",)},
        {"discriminator": ("", "1")},
        {"native_id": "mid.", "discriminator": ("1",)},
    ],
)
def test_whatever_differs_gives_another_id(changed: dict[str, object]) -> None:
    assert make(**changed) != make()


def test_an_undated_event_has_time_bits_zero_and_sorts_before_all_dated_ones() -> None:
    undated = event_id(KEY, occurred_at_ms=None, provider_object="page", account="1", kind="k", native_id="n")
    assert time_ms_of(undated) is None
    assert undated < first_id_at(1000)


def test_partition_bounds_hold_every_id_of_their_time() -> None:
    made = event_id(
        KEY, occurred_at_ms=1_760_000_000_000, provider_object="page", account="1", kind="k", native_id="n"
    )
    assert first_id_at(1_760_000_000_000) <= made < first_id_at(1_760_000_001_000)
