"""Reading an event's sealed headers."""

from uuid import UUID

import pytest

from contracts.errors import ContractViolation, PermanentError, TamperedRecord, TimeOutOfRange
from contracts.ids import event_id
from store.lanes.event import UNDECLARED, KnownType, TenantEvent, read_event
from store.lanes.event_types import known_type

CONVERSATION = bytes(range(16))
GOOD = {
    "ce_id": str(
        event_id(
            b"k" * 32,
            occurred_at_ms=1_700_000_000_999,
            provider_object="page",
            account="1",
            kind="message",
            native_id="m",
        )
    ).encode(),
    "ce_type": b"message.received",
    "ce_subject": CONVERSATION.hex().encode(),
    "ce_dataschema": b"urn:mkchannels:event:message.received:3",
    "mk_account": str(UUID(int=5)).encode(),
    "mk_dir": b"i",
    "mk_received_at": b"1700000001234",
    "mk_person": b"%s,%s" % (b"aa" * 16, b"bb" * 16),
    "mk_ref": b"cc" * 16,
}


def read(**changes: bytes | None) -> TenantEvent:
    headers = {name: value for name, value in (GOOD | changes).items() if value is not None}
    return read_event(CONVERSATION, headers, b"{}", known_type)


def test_every_header_finds_its_place() -> None:
    event = read()
    assert (event.occurred_s, event.schema_version, event.direction) == (1_700_000_000, 3, "i")
    assert event.received_at.microsecond == 234_000
    assert event.persons == (b"\xaa" * 16, b"\xbb" * 16)
    assert event.message_ref == b"\xcc" * 16
    assert event.opens_generation
    assert event.retention == "conversation"


def test_nobody_named_and_no_message_id_are_normal() -> None:
    event = read(mk_person=b"", mk_ref=None)
    assert event.persons == ()
    assert event.message_ref is None


@pytest.mark.parametrize(
    "changes",
    [
        {"ce_id": b"1"}, {"ce_id": None}, {"ce_type": b""}, {"ce_type": b"\xff"}, {"ce_subject": b"00"},
        {"ce_dataschema": b"urn:other"}, {"mk_account": b"x"}, {"mk_dir": b"x"}, {"mk_received_at": b"soon"},
        {"mk_received_at": b"9" * 30}, {"mk_person": b"aa"}, {"mk_person": b"zz" * 16}, {"mk_ref": b"aa"},
        {"mk_person": b",".join([b"%032x" % number for number in range(65)])},
    ],
)  # fmt: skip
def test_headers_that_cannot_be_read_are_a_contract_violation(changes: dict[str, bytes | None]) -> None:
    with pytest.raises(ContractViolation):
        read(**changes)


@pytest.mark.parametrize(
    ("received_s", "fits"), [(-301, False), (-299, True), (190 * 86_400, True), (190 * 86_400 + 2, False)]
)
def test_an_id_outside_the_window_is_set_aside_and_its_edges_are_inside(received_s: int, fits: bool) -> None:
    """A table partition for it will never come: it must not be waited for."""
    received = b"%d" % (1_700_000_000_999 + received_s * 1000)
    if fits:
        read(mk_received_at=received)
    else:
        with pytest.raises(TimeOutOfRange):
            read(mk_received_at=received)


def test_a_key_that_is_not_the_conversation_is_tampering_and_a_lost_one_is_not() -> None:
    with pytest.raises(TamperedRecord):
        read_event(b"k" * 16, GOOD, b"{}", known_type)
    assert isinstance(read_event(None, GOOD, b"{}", known_type), TenantEvent)


def test_a_type_of_a_newer_router_opens_no_generation() -> None:
    event = read(ce_type=b"not.yet.known", ce_dataschema=b"urn:mkchannels:event:not.yet.known:1")
    assert KnownType(event.opens_generation, event.retention) == UNDECLARED


def test_no_header_content_stands_in_the_error_or_the_repr() -> None:
    with pytest.raises(PermanentError) as caught:
        read(mk_person=b"secret")
    assert "secret" not in str(caught.value)
    assert "aa" * 16 not in repr(read())
    assert r"\xaa" not in repr(read())
