"""The reader without Kafka: values instead of exceptions for what is normal, and nothing personal in a repr."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ContractViolation, KeyNotYetKnown, TamperedRecord
from contracts.events.declaration import Family, RetentionClass, Scope
from contracts.events.event import PUBLIC
from contracts.events.event import Event as EventData
from contracts.events.message import MessageReceived, MessageSent
from contracts.reader import (
    Erased,
    Event,
    EventOpener,
    KeyFolder,
    Keyring,
    KnownErasures,
    RecentIds,
    SubjectErased,
    Unavailable,
    open_event,
    pinned,
)
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner
from contracts.subject_erased import announcement
from contracts.vectors.cast import ACME, RECIPIENTS, SIGNERS, T0_S, TOPIC, Cast
from contracts.vectors.records import DATA, MARIA, RECORD_MS, Case, announced, event_headers, sealed

CAST = Cast()
LOOKUP = {
    name: KnownSigner(name, SIGNERS[name].public_raw, RIGHTS_BY_PROCESS[name])
    for name in ("router", "erasure", "store")
}.get
HALF = RECIPIENTS["acme"].raw
NOTICE = announcement(announced())
ERASURE = sealed("n", CAST.erasure, *NOTICE, {})


def opener(erased: KnownErasures | None = None) -> EventOpener:
    return EventOpener(Keyring([HALF]), LOOKUP, tenant=ACME, erased=erased)


def read(by: EventOpener, case: Case, now_s: float | None = None) -> object:
    return by.open(
        case.topic, case.value, case.headers, case.broker_time_ms / 1000, key=case.key, now_s=now_s
    )


def message(
    name: str = "a message", kind: str = "message.received", version: int = 1, data: bytes = DATA
) -> Case:
    return sealed(name, CAST.router, *event_headers(kind, version), data)


def test_an_event_has_its_types_model_and_its_json() -> None:
    event = read(opener(), message())
    assert isinstance(event, Event)
    assert event.data_as(MessageReceived).message.text == "Olá"
    assert event.json()["fragment"]["id"] == "wamid.ONE"
    assert event.occurred_at is not None
    assert event.occurred_at.timestamp() == T0_S + 1.5
    with pytest.raises(ContractViolation):
        event.data_as(MessageSent)


def test_fields_added_by_a_later_release_are_ignored_and_kept_in_the_json() -> None:
    later = DATA[:-1] + b',"mood":"cheerful"}'
    event = read(opener(), message(data=later))
    assert isinstance(event, Event)
    assert event.is_typed
    assert event.json()["mood"] == "cheerful"


@pytest.mark.parametrize(("kind", "version"), [("parcel.arrived", 1), ("message.received", 9_999)])
def test_a_type_or_version_of_a_later_release_is_delivered_untyped(kind: str, version: int) -> None:
    event = read(opener(), message(kind=kind, version=version, data=b'{"parcel":7}'))
    assert isinstance(event, Event)
    assert (event.is_typed, event.type, event.version, event.json()) == (False, kind, version, {"parcel": 7})


class ParcelSent(EventData):
    """A parcel went off."""

    parcel: Annotated[int, PUBLIC]


class ParcelArrived(EventData):
    """A parcel arrived."""

    parcels: Annotated[tuple[int, ...], PUBLIC]


def test_events_of_an_earlier_version_read_by_the_model_they_were_written_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    family = Family("bring parcels", RetentionClass.CONVERSATION, Scope.MESSAGING)
    kind = family.declare("parcel.arrived", ParcelArrived, "nowhere", version=2, past={1: ParcelSent})
    monkeypatch.setattr("contracts.reader.open.EVENT_TYPES", {kind.name: kind})
    around = b'{"direction":"inbound","account":null,"person":null,"fragment":{},"envelope":{},'
    for version, own, model in (
        (1, b'"parcel":7}', ParcelSent),
        (2, b'"parcels":[7]}', ParcelArrived),
        (3, b'"crates":7}', None),
    ):
        event = read(opener(), message(kind=kind.name, version=version, data=around + own))
        assert isinstance(event, Event)
        assert (event.version, type(event.data)) == (version, model or type(None))
    for version, own in ((1, b'"parcels":[7]}'), (2, b'"parcel":7}')):
        with pytest.raises(ContractViolation):
            read(opener(), message(kind=kind.name, version=version, data=around + own))


def test_a_version_is_not_raised_without_a_model_for_each_before_it() -> None:
    family = Family("bring parcels", RetentionClass.CONVERSATION, Scope.MESSAGING)
    wrong: tuple[tuple[int, dict[int, type[EventData]]], ...] = (
        (2, {}),
        (3, {1: ParcelSent}),
        (1, {1: ParcelSent}),
        (2, {2: ParcelSent}),
    )
    for version, past in wrong:
        with pytest.raises(TypeError, match="needs its model"):
            family.declare("parcel.arrived", ParcelArrived, "nowhere", version=version, past=past)


def test_a_single_record_opens_without_keeping_an_opener() -> None:
    case = message()
    event = open_event(
        case.topic, case.value, case.headers, RECORD_MS / 1000, keys=Keyring([HALF]), signers=LOOKUP
    )
    assert isinstance(event, Event)
    assert event.tenant == ACME


def test_after_an_erasure_the_persons_past_reads_as_erased_and_the_owner_was_told() -> None:
    told: list[SubjectErased] = []

    class Durable(KnownErasures):
        def remember(self, erased: SubjectErased) -> None:
            told.append(erased)
            super().remember(erased)

    by = opener(Durable())
    assert isinstance(read(by, message()), Event)
    assert read(by, ERASURE) == announced()
    assert told == [announced()]
    erased = read(by, message())
    assert isinstance(erased, Erased)
    assert (erased.pseudonyms, erased.request) == (MARIA, announced().request)


def test_what_the_owner_kept_from_before_counts_after_a_restart() -> None:
    assert isinstance(read(opener(KnownErasures([announced()])), message()), Erased)


def test_an_erasure_that_is_refused_erases_nobody() -> None:
    by = opener()
    with pytest.raises(TamperedRecord):
        read(by, sealed("forged", CAST.router, *NOTICE, {}))
    assert isinstance(read(by, message()), Event)


SECONDS = st.integers(0, 5)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1, max_size=4), st.none() | SECONDS, SECONDS)
def test_several_erasures_cover_what_one_of_them_covers(
    erasures: list[tuple[int, int]], occurred_s: int | None, received_ms: int
) -> None:
    known = KnownErasures()
    for watermark_s, executed_at_ms in erasures:
        known.remember(announced(request=uuid4(), watermark_s=watermark_s, executed_at_ms=executed_at_ms))
    (joined,) = known.erasures_of(MARIA[0])
    covers = any(
        received_ms <= executed or (occurred_s is not None and occurred_s <= watermark)
        for watermark, executed in erasures
    )
    assert joined.covers(occurred_s, received_ms) is covers
    assert not list(known.erasures_of(b"somebody else...")), "nobody else is erased"


def test_a_key_that_is_late_is_waited_for_and_one_that_was_destroyed_is_a_value() -> None:
    keys = Keyring()
    by = EventOpener(keys, LOOKUP, tenant=ACME)
    gone_s = CAST.router.statement.not_after_s + 7 * 86_400
    with pytest.raises(KeyNotYetKnown):
        read(by, message(), now_s=gone_s)
    assert read(by, message(), now_s=gone_s + 1) == Unavailable()
    keys.add(HALF)
    assert isinstance(read(by, message(), now_s=gone_s + 1), Event)
    keys.destroy(RECIPIENTS["acme"].public.key_id)
    by.forget()
    assert read(by, message(), now_s=gone_s + 1) == Unavailable()


def test_a_folder_of_keys_is_read_when_a_key_is_needed(tmp_path: Path) -> None:
    half = RECIPIENTS["acme"]
    folder = KeyFolder(tmp_path)
    assert folder.get(half.public.key_id) is None
    (tmp_path / f"other-{half.public.key_id.hex()}").write_bytes(RECIPIENTS["other"].raw)
    (tmp_path / f"short-{half.public.key_id.hex()}").write_bytes(b"x")
    assert folder.get(half.public.key_id) is None
    path = tmp_path / f"transport-{ACME}-{half.public.key_id.hex()}"
    path.write_bytes(half.raw)
    for _ in range(2):
        found = folder.get(half.public.key_id)
        assert found is not None
        assert found.raw == half.raw
    path.unlink()
    assert folder.get(half.public.key_id) is None


def test_pinned_signers_may_say_what_their_process_may_say_and_no_more() -> None:
    encoded = {name: b64encode(SIGNERS[name].public_raw).decode() for name in ("router", "erasure")}
    by = EventOpener(Keyring([HALF]), pinned(encoded), tenant=ACME)
    assert isinstance(read(by, message()), Event)
    with pytest.raises(TamperedRecord):
        read(by, sealed("by erasure", CAST.erasure, *event_headers()))
    for wrong in ({"mallory": encoded["router"]}, {"router": b64encode(b"short").decode()}, {"router": "?"}):
        with pytest.raises(ValueError):  # noqa: PT011  # both libraries' kinds
            pinned(wrong)


def test_no_reading_shows_what_was_said_or_who_said_it() -> None:
    by = opener()
    shown = [read(by, message()), read(by, ERASURE), read(by, message())]
    assert [type(one) for one in shown] == [Event, SubjectErased, Erased]
    for one in shown:
        for secret in ("Olá", "wamid", "55119", MARIA[0].hex(), repr(MARIA[0])):
            assert secret not in repr(one)


def test_errors_never_quote_a_record() -> None:
    for case in (
        message(data=DATA.replace(b'"text":"Ol', b'"text":7,"was":"Ol')),
        replace(message(), headers=[("ce_id", b"wamid.ONE"), *message().headers]),
    ):
        with pytest.raises((ContractViolation, TamperedRecord)) as caught:
            read(opener(), case)
        assert "wamid" not in str(caught.value)
        assert "Ol" not in str(caught.value)


def test_an_announcement_has_one_id_for_each_person_of_a_request() -> None:
    one, same = announced(), announced(pseudonyms=tuple(reversed(announced().pseudonyms)))
    assert one.notice_id == same.notice_id
    assert announced(pseudonyms=(MARIA[0].hex(),)).notice_id != one.notice_id
    assert announced(request=UUID(int=5)).notice_id != one.notice_id
    key, headers, plaintext = announcement(one)
    assert key == one.request.bytes
    assert not any(MARIA[0].hex().encode() in value for _, value in headers)
    assert json.loads(plaintext)["pseudonyms"] == list(one.pseudonyms)


async def test_the_window_of_recent_ids_is_bounded_and_per_partition() -> None:
    recent = RecentIds(window=3)
    ids = [uuid4() for _ in range(4)]
    await recent.handled(0, ids)
    assert await recent.seen(0, ids) == set(ids[1:])
    assert await recent.seen(1, ids) == set()
    await recent.released(0)
    assert await recent.seen(0, ids) == set()


def test_the_topic_is_part_of_what_is_sealed() -> None:
    with pytest.raises(TamperedRecord):
        read(opener(), replace(message(), topic=TOPIC.replace("acme", "othe")))
