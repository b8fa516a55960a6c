"""A wrapped transport key opens for its reader, as its grant's, under its topic: and in no other place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest

from contracts.access import (
    READER_NAME,
    Operation,
    Permit,
    Resource,
    grant_permits,
    groups_of,
    static_permits,
)
from contracts.control import ControlView, GrantRecord, encode
from contracts.errors import AccessRefused, BrokerUnavailable, TamperedRecord, broker_error
from contracts.grants import ForGrant, open_grant_key, wrap_for_grant
from contracts.headers import Headers
from contracts.hybrid import HybridPrivateKey
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Right, Signer

NOW = datetime(2026, 11, 26, tzinfo=UTC)
TOPIC = "mk.t.abcdefgh23.keys.v1"
READER, OTHER_READER = HybridPrivateKey.generate(), HybridPrivateKey.generate()
DAY = HybridPrivateKey.generate()
TARGET = ForGrant(UUID(int=1), UUID(int=2), TOPIC, READER.public)
CUSTODIAN = Signer.from_bytes("custodian", b"c" * 32)
ROUTER = Signer.from_bytes("router", b"r" * 32)
SIGNERS = {
    one.name: KnownSigner(one.name, one.public_raw, RIGHTS_BY_PROCESS[one.name])
    for one in (CUSTODIAN, ROUTER)
}


def wrapped(target: ForGrant = TARGET, by: Signer = CUSTODIAN) -> tuple[bytes, bytes, Headers]:
    return wrap_for_grant(DAY, target, NOW, NOW + timedelta(days=4), by)


def test_it_opens_for_whom_it_was_wrapped() -> None:
    key, value, headers = wrapped()
    opened = open_grant_key(TOPIC, key, value, headers, READER, SIGNERS.get)
    assert opened.private.raw == DAY.raw
    assert (opened.grant, opened.tenant) == (TARGET.grant, TARGET.tenant)
    assert opened.seal_until_ms == int((NOW + timedelta(days=4)).timestamp() * 1000)
    assert DAY.raw.hex() not in repr(opened)


@pytest.mark.parametrize("what", ["topic", "key", "value", "reader", "signer", "unsigned"])
def test_moved_or_changed_it_does_not_open(what: str) -> None:
    key, value, headers = wrapped(by=ROUTER if what == "signer" else CUSTODIAN)
    topic, reader = TOPIC, READER
    match what:
        case "topic":
            topic = "mk.t.otherslot2.keys.v1"
        case "key":
            key = UUID(int=9).bytes
        case "value":
            value = value.replace(b'"seal_until_ms":17', b'"seal_until_ms":18')
        case "reader":
            reader = OTHER_READER
        case "unsigned":
            headers = []
    with pytest.raises(TamperedRecord):
        open_grant_key(topic, key, value, headers, reader, SIGNERS.get)


@pytest.mark.parametrize("field", ["tenant", "grant", "seal_until_ms", "key_id"])
def test_what_the_custodian_itself_says_of_another_wrapping_does_not_open(field: str) -> None:
    """HPKE's info holds all of it: a re-signed record of which one part is another's opens nothing."""
    key, value, _ = wrapped()
    changed = orjson.loads(value)
    changed[field] = {
        "tenant": str(UUID(int=7)),
        "grant": str(UUID(int=8)),
        "seal_until_ms": changed["seal_until_ms"] + 1,
        "key_id": "00000000",
    }[field]
    key = UUID(changed["grant"]).bytes
    value = orjson.dumps(changed)
    name, where = b"custodian", TOPIC.encode()
    message = b"".join(
        (
            b"mkchannels grant key v1\x00",
            *(len(part).to_bytes(2) + part for part in (name, where, key)),
            value,
        )
    )
    headers = [("by", name), ("sig", CUSTODIAN.sign(message))]
    with pytest.raises(TamperedRecord, match="does not open"):
        open_grant_key(TOPIC, key, value, headers, READER, SIGNERS.get)


def test_every_byte_of_the_record_counts() -> None:
    key, value, headers = wrapped()
    for position in range(0, len(value), 7):
        changed = bytearray(value)
        changed[position] ^= 1
        with pytest.raises(TamperedRecord):
            open_grant_key(TOPIC, key, bytes(changed), headers, READER, SIGNERS.get)


def test_a_grant_that_ended_does_not_begin_again() -> None:
    may = frozenset({Right.SIGN_CONTROL})
    view = ControlView({"custodian": KnownSigner("custodian", CUSTODIAN.public_raw, may)})
    active = GrantRecord(
        grant=UUID(int=1), tenant=UUID(int=2), reader="reader-a", state="active", since=NOW, until=NOW
    )
    view.apply(*encode(active, CUSTODIAN))
    view.apply(*encode(active.model_copy(update={"state": "ended"}), CUSTODIAN))
    with pytest.raises(TamperedRecord):
        view.apply(*encode(active, CUSTODIAN))
    assert view.grants[active.grant].state == "ended"


def test_a_grant_opens_two_topics_and_its_own_groups_only() -> None:
    permits = grant_permits("reader-crm", "abcdefgh23")
    assert permits == {
        Permit("reader-crm", Operation.READ, Resource.TOPIC, "mk.t.abcdefgh23.events.v1"),
        Permit("reader-crm", Operation.READ, Resource.TOPIC, "mk.t.abcdefgh23.keys.v1"),
        Permit("reader-crm", Operation.READ, Resource.GROUP, "reader-crm.", is_prefix=True),
    }
    assert all(one.is_kept_by_custodian for one in permits)


@pytest.mark.parametrize("name", ["router", "reader", "admin", "reader-", "reader-a.b", "reader-A", "mk"])
def test_no_reader_is_named_like_a_process_or_begins_anothers_groups(name: str) -> None:
    assert READER_NAME.fullmatch(name) is None
    with pytest.raises(ValueError, match="not a reader"):
        grant_permits(name, "abcdefgh23")


def test_nobody_but_the_custodian_alters_and_no_process_reads_and_writes_everything() -> None:
    permits = static_permits()
    assert {one.principal for one in permits if one.operation is Operation.ALTER} == {"custodian"}
    wide = [one for one in permits if one.is_prefix and one.resource is Resource.TOPIC]
    assert all(one.operation not in (Operation.READ, Operation.WRITE) for one in wide)
    assert not any(one.is_kept_by_custodian for one in permits)


def test_erasure_sees_the_groups_of_every_reader_and_of_nobody_else_and_joins_none() -> None:
    groups = {
        one for one in static_permits() if one.principal == "erasure" and one.resource is Resource.GROUP
    }
    sees = {one for one in groups if one.operation is Operation.DESCRIBE and one.is_prefix}
    assert {one.name for one in sees} == {"reader-"}
    assert all(groups_of(reader).startswith("reader-") for reader in ("reader-a", "reader-crm"))
    reads = {one.name for one in groups if one.operation is Operation.READ}
    assert not any(name.startswith("reader-") for name in reads)
    assert not any(
        one.principal == "erasure" and one.resource is Resource.CLUSTER for one in static_permits()
    )


def test_a_refusal_of_the_broker_is_told_from_its_absence() -> None:
    class Denied(Exception):
        errno = 29

    assert isinstance(broker_error(Denied(), "x"), AccessRefused)
    assert type(broker_error(OSError(29, "seek"), "x")) is BrokerUnavailable
    assert type(broker_error(Exception(), "x")) is BrokerUnavailable


def test_a_target_says_nothing_of_keys() -> None:
    assert READER.public.raw.hex()[:32] not in repr(replace(TARGET))
