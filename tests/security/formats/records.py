"""What lies in Kafka: events, raw blocks, erasure requests and notices, quarantine additions, control, grants' keys."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar
from uuid import UUID

from contracts import control, topics
from contracts import headers as h
from contracts.block import Delivery, pack
from contracts.erasure_requests import MessageRequest, parse_request
from contracts.errors import TamperedRecord
from contracts.grants import ForGrant, open_grant_key, wrap_for_grant
from contracts.headers import Headers
from contracts.hybrid import HybridPrivateKey
from contracts.reader import EventOpener, Keyring
from contracts.sealing import NO_TENANT, RecordOpener, SealingEpoch
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Right
from contracts.subject_erased import announcement
from contracts.vectors.cast import ACME, OTHER, OTHER_TOPIC, RECIPIENTS, SIGNERS, T0_S, TOPIC, Cast
from contracts.vectors.grants import GRANT
from contracts.vectors.grants import TOPIC as KEYS_TOPIC
from contracts.vectors.records import DATA, RECORD_MS, Case, announced, event_headers, sealed
from router.open import Origin, RawRecord, Signers, open_block, origin_of
from router.quarantine import quarantine_record
from runtime.files import SecretFolder
from runtime.kafka import quarantine
from runtime.secrets import FolderSecrets
from store.lanes.event_types import known_type
from store.lanes.opening import TenantOpener
from tests.security.formats.form import Form, Opening, Pieces, exchanged, headers_of, with_headers

KNOWN: Final = {
    name: KnownSigner(name, SIGNERS[name].public_raw, RIGHTS_BY_PROCESS[name])
    for name in ("router", "erasure", "store", "ingest", "custodian")
}
MINE: Final = RECIPIENTS["acme"]
AT_S: Final = RECORD_MS / 1000
ALL_ADDED: Final = ("ce_", "mk_", "q_")


def forms(folder: Path) -> Iterator[Form]:
    """Every format on a topic. `folder`: an empty one for the store's secrets."""
    cast = Cast()
    event = sealed("an event", cast.router, *event_headers(), DATA)
    notice = sealed("a notice", cast.erasure, *announcement(announced()), {})
    second = sealed("another", cast.router, *event_headers("message.sent", native_id="wamid.TWO"), DATA)
    crossed = sealed("another tenant's", cast.other, *event_headers(tenant=OTHER), DATA)
    others = {"of the same epoch": second, "of another epoch": notice, "of another tenant's": crossed}
    yield _read("event, as a reader opens it", event, others)
    yield _read("event, its epoch known already", event, others, warm=True)
    yield _stored(event, others, folder)
    yield _read("subject.erased", notice, {"an event's": event})
    yield _sealed_epoch_key(cast)
    yield _raw_block()
    yield _erasure_request()
    yield _quarantined("store", Right.QUARANTINE_TENANT, event)
    yield _quarantined("router", Right.QUARANTINE_RAW, event)
    yield _control()
    yield _grant_key()


def _pieces(case: Case) -> dict[str, bytes]:
    assert case.key is not None
    return with_headers(case.headers, key=case.key, value=case.value)


def _mixed(case: Case, others: Mapping[str, Case], opening: Opening) -> dict[str, Opening]:
    """Each piece of the record taken from each other record."""

    def of(pieces: Pieces) -> Opening:
        return lambda _: opening(pieces)

    return {
        f"{what}, {whose}": of(pieces)
        for whose, other in others.items()
        for what, pieces in exchanged(_pieces(case), _pieces(other)).items()
    }


def _read(name: str, case: Case, others: Mapping[str, Case], *, warm: bool = False) -> Form:
    keys = Keyring([MINE.raw, RECIPIENTS["other"].raw])

    def opened(topic: str = TOPIC, tenant: UUID = ACME, missing: str = "") -> Opening:
        signers = {name: signer for name, signer in KNOWN.items() if name != missing}
        by = EventOpener(keys, signers.get, tenant=tenant)
        if warm:
            by.open(TOPIC, case.value, case.headers, AT_S, key=case.key)

        def open_(pieces: Pieces) -> object:
            reader = by if warm else EventOpener(keys, signers.get, tenant=tenant)
            return reader.open(topic, pieces["value"], headers_of(pieces), AT_S, key=pieces["key"])

        return open_

    moved = {"to another topic": opened(topic=OTHER_TOPIC), "to raw": opened(topic=topics.RAW)}
    if not warm:
        moved["to another tenant's reader"] = opened(tenant=OTHER)
        moved["from a signer that was revoked"] = opened(missing=_sealed_by(case))
    return Form(name, _pieces(case), opened(), moved | _mixed(case, others, opened()), added=ALL_ADDED)


def _sealed_by(case: Case) -> str:
    return "erasure" if dict(case.headers)[h.CE_TYPE] == b"subject.erased" else "router"


