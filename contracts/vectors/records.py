"""The vectors of whole records: what each reads as, and each way in which one can be wrong.

Good cases come from `sealed`; a wrong one is a good one with exactly one thing changed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final
from uuid import UUID

from contracts import headers as h
from contracts.ids import event_id
from contracts.pseudonyms import Domain, pseudonym
from contracts.subject_erased import SubjectErased, announcement
from contracts.vectors.cast import ACME, PSEUDONYM_KEY, SIGNERS, T0_S, TOPIC, Cast, VectorEpoch, fixed

Headers = list[tuple[str, bytes]]
Json = dict[str, object]
ACCOUNT: Final = UUID("3b7a5d0e-8a3f-4d5c-9d7e-6c2f6a1b9c33")
MARIA: Final = (
    pseudonym(PSEUDONYM_KEY, Domain.PHONE, "5511987654321"),
    pseudonym(PSEUDONYM_KEY, Domain.PHONE, "551187654321"),
)
OCCURRED_MS: Final = T0_S * 1000 + 1_500
RECEIVED_MS: Final = T0_S * 1000 + 2_250
RECORD_MS: Final = T0_S * 1000 + 2_400
DATA: Final = (
    '{"direction":"inbound","account":{"kind":"phone_number_id","id":"106540352242922","waba":null},'
    '"person":{"phone":"5511987654321"},"fragment":{"id":"wamid.ONE","type":"text","text":{"body":"Olá"}},'
    '"envelope":{"object":"whatsapp_business_account"},"message":{"id":"wamid.ONE","type":"text","text":"Olá"}}'
).encode()


@dataclass(frozen=True, slots=True)
class Case:
    """One record as it lies on the topic, and what is expected of it."""

    name: str
    value: bytes
    headers: Headers
    key: bytes | None
    reads: Json
    topic: str = TOPIC
    tenant: UUID = ACME
    broker_time_ms: int = RECORD_MS
    now_ms: int | None = None
    needs_models: bool = False
    """Refused only by a reader that knows the types' models."""

    def described(self) -> Json:
        """As it stands in the file."""
        return {
            "name": self.name,
            "topic": self.topic,
            "tenant": str(self.tenant),
            "key": None if self.key is None else self.key.hex(),
            "value": self.value.hex(),
            "headers": [[name, value.hex()] for name, value in self.headers],
            "broker_time_ms": self.broker_time_ms,
            "now_ms": self.now_ms,
            **({"needs_models": True} if self.needs_models else {}),
            "reads": self.reads,
        }


def event_headers(
    kind: str = "message.received",
    version: int = 1,
    *,
    occurred_ms: int | None = OCCURRED_MS,
    received_ms: int = RECEIVED_MS,
    persons: Iterable[bytes] = MARIA,
    native_id: str | None = "wamid.ONE",
    tenant: UUID = ACME,
) -> tuple[bytes, Headers]:
    """Key and sealed headers of an event, as the router makes them."""
    conversation = pseudonym(PSEUDONYM_KEY, Domain.CONVERSATION, f"{ACCOUNT}:5511987654321")
    identity = event_id(
        PSEUDONYM_KEY,
        occurred_at_ms=occurred_ms,
        provider_object="whatsapp_business_account",
        account="106540352242922",
        kind=kind,
        native_id=native_id,
    )
    headers: Headers = [
        (h.CE_DATACONTENTTYPE, b"application/json"),
        (h.CE_DATASCHEMA, f"urn:mkchannels:event:{kind}:{version}".encode()),
        (h.CE_ID, str(identity).encode()),
        (h.CE_SOURCE, b"/meta/whatsapp/106540352242922"),
        (h.CE_SPECVERSION, b"1.0"),
        (h.CE_SUBJECT, conversation.hex().encode()),
        (h.CE_TENANT, str(tenant).encode()),
        (h.CE_TYPE, kind.encode()),
        (h.MK_ACCOUNT, str(ACCOUNT).encode()),
        (h.MK_DIRECTION, b"i"),
        (h.MK_PERSON, ",".join(one.hex() for one in persons).encode()),
        (h.MK_RECEIVED_AT, b"%d" % received_ms),
    ]
    if occurred_ms is not None:
        second, ms = divmod(occurred_ms, 1000)
        assert second - T0_S < 60 - 20
        headers.append((h.CE_TIME, f"2025-10-09T08:53:{20 + second - T0_S}.{ms:03d}Z".encode()))
    if native_id is not None:
        reference = pseudonym(PSEUDONYM_KEY, Domain.MESSAGE_REF, f"106540352242922:{native_id}")
        headers.append((h.MK_REF, reference.hex().encode()))
    return conversation, headers


