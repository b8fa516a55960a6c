"""The published vectors are what the generator makes and what the code does, wrong ones included."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from contracts import block, control, ids, pseudonyms
from contracts.errors import ContractViolation, PermanentError, ServiceError, TamperedRecord
from contracts.events.registry import EVENT_TYPES
from contracts.grants import GrantedKey, open_grant_key
from contracts.headers import sealed_digest, verify_q_facts
from contracts.hybrid import HybridPrivateKey
from contracts.reader import (
    Erased,
    Event,
    EventOpener,
    Keyring,
    KnownErasures,
    Reading,
    SubjectErased,
    Unavailable,
)
from contracts.sealing import EpochStatement
from contracts.signing import KnownSigner, Right
from contracts.vectors.cast import FOLDER
from contracts.vectors.make import files, rendered

Json = dict[str, Any]


def load(name: str) -> Json:
    content: Json = json.loads((FOLDER / name).read_text())
    return content


KEYS = load("keys.json")
RECORDS, ERASURE = load("record.json"), load("erasure.json")
SIGNERS = {
    name: KnownSigner(name, bytes.fromhex(one["public"]), frozenset(map(Right, one["may"])))
    for name, one in KEYS["signers"].items()
    if name != "mallory"
}
HALVES = [bytes.fromhex(KEYS["recipients"][name]["private"]) for name in ("acme", "other")]


def each(name: str, group: str) -> list[Any]:
    return [
        pytest.param(one, id=str(one.get("because") or one.get("name") or index))
        for index, one in enumerate(load(name)[group])
    ]


def opener(tenant: str) -> EventOpener:
    return EventOpener(Keyring(HALVES), SIGNERS.get, tenant=UUID(tenant), erased=KnownErasures())


def read(case: Json, shared: Json, by: EventOpener) -> Reading:
    def raw(text: str) -> bytes:
        return bytes.fromhex(shared[text] if text.startswith("=") else text)

    return by.open(
        case["topic"],
        raw(case["value"]),
        [(name, raw(value)) for name, value in case["headers"]],
        case["broker_time_ms"] / 1000,
        key=None if case["key"] is None else bytes.fromhex(case["key"]),
        now_s=None if case["now_ms"] is None else case["now_ms"] / 1000,
    )


def described(reading: Reading) -> Json:
    """In the words of the vectors."""
    match reading:
        case Event():
            return {
                "event": {
                    "id": str(reading.id),
                    "type": reading.type,
                    "version": reading.version,
                    "tenant": str(reading.tenant),
                    "account": str(reading.account),
                    "source": reading.source,
                    "direction": reading.direction,
                    "occurred_at": reading.occurred_at
                    and reading.occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    "received_at_ms": round(reading.received_at.timestamp() * 1000),
                    "conversation": reading.conversation.hex(),
                    "persons": [one.hex() for one in reading.persons],
                    "message_ref": reading.message_ref and reading.message_ref.hex(),
                    "is_replay": reading.is_replay,
                    "data": reading.raw.decode(),
                }
            }
        case Erased():
            return {
                "erased": {
                    "id": str(reading.id),
                    "type": reading.type,
                    "request": str(reading.request),
                    "pseudonyms": [one.hex() for one in reading.pseudonyms],
                }
            }
        case SubjectErased():
            return {"subject_erased": reading.model_dump(mode="json")}
        case Unavailable():
            return {"unavailable": reading.reason}


def test_the_committed_vectors_are_what_the_generator_makes() -> None:
    made = {name: rendered(content) for name, content in files().items()}
    assert set(made) == {path.name for path in FOLDER.glob("*.json")}
    for name, text in made.items():
        assert (FOLDER / name).read_text() == text, name


@pytest.mark.parametrize("case", each("record.json", "good") + each("record.json", "refused"))
def test_a_record_reads_as_published(case: Json) -> None:
    by = opener(case["tenant"])
    expected = case["reads"]
    if "error" not in expected:
        reading = read(case, RECORDS["shared"], by)
        assert described(reading) == expected
        if isinstance(reading, Event):
            assert reading.is_typed is (reading.type in EVENT_TYPES and reading.version < 1000)
        return
    with pytest.raises(ServiceError) as caught:
        read(case, RECORDS["shared"], by)
    assert caught.value.code == expected["error"]


def test_every_refused_record_is_also_refused_once_its_epoch_is_known() -> None:
    by = opener(KEYS["tenants"]["acme"])
    read(RECORDS["good"][0], RECORDS["shared"], by)
    mine = [case for case in RECORDS["refused"] if case["tenant"] == KEYS["tenants"]["acme"]]
    assert len(mine) > 100
    for case in mine:
        with pytest.raises(PermanentError) as caught:
            read(case, RECORDS["shared"], by)
        assert caught.value.code == case["reads"]["error"], case["name"]


def test_the_refused_records_differ_and_say_why() -> None:
    names = [case["name"] for case in RECORDS["refused"] + RECORDS["good"]]
    assert len(set(names)) == len(names)
    for case in RECORDS["refused"]:
        assert case["reads"]["error"] in ("tampered", "contract_violation", "replay_limit"), case["name"]


def test_events_of_an_erased_person_read_as_erased() -> None:
    by = opener(KEYS["tenants"]["acme"])
    for case in ERASURE["sequence"]:
        assert described(read(case, ERASURE["shared"], by)) == case["reads"], case["name"]


@pytest.mark.parametrize("case", each("statement.json", "good"))
def test_a_statement_is_encoded_as_published(case: Json) -> None:
    raw = bytes.fromhex(case["encoded"])
    statement = EpochStatement.decode(raw)
    assert statement.encode() == raw
    for name in ("topic", "signer", "not_before_s", "not_after_s"):
        assert getattr(statement, name) == case[name]
    assert (statement.recipient_key_id.hex(), str(statement.tenant)) == (
        case["recipient_key_id"],
        case["tenant"],
    )
    message = b"mkchannels epoch signature v1\x00" + raw + bytes.fromhex(case["ek_key"])
    SIGNERS[case["signer"]].verify(bytes.fromhex(case["ek_sig"]), message, Right.SEAL_TENANT)


@pytest.mark.parametrize("case", each("statement.json", "refused"))
def test_a_wrong_statement_is_refused(case: Json) -> None:
    with pytest.raises(TamperedRecord):
        EpochStatement.decode(bytes.fromhex(case["encoded"]))


@pytest.mark.parametrize("case", each("hpke.json", "good"))
def test_a_sealed_epoch_key_opens(case: Json) -> None:
    private = HybridPrivateKey.from_bytes(bytes.fromhex(case["private"]))
    opened = private.open(bytes.fromhex(case["sealed"]), bytes.fromhex(case["info"]))
    assert opened.hex() == case["plaintext"]


def _headers(case: Json) -> list[tuple[str, bytes]]:
    return [(name, bytes.fromhex(value)) for name, value in case["headers"]]


@pytest.mark.parametrize("case", each("header_digest.json", "good"))
def test_headers_hash_as_published(case: Json) -> None:
    assert sealed_digest(case["topic"], _headers(case)).hex() == case["digest"]


@pytest.mark.parametrize("case", each("header_digest.json", "refused"))
def test_doubled_headers_do_not_hash(case: Json) -> None:
    with pytest.raises(TamperedRecord):
        sealed_digest(case["topic"], _headers(case))


@pytest.mark.parametrize("case", each("q_facts.json", "good"))
def test_added_facts_verify(case: Json) -> None:
    facts = verify_q_facts(bytes.fromhex(case["value"]), _headers(case), SIGNERS.get, Right.QUARANTINE_TENANT)
    assert facts["q_sig"].hex() == case["signature"]
    SIGNERS["store"].verify(facts["q_sig"], bytes.fromhex(case["message"]), Right.QUARANTINE_TENANT)


@pytest.mark.parametrize("case", each("pseudonym.json", "good"))
def test_a_pseudonym_is_as_published(case: Json) -> None:
    domain = pseudonyms.Domain(case["domain"].encode())
    key = bytes.fromhex(KEYS["pseudonym_key"])
    assert pseudonyms.pseudonym(key, domain, case["value"]).hex() == case["pseudonym"]


def test_phone_numbers_have_the_published_forms() -> None:
    for case in load("pseudonym.json")["phone_forms"]:
        assert list(pseudonyms.phone_forms(case["phone"])) == case["forms"]


@pytest.mark.parametrize("case", each("event_id.json", "good"))
def test_an_event_id_is_as_published(case: Json) -> None:
    made = ids.event_id(
        bytes.fromhex(KEYS["pseudonym_key"]),
        occurred_at_ms=case["occurred_at_ms"],
        provider_object=case["object"],
        account=case["account"],
        kind=case["kind"],
        native_id=case["native_id"],
        discriminator=case["discriminator"],
    )
    assert str(made) == case["id"]


@pytest.mark.parametrize("case", each("block.json", "good"))
def test_a_block_unpacks_as_published(case: Json) -> None:
    found = block.unpack(bytes.fromhex(case["compressed"]), case["size"], case["count"])
    assert [(one.app, one.received_at_ms, one.body.hex()) for one in found] == [
        (one["app"], one["received_at_ms"], one["body"]) for one in case["deliveries"]
    ]


@pytest.mark.parametrize("case", each("block.json", "refused"))
def test_a_wrong_block_is_refused(case: Json) -> None:
    with pytest.raises(TamperedRecord):
        block.unpack(bytes.fromhex(case["compressed"]), case["size"], case["count"])


def _control(case: Json) -> control.ControlRecord:
    headers = [("by", case["by"].encode()), ("sig", bytes.fromhex(case["sig"]))]
    pinned = {"custodian": SIGNERS["custodian"]}
    record = control.decode(bytes.fromhex(case["key"]), bytes.fromhex(case["value"]), headers, pinned)
    assert record is not None
    return record


@pytest.mark.parametrize("case", each("control.json", "good"))
def test_a_control_record_verifies(case: Json) -> None:
    assert _control(case).record_id.encode().hex() == case["key"]


@pytest.mark.parametrize("case", each("control.json", "refused"))
def test_a_wrong_control_record_is_refused(case: Json) -> None:
    with pytest.raises((TamperedRecord, ContractViolation)):
        _control(case)


def _grant_key(case: Json) -> GrantedKey:
    reader = HybridPrivateKey.from_bytes(
        bytes.fromhex(KEYS["recipients"][load("grant.json")["reader"]]["private"])
    )
    headers = [("by", case["by"].encode()), ("sig", bytes.fromhex(case["sig"]))]
    value = case["value"].encode()
    return open_grant_key(case["topic"], bytes.fromhex(case["key"]), value, headers, reader, SIGNERS.get)


@pytest.mark.parametrize("case", each("grant.json", "good"))
def test_a_grants_key_opens(case: Json) -> None:
    assert _grant_key(case).private.raw.hex() == case["private"]


@pytest.mark.parametrize("case", each("grant.json", "refused"))
def test_a_wrong_grants_key_is_refused(case: Json) -> None:
    with pytest.raises(TamperedRecord):
        _grant_key(case)
