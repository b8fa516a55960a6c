"""Control: only pinned signers are heard, under the record's own id, and the view says what the last record said."""

from __future__ import annotations

import os
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from contracts.control import (
    SIGNATURE,
    SIGNED_BY,
    AccountId,
    AccountRecord,
    Consent,
    ControlView,
    IdKind,
    SignerRecord,
    TenantRecord,
    TransportKeyRecord,
    app_scoped_user_hash,
    encode,
    encode_removal,
    pinned_signers,
    tenant_recipient,
)
from contracts.errors import TamperedRecord
from contracts.hybrid import HybridPrivateKey
from contracts.signing import KnownSigner, Right, Signer

CUSTODIAN = Signer.from_bytes("custodian", os.urandom(32))
STRANGER = Signer.from_bytes("stranger", os.urandom(32))
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
TENANT = uuid4()


def view() -> ControlView:
    return ControlView(pinned_signers({"custodian": b64encode(CUSTODIAN.public_raw).decode()}))


def account(state: str = "connected", page: str = "10") -> AccountRecord:
    return AccountRecord.model_validate(
        {
            "account": uuid4(),
            "tenant": TENANT,
            "product": "messenger",
            "ids": [{"kind": "page", "value": page}],
            "consent": {"state": "active", "since": NOW, "scopes": ["messaging"], "proof_ref": uuid4()},
            "state": state,
        }
    )


def test_a_record_of_a_pinned_signer_is_applied() -> None:
    seen = view()
    record = TenantRecord(
        tenant=TENANT, state="ready", slot="abcdefgh23", partitions=1, schema_name="t_abcdefgh"
    )
    seen.apply(*encode(record, CUSTODIAN))
    assert seen.tenants[TENANT] == record


def test_a_stranger_a_changed_value_another_key_or_name_is_refused_and_the_view_stays() -> None:
    record = TenantRecord(
        tenant=TENANT, state="ready", slot="abcdefgh23", partitions=1, schema_name="t_abcdefgh"
    )
    key, value, headers = encode(record, CUSTODIAN)
    seen = view()
    for given in (
        encode(record, STRANGER),
        (key, value.replace(b"ready", b"pause"), headers),
        (key + b"x", value, headers),
        (key, value, [pair for pair in headers if pair[0] != SIGNATURE]),
        (key, value, [(SIGNED_BY, b"stranger"), headers[1]]),
        (key, b"", headers),
        (key, None, headers),
        encode_removal(record.record_id, STRANGER),
        encode_removal(record.record_id, CUSTODIAN),
    ):
        with pytest.raises(TamperedRecord):
            seen.apply(*given)
    assert not seen.tenants


def test_a_record_signed_for_one_id_cannot_stand_under_another() -> None:
    first = TenantRecord(
        tenant=TENANT, state="ready", slot="abcdefgh23", partitions=1, schema_name="t_abcdefgh"
    )
    _, value, headers = encode(first, CUSTODIAN)
    with pytest.raises(TamperedRecord):
        view().apply(f"tenant/{uuid4()}".encode(), value, headers)


def test_no_control_record_can_replace_a_pinned_signer() -> None:
    seen = view()
    record = SignerRecord(
        name="custodian", public_key=b64encode(STRANGER.public_raw), may=frozenset({Right.SIGN_CONTROL})
    )
    seen.apply(*encode(record, CUSTODIAN))
    assert seen.signers["custodian"].public_raw == CUSTODIAN.public_raw


def test_a_signers_other_keys_are_believed_for_the_same_and_a_strangers_is_not() -> None:
    before, after = (Signer.from_bytes("erasure", bytes([number]) * 32) for number in (1, 2))
    may = frozenset({Right.SIGN_FENCES})

    def said(*others: Signer) -> KnownSigner:
        seen = view()
        record = SignerRecord(
            name="erasure",
            public_key=b64encode(after.public_raw),
            may=may,
            others=tuple(b64encode(one.public_raw) for one in others),
        )
        seen.apply(*encode(record, CUSTODIAN))
        return seen.signers["erasure"]

    known = said(before)
    for signer in (before, after):
        known.verify(signer.sign(b"message"), b"message", Right.SIGN_FENCES)
        with pytest.raises(TamperedRecord):
            known.verify(signer.sign(b"message"), b"message", Right.SIGN_CONTROL)
    with pytest.raises(TamperedRecord):
        known.verify(STRANGER.sign(b"message"), b"message", Right.SIGN_FENCES)
    with pytest.raises(TamperedRecord):
        said().verify(before.sign(b"message"), b"message", Right.SIGN_FENCES)


def test_a_signer_introduced_by_control_may_not_sign_control() -> None:
    seen = view()
    seen.apply(
        *encode(
            SignerRecord(
                name="stranger",
                public_key=b64encode(STRANGER.public_raw),
                may=frozenset({Right.SIGN_CONTROL}),
            ),
            CUSTODIAN,
        )
    )
    record = TenantRecord(
        tenant=TENANT, state="ready", slot="abcdefgh23", partitions=1, schema_name="t_abcdefgh"
    )
    with pytest.raises(TamperedRecord):
        seen.apply(*encode(record, STRANGER))


