"""Records that must be refused, each wrong in one way, with the reason."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts import headers as h
from contracts import topics
from contracts.subject_erased import announcement
from contracts.vectors.cast import ACME, OTHER, OTHER_TOPIC, SIGNERS, T0_S, TOPIC, Cast, fixed
from contracts.vectors.records import (
    DATA,
    RECORD_MS,
    TAMPERED,
    VIOLATION,
    Case,
    Headers,
    announced,
    error,
    event_headers,
    sealed,
    with_facts,
)


def flipped(raw: bytes, at: int) -> bytes:
    """One bit changed."""
    position = at % len(raw)
    return raw[:position] + bytes((raw[position] ^ 1,)) + raw[position + 1 :]


def set_header(headers: Headers, name: str, value: bytes) -> Headers:
    """One header with another value."""
    return [(one, value if one == name else content) for one, content in headers]


def wrong(cast: Cast) -> Iterator[Case]:
    """All of them."""
    key, headers = event_headers()
    plain = replace(sealed("a message", cast.router, key, headers), reads=TAMPERED)
    yield from _values(plain)
    yield from _epochs(cast, plain)
    yield from _headers(cast, plain)
    yield from _resealed(cast, key, headers)
    yield from _signers(cast, key, headers)
    yield from _facts(plain)
    yield from _shapes(cast, key, headers)


def _values(plain: Case) -> Iterator[Case]:
    value = plain.value
    for name, at in (
        ("magic", 0), ("magic, second letter", 1), ("version", 2), ("suite", 3), ("recipient key id", 4),
        ("epoch id", 8), ("epoch id, last byte", 23), ("nonce", 24), ("nonce, last byte", 35), ("ciphertext", 36),
        ("tag", -16), ("tag, last byte", -1),
    ):  # fmt: skip
        yield replace(plain, name=f"changed: {name}", value=flipped(value, at))
    yield replace(plain, name="cut short by one byte", value=value[:-1])
    yield replace(plain, name="shorter than the overhead", value=value[:51])
    yield replace(plain, name="no value", value=b"")
    yield replace(plain, name="a byte too many", value=value + b"\x00")
    yield replace(plain, name="on another topic", topic=OTHER_TOPIC)
    yield replace(plain, name="on a topic that carries no sealed records", topic=topics.LEDGER)
    yield replace(plain, name="under another key", key=flipped(plain.key or b"", 0))
    yield replace(plain, name="read as another tenant", tenant=OTHER)
    yield replace(plain, name="published 301 s before its epoch", broker_time_ms=(T0_S - 301) * 1000)


def _epochs(cast: Cast, plain: Case) -> Iterator[Case]:
    ek = dict(plain.headers)
    statement, sealed_key, signature = ek[h.EK_STATEMENT], ek[h.EK_KEY], ek[h.EK_SIG]
    fields = {
        "version": 0, "suite": 1, "recipient key id": 2, "tenant": 6, "not before": 29, "not after": 37,
        "length of the signer": 38, "signer": 39, "length of the topic": 45, "topic": 46, "topic, last letter": -1,
    }  # fmt: skip
    for name, at in fields.items():
        changed = set_header(plain.headers, h.EK_STATEMENT, flipped(statement, at))
        yield replace(plain, name=f"changed in the statement: {name}", headers=changed)
    longer = set_header(plain.headers, h.EK_STATEMENT, statement + b"\x00")
    yield replace(plain, name="the statement has a byte too many", headers=longer)
    for name, at in {
        "ML-KEM ciphertext": 0, "X25519 share": 1088, "encrypted key": 1120, "tag": -1,
    }.items():  # fmt: skip
        other = flipped(sealed_key, at)
        changed = set_header(plain.headers, h.EK_KEY, other)
        yield replace(plain, name=f"changed in the sealed key: {name}", headers=changed)
        renamed = plain.value[:8] + hashlib.sha256(other).digest()[:16] + plain.value[24:]
        yield replace(
            plain, name=f"changed in the sealed key, epoch id made to fit: {name}", headers=changed, value=renamed
        )  # fmt: skip
    for name, at in {"first half": 0, "second half": -1}.items():
        changed = set_header(plain.headers, h.EK_SIG, flipped(signature, at))
        yield replace(plain, name=f"changed in the signature: {name}", headers=changed)
    yield replace(
        plain, name="the signature is cut short", headers=set_header(plain.headers, h.EK_SIG, signature[:-1])
    )
    for missing in (h.EK_STATEMENT, h.EK_KEY, h.EK_SIG):
        yield replace(
            plain, name=f"without {missing}", headers=[pair for pair in plain.headers if pair[0] != missing]
        )
    others = [pair for pair in plain.headers if not pair[0].startswith("ek_")] + list(
        cast.other.sealing.headers
    )
    yield replace(plain, name="with the epoch of another record", headers=others)


def _headers(cast: Cast, plain: Case) -> Iterator[Case]:
    names = [name for name, _ in plain.headers if name[:3] in ("ce_", "mk_")]
    content = dict(plain.headers)
    for name in names:
        changed = set_header(plain.headers, name, flipped(content[name], -1))
        yield replace(plain, name=f"changed header: {name}", headers=changed)
        yield replace(plain, name=f"missing header: {name}",
                      headers=[pair for pair in plain.headers if pair[0] != name])  # fmt: skip
    for name in (h.CE_TYPE, h.MK_PERSON, h.EK_SIG):
        yield replace(plain, name=f"doubled header: {name}", headers=[*plain.headers, (name, content[name])])
    yield replace(
        plain,
        name="doubled header with another value",
        headers=[(h.CE_TYPE, b"message.sent"), *plain.headers],
    )
    for added in ("ce_later", "mk_later"):
        yield replace(plain, name=f"added header: {added}", headers=[*plain.headers, (added, b"")])
    swapped = set_header(plain.headers, h.CE_SUBJECT, content[h.MK_REF])
    swapped = set_header(swapped, h.MK_REF, content[h.CE_SUBJECT])
    yield replace(plain, name="the values of two headers changed places", headers=swapped)
    moved = [(f"{name}x" if name == h.MK_REF else name, value) for name, value in plain.headers]
    yield replace(plain, name="a header was renamed", headers=moved)
    key, headers = event_headers(tenant=OTHER)
    yield sealed("sealed for one tenant, its header names another", cast.router, key, headers, reads=TAMPERED)
    crossed = sealed("stated for one tenant, its header names another", cast.crossed, *event_headers(), reads=TAMPERED)  # fmt: skip
    yield replace(crossed, tenant=ACME)
    yield replace(
        sealed("another tenant's record on its own topic", cast.other, key, headers, reads=TAMPERED),
        topic=OTHER_TOPIC,
    )


def _resealed(cast: Cast, key: bytes, headers: Headers) -> Iterator[Case]:
    """By somebody who opened the epoch, and so has its key: only the signed statement stands against it."""
    plain = sealed("a message", cast.router, key, headers, reads=TAMPERED)

    def again(name: str, prefix: bytes, topic: str) -> Case:
        nonce = fixed(f"nonce {name}", 12)
        aad = prefix + h.sealed_digest(topic, headers)
        value = prefix + nonce + AESGCM(cast.router.epoch_key).encrypt(nonce, DATA, aad)
        return replace(plain, name=name, value=value, topic=topic)

    prefix = plain.value[:24]
    yield again("sealed anew for another topic", prefix, OTHER_TOPIC)
    yield again("sealed anew under another key id", prefix[:4] + b"\x00\x01\x02\x03" + prefix[8:], TOPIC)


def _signers(cast: Cast, key: bytes, headers: Headers) -> Iterator[Case]:
    yield sealed("signed by nobody we know", cast.mallory, key, headers, reads=TAMPERED)
    yield sealed("signed by a process that may not seal here", cast.ingest, key, headers, reads=TAMPERED)
    by_router = sealed("signed by another key than it says", cast.router, key, headers, reads=TAMPERED)
    ek = dict(by_router.headers)
    forged = SIGNERS["mallory"].sign(b"mkchannels epoch signature v1\x00" + ek[h.EK_STATEMENT] + ek[h.EK_KEY])
    yield replace(by_router, headers=set_header(by_router.headers, h.EK_SIG, forged))
    yield sealed("an event signed by erasure", cast.erasure, key, headers, reads=TAMPERED)
    notice = announcement(announced())
    yield sealed("an erasure signed by the router", cast.router, *notice, reads=TAMPERED)
    elsewhere = announcement(announced(tenant=OTHER))[2]
    yield sealed("an erasure of another tenant's", cast.erasure, *notice[:2], elsewhere, TAMPERED)
    yield sealed("an erasure under another key", cast.erasure, flipped(notice[0], 0), *notice[1:], TAMPERED)
    unknown = set_header(notice[1], h.CE_DATASCHEMA, b"urn:mkchannels:event:subject.erased:2")
    yield sealed("an erasure of a later version", cast.erasure, notice[0], unknown, notice[2], VIOLATION)
    yield sealed("an erasure that names nobody", cast.erasure, *notice[:2],
                 notice[2].replace(b'"pseudonyms":[', b'"pseudonyms":[],"was":['), VIOLATION)  # fmt: skip


def _facts(plain: Case) -> Iterator[Case]:
    facts = {h.Q_REPLAY: b"1", h.Q_RECEIVED_AT: b"%d" % RECORD_MS}
    signed = with_facts(plain, facts)
    for name, at in (("number of the replay", h.Q_REPLAY), ("time of receipt", h.Q_RECEIVED_AT)):
        changed = set_header(signed, at, flipped(dict(signed)[at], -1))
        yield replace(plain, name=f"changed among the added facts: {name}", headers=changed, key=None)
    yield replace(plain, name="added facts without a signature",
                  headers=[pair for pair in signed if pair[0] != h.Q_SIG])  # fmt: skip
    yield replace(plain, name="a fact added after signing", headers=[*signed, (h.Q_ITEMS, b"[]")])
    yield replace(
        plain, name="added facts by a signer of another zone", headers=with_facts(plain, facts, "router")
    )
    yield replace(plain, name="added facts by nobody we know", headers=with_facts(plain, facts, "mallory"))
    yield replace(plain, name="added facts of another record", headers=signed, value=flipped(plain.value, -1))
    no_time = with_facts(plain, {h.Q_REPLAY: b"1"})
    yield replace(plain, name="put back without its time of receipt", headers=no_time)
    four = with_facts(plain, {**facts, h.Q_REPLAY: b"4"})
    yield replace(plain, name="put back a fourth time", headers=four, reads=error("replay_limit"))


def _shapes(cast: Cast, key: bytes, headers: Headers) -> Iterator[Case]:
    """Well sealed by the router, and still not an event."""
    values = {
        h.CE_ID: b"17", h.CE_SUBJECT: b"5511987654321", h.CE_TIME: b"yesterday", h.MK_DIRECTION: b"x",
        h.MK_PERSON: b"Maria", h.MK_RECEIVED_AT: b"-1", h.MK_ACCOUNT: b"", h.MK_REF: b"wamid.ONE",
        h.CE_DATASCHEMA: b"urn:example:1", h.CE_TYPE: b"message.sent",
    }  # fmt: skip
    for name, value in values.items():
        changed = set_header(headers, name, value)
        yield sealed(f"sealed with nonsense in {name}", cast.router, key, changed, reads=VIOLATION)
    for name in (
        h.CE_ID,
        h.CE_SUBJECT,
        h.CE_SOURCE,
        h.MK_ACCOUNT,
        h.MK_DIRECTION,
        h.MK_PERSON,
        h.MK_RECEIVED_AT,
    ):
        without = [pair for pair in headers if pair[0] != name]
        yield sealed(f"sealed without {name}", cast.router, key, without, reads=VIOLATION)
    crowd = event_headers(persons=[fixed(f"person {number}", 16) for number in range(65)])
    yield sealed("sealed with 65 persons", cast.router, *crowd, reads=VIOLATION)
    for name, data in {
        "data with NaN": DATA.replace(b'"Ol', b'NaN,"was":"Ol', 1),
        "data that is not UTF-8": DATA.replace(b"Ol\xc3\xa1", b"Ol\xe1"),
        "no data": b"",
    }.items():
        yield sealed(name, cast.router, key, headers, data, VIOLATION)
    yield sealed("data that is not JSON", cast.router, key, headers, DATA[:-1], VIOLATION)
    shape = sealed(
        "data of another shape than its type's", cast.router, key, headers, b'{"message":1}', VIOLATION
    )
    yield replace(shape, needs_models=True)