T = TypeVar("T")


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing, as those over files."""
    try:
        work.send(None)
    except StopIteration as ended:
        value: T = ended.value
        return value
    raise AssertionError("it waits")


@dataclass(frozen=True, slots=True)
class _OnTopic:
    """A record as a lane gets it."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers
    partition: int = 0
    offset: int = 0
    timestamp: int = RECORD_MS


def _stored(case: Case, others: Mapping[str, Case], folder: Path) -> Form:
    secrets = FolderSecrets(SecretFolder(folder))
    for tenant, half in ((ACME, MINE), (OTHER, RECIPIENTS["other"]), (OTHER, MINE)):
        SecretFolder(folder).put(f"transport-{tenant}-{half.public.key_id.hex()}", half.raw)
    view = control.ControlView(dict(KNOWN))

    def opened(topic: str = TOPIC, tenant: UUID = ACME) -> Opening:
        def open_(pieces: Pieces) -> object:
            record = _OnTopic(topic, pieces["key"], pieces["value"], headers_of(pieces))
            outcome = at_once(TenantOpener(secrets, view, known_type).open_waiting(record, tenant))
            if outcome.reason == TamperedRecord.code:
                raise TamperedRecord("set aside")
            if outcome.reason is not None:
                raise RuntimeError(outcome.reason)
            return outcome.event

        return open_

    return Form(
        "event, as the store opens it",
        _pieces(case),
        opened(),
        {
            "to another topic": opened(topic=OTHER_TOPIC),
            # It even has the private half.
            "to another tenant's lane": opened(tenant=OTHER),
            "to another tenant's topic and lane": opened(topic=OTHER_TOPIC, tenant=OTHER),
            **_mixed(case, others, opened()),
        },
        added=ALL_ADDED,
    )


def _sealed_epoch_key(cast: Cast) -> Form:
    """Signed and named rightly each time: HPKE alone must refuse."""
    sealing = cast.router.sealing
    encoded, headers = sealing.statement.encode(), event_headers()[1]
    good = dict(sealing.headers)[h.EK_KEY]

    def opened(statement: bytes = encoded, half: HybridPrivateKey = MINE) -> Opening:
        def open_(pieces: Pieces) -> object:
            key = pieces["sealed key"]
            signature = SIGNERS["router"].sign(b"mkchannels epoch signature v1\x00" + statement + key)
            # Another epoch id: the AEAD would refuse the record too, but only once the key has opened.
            name = hashlib.sha256(key).digest()[:16]
            value = b"MW\x01\x01" + statement[2:6] + name + os.urandom(12 + 40)
            full = [*headers, (h.EK_STATEMENT, statement), (h.EK_KEY, key), (h.EK_SIG, signature)]
            opener = RecordOpener(lambda _: half, KNOWN.get)
            try:
                return opener.open(TOPIC, value, full, broker_time_s=AT_S)
            except TamperedRecord as exc:
                if "epoch key" not in str(exc):
                    return "the epoch key opened"
                raise

        return open_

    other_tenant = encoded.replace(ACME.bytes, OTHER.bytes)
    assert other_tenant != encoded
    form = Form(
        "sealed epoch key",
        {"sealed key": good},
        opened(),
        {
            "under another tenant's statement": opened(statement=other_tenant),
            "under a longer statement": opened(statement=encoded[:29] + b"\xff" + encoded[30:]),
            "to another recipient": opened(half=RECIPIENTS["other"]),
        },
    )
    assert form.open(form.pieces) == "the epoch key opened"
    return form


def _raw_block() -> Form:
    epoch = SealingEpoch.begin(
        recipient=MINE.public,
        tenant=NO_TENANT,
        topic=topics.RAW,
        signer=SIGNERS["ingest"],
        now_s=T0_S,
        epoch_key=os.urandom(32),
    )
    block, size = pack([Delivery("main", RECORD_MS, b'{"object":"page","entry":[]}')])
    sealed_headers = [(h.MK_COUNT, b"1"), (h.MK_SIZE, b"%d" % size)]
    value = epoch.seal(block, sealed_headers, os.urandom(12))

    def opened(half: HybridPrivateKey = MINE, missing: str = "") -> Opening:
        known = {name: signer for name, signer in KNOWN.items() if name != missing}

        def open_(pieces: Pieces) -> object:
            record = RawRecord(topics.RAW, 0, 0, RECORD_MS, pieces["value"], headers_of(pieces))
            # Read to its end, control knows no other signers: then it is judged.
            opener = RecordOpener(lambda _: half, known.get)
            signers = Signers(known.get)
            return open_block(record, origin_of(record, signers), opener, signers, AT_S)

        return open_

    return Form(
        "raw block",
        with_headers([*sealed_headers, *epoch.headers], value=value),
        opened(),
        {
            "to another router's key": opened(RECIPIENTS["other"]),
            "from a receiver that was revoked": opened(missing="ingest"),
        },
        added=ALL_ADDED,
    )