def as_event(headers: Headers, data: bytes, *, is_replay: bool = False) -> Json:
    """What a reader makes of the headers."""
    text = {name: value.decode() for name, value in headers}
    kind, version = text[h.CE_DATASCHEMA].rsplit(":", 2)[1:]
    return {
        "event": {
            "id": text[h.CE_ID],
            "type": kind,
            "version": int(version),
            "tenant": text[h.CE_TENANT],
            "account": text[h.MK_ACCOUNT],
            "source": text[h.CE_SOURCE],
            "direction": {"i": "inbound", "o": "outbound", "s": "system"}[text[h.MK_DIRECTION]],
            "occurred_at": text.get(h.CE_TIME),
            "received_at_ms": int(text[h.MK_RECEIVED_AT]),
            "conversation": text[h.CE_SUBJECT],
            "persons": [one for one in text[h.MK_PERSON].split(",") if one],
            "message_ref": text.get(h.MK_REF),
            "is_replay": is_replay,
            "data": data.decode(),
        }
    }


def sealed(
    name: str,
    epoch: VectorEpoch,
    key: bytes | None,
    headers: Headers,
    data: bytes = DATA,
    reads: Json | None = None,
) -> Case:
    """A record sealed in `epoch`; by default it reads as the event that its headers say."""
    value = epoch.sealing.seal(data, headers, fixed(f"nonce {name}", 12))
    expected = as_event(headers, data) if reads is None else reads
    return Case(name, value, [*headers, *epoch.sealing.headers], key, expected)


def error(code: str) -> Json:
    """What is refused, or must wait."""
    return {"error": code}


TAMPERED: Final = error("tampered")
VIOLATION: Final = error("contract_violation")
GONE: Final[Json] = {"unavailable": "key_gone"}


def with_facts(case: Case, facts: dict[str, bytes], signer: str = "store") -> Headers:
    """The headers of a record that was put back from quarantine."""
    return h.add_q_facts(case.value, case.headers, facts, SIGNERS[signer])


def good(cast: Cast) -> list[Case]:
    """Records that read as events or values."""
    key, headers = event_headers()
    plain = sealed("a message", cast.router, key, headers)
    undated = event_headers("comment.created", occurred_ms=None, persons=(), native_id=None)
    new_type = event_headers("parcel.arrived")
    later = event_headers(version=4_000)
    replayed = with_facts(
        plain, {h.Q_REPLAY: b"3", h.Q_RECEIVED_AT: b"%d" % RECORD_MS, h.Q_ITEMS: b"[]", h.Q_TOPIC: TOPIC.encode()}
    )  # fmt: skip
    erased = announced()
    notice = announcement(erased)
    slack_ms = (T0_S - 300) * 1000
    late_ms = (cast.gone.statement.not_after_s + 7 * 86_400) * 1000
    sealed_gone = sealed("sealed to a key that is gone", cast.gone, key, headers)
    comment = b'{"direction":"inbound","account":null,"person":null,"fragment":{},"envelope":{},"comment":{"id":"c1"}}'
    return [
        plain,
        sealed("undated, naming nobody, without a message id", cast.router, *undated, comment),
        sealed("a type of a later release", cast.router, *new_type, b'{"parcel":"\xc3\xa9"}'),
        sealed("nested 240 levels deep", cast.router, key, headers, DATA.replace(b'"fragment":{', b'"fragment":{"deep":' + b"[" * 240 + b"]" * 240 + b",")),
        sealed("a version of a later release", cast.router, *later, b'{"anything":[1]}'),
        sealed(
            "a sealed header of a later release", cast.router, key, [*headers, ("mk_later", b"yes")]
        ),
        replace(plain, name="headers that are not ours do not matter", headers=[("traceparent", b"00-1"), *plain.headers]),
        replace(plain, name="the order of headers does not matter", headers=plain.headers[::-1]),
        replace(plain, name="no key is given", key=None),
        replace(plain, name="the broker's clock is 300 s behind", broker_time_ms=slack_ms),
        replace(
            plain, name="put back from quarantine, two weeks later", key=None, headers=replayed,
            broker_time_ms=RECORD_MS + 14 * 86_400_000, reads=as_event(headers, DATA, is_replay=True),
        ),
        sealed("an erasure", cast.erasure, *notice, {"subject_erased": erased.model_dump(mode="json")}),
        replace(sealed_gone, name="its private half is not here yet", now_ms=late_ms, reads=error("key_not_yet_known")),
        replace(sealed_gone, name="its private half was destroyed", now_ms=late_ms + 1000, reads=GONE),
        replace(sealed_gone, name="published after its private half was destroyed", broker_time_ms=late_ms + 1000, reads=GONE),
    ]  # fmt: skip


