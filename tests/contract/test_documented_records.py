"""Records made by the code itself are as the AsyncAPI document and the schemas say."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, get_args
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from contracts import audit_checkpoints, fences, outcomes, topics
from contracts.control import (
    ControlRecord,
    GrantRecord,
    IdKind,
    SignerRecord,
    SlotRecord,
    TransportKeyRecord,
    encode,
)
from contracts.erasure_requests import (
    AccountRequest,
    AnyRequest,
    CallbackRequest,
    Identifier,
    MessageRequest,
    SubjectRequest,
    parse_request,
)
from contracts.events.registry import EVENT_TYPES
from contracts.generate.asyncapi import channel_id
from contracts.generate.files import ASYNCAPI
from contracts.generate.history import ROOT, schemas_here
from contracts.generate.records import RECORDS
from contracts.grants import ForGrant, wrap_for_grant
from contracts.headers import MK_COUNT, MK_SIZE
from contracts.hybrid import HybridPrivateKey
from contracts.ledger import ExpiredLine, RawLine, TenantCounts
from contracts.merkle import Frontier, leaf_hash
from contracts.sealing import SealingEpoch
from contracts.signing import Right, Signer
from contracts.subject_erased import SUBJECT_ERASED, SubjectErased, announcement
from router.events import EventMaker, Types
from router.open import Origin, RawRecord
from router.quarantine import quarantine_record
from tests.support.batches import headers_of
from tests.unit.router.scene import NOW_MS, TENANT, account, item, tenant

Headers = Sequence[tuple[str, bytes]]

DOCUMENT: Final[dict[str, Any]] = json.loads((ROOT / ASYNCAPI).read_bytes())
SCHEMAS: Final = schemas_here()
DOCUMENT_URI: Final = "urn:asyncapi"
REGISTRY: Final[Registry[Any]] = Registry().with_resource(
    DOCUMENT_URI, Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
)
SIGNER: Final = Signer.from_bytes("router", b"r" * 32)
MESSENGER: Final = account([(IdKind.PAGE, "7001")])
TOPIC: Final = "mk.t.s.events.v1"


def _problems(message: str, headers: Headers) -> list[str]:
    """What the document says against these headers: missing, of another form, or not in it at all."""
    by_name = {name: value.decode("latin-1") for name, value in headers}
    schema = {"$ref": f"{DOCUMENT_URI}#/components/messages/{message}/headers"}
    validator = Draft202012Validator(schema, registry=REGISTRY)
    declared = DOCUMENT["components"]["messages"][message]["headers"]
    if "allOf" in declared:
        declared = DOCUMENT["components"]["schemas"]["event_headers"]
    extra = [f"{name} is not declared" for name in by_name if name not in declared["properties"]]
    return [error.message for error in validator.iter_errors(by_name)] + extra


@pytest.fixture(scope="module")
def epoch() -> SealingEpoch:
    """Of the router, for one tenant."""
    return SealingEpoch.begin(
        recipient=HybridPrivateKey.generate().public,
        tenant=TENANT,
        topic=TOPIC,
        signer=SIGNER,
        now_s=NOW_MS // 1000,
        epoch_key=b"e" * 32,
    )


@pytest.fixture
def maker() -> EventMaker:
    """Makes events of every type."""
    schemas = {name: kind.dataschema.encode() for name, kind in EVENT_TYPES.items()}
    return EventMaker(tenant(partitions=8), bytes(32), Types(schemas))


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_an_events_headers_are_those_of_its_message(
    name: str, maker: EventMaker, epoch: SealingEpoch
) -> None:
    dated = maker.make(item(event_type=name), MESSENGER, NOW_MS)
    bare = item(event_type=name, occurred_at_ms=None, conversation=None, message_id=None, aliases=())
    undated = maker.make(bare, MESSENGER, NOW_MS)
    for event in (dated, undated):
        assert _problems(name, [*headers_of(event.headers, event.header_count), *epoch.headers]) == []


def test_headers_of_another_type_incomplete_or_unheard_of_are_not(
    maker: EventMaker, epoch: SealingEpoch
) -> None:
    event = maker.make(item(), MESSENGER, NOW_MS)
    headers = [*headers_of(event.headers, event.header_count), *epoch.headers]
    assert _problems("message.sent", headers)
    assert _problems("message.received", headers[1:])
    assert _problems("message.received", [*headers, ("mk_new", b"")]) == ["mk_new is not declared"]


def test_a_notices_headers_and_value_are_as_documented(epoch: SealingEpoch) -> None:
    erased = SubjectErased(
        request=UUID(int=5),
        tenant=TENANT,
        pseudonyms=("0" * 32,),
        watermark_s=NOW_MS // 1000,
        executed_at_ms=NOW_MS,
    )
    _, headers, value = announcement(erased)
    assert _problems(SUBJECT_ERASED, [*headers, *epoch.headers]) == []
    assert _fits(SUBJECT_ERASED, value)


def test_a_quarantined_records_headers_are_as_documented(epoch: SealingEpoch) -> None:
    raw = [(MK_COUNT, b"1"), (MK_SIZE, b"120"), *epoch.headers]
    assert _problems("raw_block", raw) == []
    record = RawRecord(topic=topics.RAW, partition=0, offset=7, timestamp_ms=NOW_MS, value=b"MW", headers=raw)
    origin = Origin(received_at_ms=NOW_MS)
    _, _, headers = quarantine_record(record, origin, [("entry[0]", "defect")], SIGNER)
    assert _problems(channel_id(topics.QUARANTINE_RAW), headers) == []
    assert _problems("raw_block", headers) == [], "as it is put back"


def _fits(name: str, value: bytes) -> bool:
    version = next(record.version for record in RECORDS if record.name == name)
    return Draft202012Validator(SCHEMAS[name, version]).is_valid(json.loads(value))


def test_control_records_are_as_documented() -> None:
    custodian = Signer.from_bytes("custodian", b"c" * 32)
    public = HybridPrivateKey.generate().public.raw
    at = datetime.fromtimestamp(NOW_MS / 1000, UTC)

    records: dict[str, ControlRecord] = {
        "control.signer": SignerRecord(
            name="router", public_key=b64encode(SIGNER.public_raw), may=frozenset({Right.SEAL_TENANT})
        ),
        "control.transport_key": TransportKeyRecord(
            recipient=f"tenant/{TENANT}", public_key=b64encode(public), active_from=at, seal_until=at
        ),
        "control.slot": SlotRecord(slot="s", partitions=1, state="bound", tenant=TENANT),
        "control.tenant": tenant(),
        "control.account": MESSENGER,
        "control.grant": GrantRecord(
            grant=UUID(int=9),
            tenant=TENANT,
            reader="reader-crm",
            state="active",
            since=at,
            until=at,
            public_key=b64encode(public),
        ),
    }
    assert {type(record) for record in records.values()} == set(get_args(ControlRecord))
    for name, record in records.items():
        _, value, headers = encode(record, custodian)
        assert _fits(name, value), name
        assert _problems(name, headers) == []


def test_a_grants_key_is_as_documented() -> None:
    custodian, public = Signer.from_bytes("custodian", b"c" * 32), HybridPrivateKey.generate().public
    at = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    target = ForGrant(UUID(int=9), TENANT, "mk.t.s.keys.v1", public)
    _, value, headers = wrap_for_grant(HybridPrivateKey.generate(), target, at, at, custodian)
    assert _fits("grant.key", value)
    assert _problems("grant.key", headers) == []


def test_ledger_lines_are_as_documented() -> None:
    counts = TenantCounts(events=1, quarantined={"defect": 1}, refused={"no_consent": 2})
    line = RawLine(
        topic=topics.RAW, partition=0, offset=1, deliveries=1, items=4, tenants={str(TENANT): counts}
    )
    gap = ExpiredLine(topic=TOPIC, partition=0, first_offset=1, next_offset=9)
    for name, record in (("ledger.raw", line), ("ledger.expired_unread", gap)):
        assert _fits(name, record.model_dump_json().encode()), name
        assert not _fits(name, b"{}")


REQUESTS: Final = (
    MessageRequest(
        request=UUID(int=5),
        tenant=TENANT,
        account=UUID(int=6),
        cause=UUID(int=7),
        reason="unsent",
        message_ref="0" * 32,
        received_at_ms=NOW_MS,
    ),
    AccountRequest(
        request=UUID(int=5),
        tenant=TENANT,
        account=UUID(int=6),
        cause=UUID(int=7),
        reason="account_removed",
        received_at_ms=NOW_MS,
    ),
    SubjectRequest(
        request=UUID(int=5),
        tenant=TENANT,
        identifiers=(Identifier(kind="phone", value="5511999990000"),),
        reason="operator",
        asked_by="op",
        requested_at_ms=NOW_MS,
        received_at_ms=NOW_MS,
    ),
    CallbackRequest(
        request=UUID(int=5),
        callback="data_deletion",
        app="demo",
        user_id="1",
        issued_at_s=NOW_MS // 1000,
        received_at_ms=NOW_MS,
    ),
)


def test_erasure_requests_of_every_kind_are_as_documented_and_read_back() -> None:
    assert {type(request) for request in REQUESTS} == set(get_args(AnyRequest))
    for request in REQUESTS:
        value = request.model_dump_json().encode()
        assert _fits("erasure.request", value), request.kind
        assert parse_request(value) == request
    assert not _fits("erasure.request", b"{}")


def test_fences_outcomes_and_checkpoints_are_as_documented() -> None:
    erasure = Signer.from_bytes("erasure", b"e" * 32)
    fence = fences.Fence(
        request=UUID(int=5),
        tenant=TENANT,
        subject=UUID(int=8),
        pseudonyms=("0" * 32,),
        generation=1,
        watermark_s=NOW_MS // 1000,
        executed_at_us=NOW_MS * 1000,
    )
    outcome = outcomes.Outcome(
        request=UUID(int=5),
        tenant=TENANT,
        kind="subject",
        origin="operator",
        state=outcomes.State.DECIDED,
        at_ms=NOW_MS,
        requested_at_ms=NOW_MS,
        received_at_ms=NOW_MS,
    )
    tree = Frontier()
    tree.append(leaf_hash(b"{}"))
    checkpoint = audit_checkpoints.checkpoint_of(tree, [leaf_hash(b"{}")], NOW_MS)
    signed = {
        "audit.checkpoint": audit_checkpoints.encode(checkpoint, erasure),
        "erasure.fence": fences.encode(fence, erasure),
        "erasure.outcome": outcomes.encode(outcome, erasure),
    }
    for name, (_, value, headers) in signed.items():
        assert _fits(name, value), name
        assert _problems(name, headers) == [], name