def _erasure_request() -> Form:
    epoch = SealingEpoch.begin(
        recipient=MINE.public,
        tenant=NO_TENANT,
        topic=topics.ERASURE_REQUESTS,
        signer=SIGNERS["router"],
        now_s=T0_S,
        epoch_key=os.urandom(32),
    )
    request = MessageRequest(
        request=UUID(int=1),
        tenant=ACME,
        account=UUID(int=2),
        cause=UUID(int=3),
        reason="unsent",
        message_ref="ab" * 16,
        received_at_ms=RECORD_MS,
    )
    sealed_headers = [("mk_request", str(request.request).encode()), ("mk_tenant", str(ACME).encode())]
    value = epoch.seal(request.model_dump_json().encode(), sealed_headers, os.urandom(12))

    def opened(topic: str = topics.ERASURE_REQUESTS, half: HybridPrivateKey = MINE) -> Opening:
        def open_(pieces: Pieces) -> object:
            opener = RecordOpener(lambda _: half, KNOWN.get)
            found = opener.open(topic, pieces["value"], headers_of(pieces), broker_time_s=AT_S)
            return parse_request(found.plaintext)

        return open_

    return Form(
        "erasure request",
        with_headers([*sealed_headers, *epoch.headers], value=value),
        opened(),
        {
            "to a tenant's topic": opened(topic=TOPIC),
            "to raw": opened(topic=topics.RAW),
            "to another recipient": opened(half=RECIPIENTS["other"]),
        },
        added=("ce_", "mk_"),
    )


def _quarantined(by: str, right: Right, case: Case) -> Form:
    source = RawRecord(case.topic, 2, 17, RECORD_MS, case.value, tuple(case.headers))
    _, value, headers = quarantine_record(source, Origin(RECORD_MS), [("0.1", "not_json")], SIGNERS[by])

    def opened(
        right: Right = right, value: bytes | None = None, signers: tuple[str, ...] = tuple(KNOWN)
    ) -> Opening:
        lookup = {name: KNOWN[name] for name in signers}.get

        def open_(pieces: Pieces) -> object:
            headers = headers_of(pieces)
            if not any(name.startswith("q_") for name, _ in headers):
                return "no facts were added"
            content = pieces["value"] if value is None else value
            return quarantine.decode(content, headers, RECORD_MS, lookup, right)

        return open_

    other_zone = Right.QUARANTINE_RAW if right is Right.QUARANTINE_TENANT else Right.QUARANTINE_TENANT
    return Form(
        f"quarantine addition of the {by}'s",
        with_headers(headers, value=value),
        opened(),
        {
            "to the other zone": opened(other_zone),
            "to another record": opened(value=case.value[:-1] + b"\x00"),
            "from a signer that was revoked": opened(signers=("ingest", "custodian")),
        },
        added=ALL_ADDED,
    )


def _control() -> Form:
    record = control.TenantRecord(
        tenant=ACME, state="ready", slot="acmeslot23", partitions=1, schema_name="t_acmeslot23"
    )
    key, value, headers = control.encode(record, SIGNERS["custodian"])

    def opened(pinned: str = "custodian", key: bytes | None = None) -> Opening:
        def open_(pieces: Pieces) -> object:
            return control.decode(
                pieces["key"] if key is None else key,
                pieces["value"],
                headers_of(pieces),
                {pinned: KNOWN[pinned]},
            )

        return open_

    return Form(
        "control record",
        with_headers(headers, key=key, value=value),
        opened(),
        {
            "where another is pinned": opened("router"),
            "under another tenant's id": opened(key=f"tenant/{OTHER}".encode()),
            "under another kind's id": opened(key=f"slot/{ACME}".encode()),
        },
    )


def _grant_key() -> Form:
    reader = RECIPIENTS["other"]
    start = datetime.fromtimestamp(T0_S, UTC)
    target = ForGrant(GRANT, ACME, KEYS_TOPIC, reader.public)
    key, value, headers = wrap_for_grant(MINE, target, start, start + timedelta(days=4), SIGNERS["custodian"])

    def opened(topic: str = KEYS_TOPIC, half: HybridPrivateKey = reader, missing: str = "") -> Opening:
        signers = {name: signer for name, signer in KNOWN.items() if name != missing}

        def open_(pieces: Pieces) -> object:
            return open_grant_key(
                topic, pieces["key"], pieces["value"], headers_of(pieces), half, signers.get
            )

        return open_

    return Form(
        "grant's key",
        with_headers(headers, key=key, value=value),
        opened(),
        {
            "to another tenant's keys topic": opened(topics.tenant_keys_topic("otherslot7")),
            "to another reader": opened(half=MINE),
            "from a custodian that was replaced": opened(missing="custodian"),
        },
    )