def announced(**changes: object) -> SubjectErased:
    """Maria was erased."""
    said: dict[str, object] = {
        "request": UUID("c0ffee00-0000-5000-8000-000000000001"),
        "tenant": ACME,
        "pseudonyms": tuple(sorted(one.hex() for one in MARIA)),
        "watermark_s": T0_S + 20,
        "executed_at_ms": T0_S * 1000 + 20_500,
    }
    return SubjectErased.model_validate({**said, **changes})


def sequences(cast: Cast) -> list[Json]:
    """`erasure.json`: records in the order of a partition, read by one opener."""
    executed_ms = T0_S * 1000 + 20_500

    def said(
        name: str, at_ms: int | None, received_ms: int, persons: Iterable[bytes] = MARIA
    ) -> Callable[[bool], Case]:
        native = f"wamid.{name}"
        key, headers = event_headers(
            occurred_ms=at_ms, received_ms=received_ms, persons=persons, native_id=native
        )
        case = replace(sealed(name, cast.router, key, headers), broker_time_ms=T0_S * 1000 + 30_000)
        text = {header: value.decode() for header, value in headers}
        gone = [one.hex() for one in persons if one in MARIA]
        erased: Json = {
            "erased": {
                "id": text[h.CE_ID],
                "type": text[h.CE_TYPE],
                "request": str(announced().request),
                "pseudonyms": gone,
            }
        }
        return lambda is_erased: replace(case, reads=erased) if is_erased else case

    stranger = pseudonym(PSEUDONYM_KEY, Domain.PHONE, "14155550100")
    before = said("before", T0_S * 1000 + 5_000, T0_S * 1000 + 6_000)
    erased = announced()
    notice = replace(
        sealed("the erasure", cast.erasure, *announcement(erased), {"subject_erased": erased.model_dump(mode="json")}),
        broker_time_ms=T0_S * 1000 + 21_000,
    )  # fmt: skip
    cases = [
        before(False),
        notice,
        before(True),
        said("in the watermark's second, received later", (T0_S + 20) * 1000 + 900, executed_ms + 5_000)(True),
        said("a second later, received later", (T0_S + 21) * 1000, executed_ms + 5_000)(False),
        said("a second later, received at the execution", (T0_S + 21) * 1000, executed_ms)(True),
        said("undated, received before", None, executed_ms - 1)(True),
        said("undated, received later", None, executed_ms + 1)(False),
        said("one of two people", T0_S * 1000 + 5_000, executed_ms + 1, (stranger, MARIA[1]))(True),
        said("somebody else", T0_S * 1000 + 5_000, executed_ms - 1, (stranger,))(False),
        said("nobody", T0_S * 1000 + 5_000, executed_ms - 1, ())(False),
    ]  # fmt: skip
    return [case.described() for case in cases]


def added_facts(cast: Cast) -> Json:
    """`q_facts.json`: the message that `q_sig` is over, written out."""
    case = sealed("a message put back", cast.router, *event_headers())
    facts = {h.Q_REPLAY: b"1", h.Q_RECEIVED_AT: b"%d" % RECORD_MS, h.Q_ITEMS: b'[["","defect"]]'}
    headers = with_facts(case, facts)
    original = _pairs(pair for pair in headers if not pair[0].startswith("q_"))
    added = _pairs(pair for pair in headers if pair[0].startswith("q_") and pair[0] != h.Q_SIG)
    message = b"mkchannels q-facts v1\x00" + sha256(case.value).digest() + sha256(original).digest() + added
    return {
        "about": "Ed25519 by `q_by` over `mkchannels q-facts v1` 00 | SHA-256 of the value | SHA-256 of all headers but q_* | "
        "all q_* headers but q_sig; headers in the encoding of header_digest.json with an empty topic.",
        "good": [
            {
                "value": case.value.hex(),
                "headers": [[name, value.hex()] for name, value in headers],
                "message": message.hex(),
                "signature": dict(headers)[h.Q_SIG].hex(),
            }
        ],
    }


def _pairs(headers: Iterable[tuple[str, bytes]]) -> bytes:
    out = struct.pack(">H", 0)
    for name, value in sorted(headers):
        out += struct.pack(">H", len(name)) + name.encode() + struct.pack(">I", len(value)) + value
    return out
