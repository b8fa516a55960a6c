"""Record headers: the names, the canonical encoding that seals and signatures cover, and the signed `q_*` facts.

`ce_*` and `mk_*` are sealed with the record, `ek_*` carry the sealed epoch key, `q_*` are facts added after sealing,
signed by whoever added them. PRIVACY.md section 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Final

from contracts.errors import TamperedRecord
from contracts.signing import Right, Signer, SignerLookup

Headers = Sequence[tuple[str, bytes]]

CE_SPECVERSION: Final = "ce_specversion"
CE_ID: Final = "ce_id"
CE_SOURCE: Final = "ce_source"
CE_TYPE: Final = "ce_type"
CE_TIME: Final = "ce_time"
CE_SUBJECT: Final = "ce_subject"
CE_TENANT: Final = "ce_tenant"
CE_DATASCHEMA: Final = "ce_dataschema"
CE_DATACONTENTTYPE: Final = "ce_datacontenttype"
MK_PERSON: Final = "mk_person"
"""Comma-separated hex pseudonyms of every alias that the item names, most specific first (DESIGN.md section 5)."""
MK_RECEIVED_AT: Final = "mk_received_at"
"""Broker time of the raw record, Unix milliseconds, decimal."""
MK_REF: Final = "mk_ref"
"""Hex pseudonym of (account, Meta's message id): joins edits and unsends to messages. Absent without such an id."""
MK_ACCOUNT: Final = "mk_account"
"""Our uuid of the account that the event belongs to."""
MK_DIRECTION: Final = "mk_dir"
"""`i` inbound, `o` outbound, `s` the system's."""
MK_COUNT: Final = "mk_count"
"""Deliveries in a raw block, decimal."""
MK_SIZE: Final = "mk_size"
"""Bytes of a raw block before compression, decimal: bounds the decompression."""

EK_STATEMENT: Final = "ek_statement"
EK_KEY: Final = "ek_key"
EK_SIG: Final = "ek_sig"

Q_TOPIC: Final = "q_topic"
Q_PARTITION: Final = "q_partition"
Q_OFFSET: Final = "q_offset"
Q_RECEIVED_AT: Final = "q_received_at"
"""Broker time of the *first* raw record, Unix milliseconds, decimal."""
Q_ITEMS: Final = "q_items"
"""JSON list of [item path, reason code]; an empty path is the whole record."""
Q_REPLAY: Final = "q_replay"
Q_BY: Final = "q_by"
Q_SIG: Final = "q_sig"

_SEALED: Final = ("ce_", "mk_")
_LONGEST_NAME: Final = 1_024
_U16: Final = Struct(">H")
_U32: Final = Struct(">I")
_LENGTHS: Final = tuple(_U32.pack(number) for number in range(256))
_USUAL_HEADERS: Final = 32


class _Unusual(Exception):
    """More or longer names than any record of ours has: nothing to remember."""


def sealed_digest(topic: str, headers: Sequence[tuple[str, bytes]]) -> bytes:
    """SHA-256 over the topic and all `ce_*` and `mk_*` headers, sorted by name, each length-prefixed.

    Raises TamperedRecord if one of these names stands twice (a reader might take either).
    """
    try:
        at, names = _order(tuple([name for name, _ in headers]))
    except _Unusual:
        covered = sorted([pair for pair in headers if pair[0][:3] in _SEALED])
        return hashlib.sha256(_canonical(topic, covered)).digest()
    values = [headers[i][1] for i in at]
    parts: list[bytes] = [b""] * (3 * len(at))
    parts[::3] = names
    parts[1::3] = [_LENGTHS[n] if (n := len(value)) < 256 else _U32.pack(n) for value in values]
    parts[2::3] = values
    return hashlib.sha256(_name(topic) + b"".join(parts)).digest()


@lru_cache(maxsize=1_024)
def _order(names: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[bytes, ...]]:
    """Where the sealed headers stand, in canonical order, and their encoded names: the same in every record of a kind."""
    if len(names) > _USUAL_HEADERS or sum(map(len, names)) > _LONGEST_NAME:
        raise _Unusual
    sealed = sorted((name, at) for at, name in enumerate(names) if name[:3] in _SEALED)
    if len({name for name, _ in sealed}) != len(sealed):
        raise TamperedRecord("a header stands twice")
    return tuple(at for _, at in sealed), tuple(_name(name) for name, _ in sealed)


def _canonical(topic: str, pairs: Sequence[tuple[str, bytes]]) -> bytes:
    parts = [_name(topic)]
    previous = None
    for header, value in pairs:
        if header == previous:
            raise TamperedRecord("a header stands twice")
        previous = header
        parts += (_name(header), _U32.pack(len(value)), value)
    return b"".join(parts)


def canonical_topic(topic: str) -> bytes:
    """How the bytes that `sealed_digest` hashes begin, for whoever joins them from parts that are kept."""
    return _name(topic)


def canonical_header(header: str, value: bytes) -> bytes:
    """One header in these bytes. They stand sorted by name."""
    return _name(header) + _U32.pack(len(value)) + value


def canonical_start(header: str, length: int) -> bytes:
    """A header whose value of `length` bytes follows."""
    return _name(header) + _U32.pack(length)


@lru_cache(maxsize=1_024)
def _name(text: str) -> bytes:
    """Length and bytes of a header's or topic's name: few, and the same in every record. Raises TamperedRecord."""
    encoded = text.encode()
    if len(encoded) > _LONGEST_NAME:
        raise TamperedRecord("a header's name is longer than any of ours")
    return _U16.pack(len(encoded)) + encoded


def index(headers: Headers) -> dict[str, bytes]:
    """Headers by name. Raises TamperedRecord if a name stands twice or has no value (Kafka's null)."""
    found = dict(headers)
    if len(found) != len(headers):
        raise TamperedRecord("a header stands twice")
    if None in found.values():
        raise TamperedRecord("a header has no value")
    return found


def _q_message(value: bytes, headers: Headers) -> bytes:
    original = sorted(pair for pair in headers if not pair[0].startswith("q_"))
    added = sorted(pair for pair in headers if pair[0].startswith("q_") and pair[0] != Q_SIG)
    return b"".join(
        (
            b"mkchannels q-facts v1\x00",
            hashlib.sha256(value).digest(),
            hashlib.sha256(_canonical("", original)).digest(),
            _canonical("", added),
        )
    )


def add_q_facts(
    value: bytes, original: Headers, facts: Mapping[str, bytes], signer: Signer
) -> list[tuple[str, bytes]]:
    """The original headers (older `q_*` replaced) with `facts`, `q_by` and `q_sig` added and signed.

    Never fails on what somebody else wrote: a record is set aside *because* its headers are wrong. Of a name that stands
    twice the first is kept, a null value becomes empty, a name that no signature can cover is left out.
    """
    first: dict[str, bytes] = {}
    for name, content in original:
        if not name.startswith("q_") and len(name.encode()) <= _LONGEST_NAME:
            first.setdefault(name, content or b"")
    headers = list(first.items())
    headers += sorted(facts.items())
    headers.append((Q_BY, signer.name.encode()))
    headers.append((Q_SIG, signer.sign(_q_message(value, headers))))
    return headers


def verify_q_facts(value: bytes, headers: Headers, lookup: SignerLookup, right: Right) -> dict[str, bytes]:
    """The `q_*` facts, checked; an empty dict if there are none. Raises TamperedRecord otherwise."""
    facts = {name: content for name, content in index(headers).items() if name.startswith("q_")}
    if not facts:
        return {}
    try:
        signer = lookup(facts[Q_BY].decode("ascii"))
        signature = facts[Q_SIG]
    except (KeyError, UnicodeDecodeError) as exc:
        raise TamperedRecord("added facts are not signed") from exc
    if signer is None:
        raise TamperedRecord("added facts are signed by nobody we know")
    signer.verify(signature, _q_message(value, headers), right)
    return facts
