"""Receipts: any changed byte is refused with its reason, offline; and nothing in one could be of a person."""

import json
from base64 import b64encode
from datetime import date
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import receipt_words as words
from contracts import receipts
from contracts.canonical import canonical
from contracts.errors import PermanentError, ReceiptChanged, ReceiptSignerUnknown, ReceiptUnreadable
from contracts.receipts import ErasureReceipt, SignedReceipt, key_id, read_keys, sign, verify
from contracts.signing import Signer

SIGNER = Signer.from_bytes("receipts", b"r" * 32)
OTHER = Signer.from_bytes("receipts", b"o" * 32)
KEYS = {key_id(SIGNER.public_raw): SIGNER.public_raw}
AT = 1_790_000_000_000


def receipt(**changed: Any) -> ErasureReceipt:
    """A receipt of one person."""
    return ErasureReceipt(
        **{
            "protocol": UUID(int=7),
            "signer": key_id(SIGNER.public_raw),
            "kind": "subject",
            "origin": "operator",
            "parties": (
                receipts.ReceiptParty(role="controller", party="tenant", tenant=UUID(int=8)),
                receipts.ReceiptParty(role="operator", party="mkchannels"),
            ),
            "identity": "confirmed_by_operator",
            "requested_at_ms": AT,
            "received_at_ms": AT + 1,
            "decided_at_ms": AT + 2,
            "executed_at_ms": AT + 3,
            "live_erased_at_ms": AT + 4,
            "irrecoverable_on": date(2026, 9, 30),
            "due_on": None,
            "issued_at_ms": AT + 5,
            "subjects": (
                receipts.ErasedSubject(generation=1, watermark_s=AT // 1000, executed_at_ms=AT + 3),
            ),
            "erased": (receipts.ErasedCategory(category=words.Category.MESSAGES, count=200),),
            "removals": (
                receipts.Removal(
                    system=words.System.SUBJECT_KEYS, method=words.Method.KEY_DESTROYED, at_ms=AT + 3
                ),
                receipts.Removal(
                    system=words.System.RAW, method=words.Method.EXPIRES_ON, on=date(2026, 9, 30)
                ),
            ),
            "kept": (
                receipts.Kept(
                    what=words.KeptThing.FENCE, norms=(words.Norm.LGPD_16_I,), until=date(2027, 5, 1)
                ),
            ),
            "told": (receipts.Told(who=words.Audience.TENANT_READERS, at_ms=AT + 4),),
            "audit": receipts.AuditRoot(tree_size=9, root="ab" * 32),
            **changed,
        }
    )


FILE = sign(receipt(), SIGNER)


def test_a_receipt_verifies_offline_and_reads_back() -> None:
    assert verify(FILE, KEYS) == receipt()
    assert verify(FILE + b"\n", KEYS) == receipt()
    assert canonical(json.loads(FILE)) == FILE


def test_a_receipt_from_before_readers_were_counted_still_verifies() -> None:
    body = receipt(version=1).model_dump(mode="json")
    for one in body["told"]:
        del one["count"]
    signature = SIGNER.sign(b"mkchannels receipt v1\x00" + canonical(body)).hex()
    assert verify(canonical({"receipt": body, "signature": signature}), KEYS) == receipt(version=1)


def test_a_receipt_that_names_the_rows_of_backups_as_rows_still_verifies() -> None:
    rows = (
        receipts.Removal(system=words.System.ROWS, method=words.Method.ROW_DELETED, at_ms=AT + 3),
        receipts.Removal(system=words.System.ROWS, method=words.Method.EXPIRES_ON, on=date(2026, 9, 30)),
    )
    old = receipt(version=2, removals=rows)
    assert verify(sign(old, SIGNER), KEYS) == old


@given(st.integers(0, len(FILE) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused_with_its_reason(at: int, change: int) -> None:
    changed = bytearray(FILE)
    changed[at] ^= change
    with pytest.raises(PermanentError) as caught:
        verify(bytes(changed), KEYS)
    assert caught.value.code in ("receipt_unreadable", "receipt_signer_unknown", "receipt_changed")


@pytest.mark.parametrize("length", range(0, len(FILE), 97))
def test_a_cut_receipt_is_unreadable(length: int) -> None:
    with pytest.raises(ReceiptUnreadable):
        verify(FILE[:length], KEYS)


def test_another_spelling_of_the_same_receipt_is_unreadable() -> None:
    for other in (json.dumps(json.loads(FILE)).encode(), b" " + FILE, FILE + b"\n\n", FILE + b" "):
        with pytest.raises(ReceiptUnreadable):
            verify(other, KEYS)


def test_a_changed_value_is_another_content_and_another_key_is_unknown() -> None:
    told = json.loads(FILE)
    told["receipt"]["erased"][0]["count"] = 199
    with pytest.raises(ReceiptChanged):
        verify(canonical(told), KEYS)
    with pytest.raises(ReceiptSignerUnknown):
        verify(FILE, {key_id(OTHER.public_raw): OTHER.public_raw})
    with pytest.raises(ReceiptChanged):
        verify(FILE, {key_id(SIGNER.public_raw): OTHER.public_raw})


def test_a_member_more_is_refused_also_when_it_is_signed() -> None:
    body = {**json.loads(FILE)["receipt"], "name": "Maria"}
    signature = SIGNER.sign(b"mkchannels receipt v1\x00" + canonical(body)).hex()
    with pytest.raises(ReceiptUnreadable):
        verify(canonical({"receipt": body, "signature": signature}), KEYS)


def test_a_receipt_is_not_signed_under_another_keys_name() -> None:
    with pytest.raises(ValueError, match="another key"):
        sign(receipt(), OTHER)


def test_a_file_of_public_keys_may_hold_old_ones() -> None:
    lines = "\n".join(b64encode(one.public_raw).decode() for one in (SIGNER, OTHER))
    assert set(read_keys(lines)) == {key_id(SIGNER.public_raw), key_id(OTHER.public_raw)}
    for wrong in ("", "AAAA", "not base64!"):
        with pytest.raises(ValueError, match=r"keys|base64|Incorrect|characters|discontinuous|data"):
            read_keys(wrong)


def test_no_text_of_a_receipt_is_free_so_nothing_personal_fits() -> None:
    schema = SignedReceipt.model_json_schema()
    free: list[str] = []

    def walk(node: Any, path: str) -> None:
        if isinstance(node, list):
            for inner in node:
                walk(inner, path)
        elif isinstance(node, dict):
            is_text = node.get("type") == "string"
            if is_text and not {"enum", "const", "pattern", "format"} & node.keys():
                free.append(path)
            for name, inner in node.items():
                walk(inner, f"{path}/{name}")

    walk(schema, "")
    assert free == []
    for text in ("Maria Aparecida", "maria", "5531988714021", "f0" * 16):
        for changed in (
            {"origin": text},
            {"erased": ({"category": text, "count": 1},)},
            {"told": ({"who": text, "at_ms": 1},)},
            {"removals": ({"system": text, "method": "row_deleted"},)},
            {"kept": ({"what": "fence", "norms": (text,), "until": None},)},
        ):
            with pytest.raises(ValueError, match="Input should be"):
                receipt(**changed)
