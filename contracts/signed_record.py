"""Signed Kafka records that are not sealed: who said it, and a signature over purpose, signer, key and value.

What stands in them is pseudonyms, ids and times only. Must never be used for a record that holds personal data: those
are sealed (`contracts.sealing`). PRIVACY.md section 2.
"""

from __future__ import annotations

from typing import Final

from contracts.errors import TamperedRecord
from contracts.headers import Headers, index
from contracts.signing import Right, Signer, SignerLookup

SIGNED_BY: Final = "by"
SIGNATURE: Final = "sig"
_SIGNATURE_BYTES: Final = 64


def _message(purpose: bytes, by: str, key: bytes, value: bytes) -> bytes:
    name = by.encode()
    parts = (purpose, b"\x00", len(name).to_bytes(2), name, len(key).to_bytes(2), key, value)
    return b"".join(parts)


def sign_record(purpose: bytes, key: bytes, value: bytes, signer: Signer) -> list[tuple[str, bytes]]:
    """The headers of the record. `purpose`: a constant of each kind of record, with its version, without a zero byte."""
    signature = signer.sign(_message(purpose, signer.name, key, value))
    return [(SIGNED_BY, signer.name.encode()), (SIGNATURE, signature)]


def verify_record(
    purpose: bytes, key: bytes, value: bytes, headers: Headers, signers: SignerLookup, right: Right
) -> str:
    """The name of who signed it. Raises TamperedRecord unless that is a known signer who may say this."""
    by_name = index(headers)
    try:
        by = by_name[SIGNED_BY].decode("ascii")
        signature = by_name[SIGNATURE]
    except (KeyError, UnicodeDecodeError) as exc:
        raise TamperedRecord("the record is not signed") from exc
    signer = signers(by)
    if signer is None or len(key) > 0xFFFF:
        raise TamperedRecord("the record is signed by nobody known")
    signer.verify(signature, _message(purpose, by, key, value), right)
    return by


def pack(value: bytes, headers: Headers) -> bytes:
    """Value and signature of a signed record in one, to be kept in a database: name length 1 | name | signature 64 | value."""
    by_name = index(headers)
    name, signature = by_name[SIGNED_BY], by_name[SIGNATURE]
    if len(name) > 0xFF or len(signature) != _SIGNATURE_BYTES:
        raise ValueError("not the headers of a signed record")
    return b"".join((bytes((len(name),)), name, signature, value))


def unpack(packed: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Value and headers of what `pack` made. Raises TamperedRecord for bytes that it cannot have made."""
    start = 1 + packed[0] if packed else 0
    if len(packed) < start + _SIGNATURE_BYTES or not start:
        raise TamperedRecord("not a kept record")
    end = start + _SIGNATURE_BYTES
    return packed[end:], [(SIGNED_BY, packed[1:start]), (SIGNATURE, packed[start:end])]