def test_accounts_are_found_by_each_id_while_connected() -> None:
    seen = view()
    one = account()
    seen.apply(*encode(one, CUSTODIAN))
    assert seen.accounts_named(IdKind.PAGE, "10") == (one,)
    assert seen.accounts_named(IdKind.INSTAGRAM, "10") == ()
    seen.apply(*encode(one.model_copy(update={"state": "disconnected"}), CUSTODIAN))
    assert seen.accounts_named(IdKind.PAGE, "10") == ()


def test_two_accounts_that_claim_one_id_are_both_shown() -> None:
    seen = view()
    one, two = account(), account()
    seen.apply(*encode(one, CUSTODIAN))
    seen.apply(*encode(two, CUSTODIAN))
    assert set(seen.accounts_named(IdKind.PAGE, "10")) == {one, two}


def test_the_sealing_key_is_the_youngest_active_and_fails_closed_past_its_end() -> None:
    seen = view()
    old, young = HybridPrivateKey.generate().public, HybridPrivateKey.generate().public
    for public, start in ((old, NOW - timedelta(days=1)), (young, NOW + timedelta(days=1))):
        seen.apply(
            *encode(
                TransportKeyRecord(
                    recipient=tenant_recipient(TENANT),
                    public_key=b64encode(public.raw),
                    active_from=start,
                    seal_until=start + timedelta(days=3),
                ),
                CUSTODIAN,
            )
        )
    recipient = tenant_recipient(TENANT)

    def key_at(days: float) -> bytes | None:
        chosen = seen.sealing_key(recipient, NOW + timedelta(days=days))
        return chosen[0].key_id if chosen else None

    assert key_at(-2) is None
    assert key_at(0) == old.key_id
    assert key_at(1.5) == young.key_id
    assert key_at(4) is None


def test_a_removed_transport_key_is_forgotten_and_no_other_with_it() -> None:
    seen = view()
    publics = [HybridPrivateKey.generate().public for _ in range(2)]
    records = [
        TransportKeyRecord(
            recipient=tenant_recipient(TENANT),
            public_key=b64encode(public.raw),
            active_from=NOW,
            seal_until=NOW + timedelta(days=day),
        )
        for day, public in enumerate(publics, start=1)
    ]
    for record in records:
        seen.apply(*encode(record, CUSTODIAN))
    assert seen.ended_transport_keys(NOW + timedelta(days=1, hours=1)) == (records[0],)
    assert seen.apply(*encode_removal(records[0].record_id, CUSTODIAN)) is None
    assert seen.transport_keys(tenant_recipient(TENANT)) == (records[1],)
    seen.apply(*encode_removal(records[0].record_id, CUSTODIAN))


def test_an_account_that_changes_its_ids_is_found_by_the_new_ones_alone() -> None:
    seen = view()
    one = account(page="10")
    seen.apply(*encode(one, CUSTODIAN))
    moved = one.model_copy(update={"ids": (AccountId(kind=IdKind.PAGE, value="11"),)})
    seen.apply(*encode(moved, CUSTODIAN))
    assert seen.accounts_named(IdKind.PAGE, "10") == ()
    assert seen.accounts_named(IdKind.PAGE, "11") == (moved,)


def test_an_app_scoped_id_stands_only_as_a_keyed_hash() -> None:
    key = os.urandom(32)
    hashed = app_scoped_user_hash(key, "demo", "1234567890")
    assert "1234567890" not in hashed
    assert hashed != app_scoped_user_hash(os.urandom(32), "demo", "1234567890")
    assert hashed != app_scoped_user_hash(key, "other", "1234567890")


def test_consent_and_ids_survive_the_wire() -> None:
    one = account()
    seen = view()
    seen.apply(*encode(one, CUSTODIAN))
    stored = seen.accounts[one.account]
    assert stored.ids == (AccountId(kind=IdKind.PAGE, value="10"),)
    assert isinstance(stored.consent, Consent)
    assert stored.consent.since == NOW


@pytest.mark.parametrize("by", [b"custodian", b"stranger", None, b"\xff"])
@pytest.mark.parametrize("signature", [b"s" * 64, b"", None])
@pytest.mark.parametrize("key", [b"", b"\xff", b"k" * 70_000])
@pytest.mark.parametrize("value", [None, b"", b"{}", b"\x00"])
def test_whatever_a_stranger_writes_is_refused_and_nothing_else(
    by: Any, signature: Any, key: bytes, value: bytes | None
) -> None:
    """Any other exception would stop every process that follows control, at every start again."""
    with pytest.raises(TamperedRecord):
        view().apply(key, value, [(SIGNED_BY, by), (SIGNATURE, signature)])


def test_an_older_record_of_an_account_does_not_bring_a_withdrawn_consent_back() -> None:
    before = account()
    consent = before.consent.model_copy(update={"state": "withdrawn"})
    after = before.model_copy(update={"consent": consent, "said_at": NOW + timedelta(seconds=1)})
    seen = view()
    seen.apply(*encode(before.model_copy(update={"said_at": NOW}), CUSTODIAN))
    seen.apply(*encode(after, CUSTODIAN))
    for said_at in (NOW, before.said_at):
        with pytest.raises(TamperedRecord):
            seen.apply(*encode(before.model_copy(update={"said_at": said_at}), CUSTODIAN))
        assert seen.accounts[after.account] == after
    seen.apply(*encode(after, CUSTODIAN))
