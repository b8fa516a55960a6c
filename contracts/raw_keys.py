"""The signed file by which the router tells the receivers its public keys.

A receiver has no read rights on Kafka at all: it watches this file as it watches its secrets. DESIGN.md sections 2 and 7.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import datetime
from typing import Final

from pydantic import Base64Bytes, BaseModel, ConfigDict, ValidationError

from contracts.errors import TamperedRecord
from contracts.hybrid import HybridPublicKey
from contracts.signing import KnownSigner, Right, Signer

_MESSAGE: Final = b"mkchannels raw keys v1\x00"


class RawKey(BaseModel):
    """One public key of the router's. Times are aware UTC; nothing is sealed to it outside them."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    public_key: Base64Bytes
    active_from: datetime
    seal_until: datetime


class _KeyList(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    keys: tuple[RawKey, ...]


class _SignedFile(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    by: str
    keys: str
    signature: str


def encode(keys: tuple[RawKey, ...], signer: Signer) -> bytes:
    """The file's bytes: JSON with the signed text inside it, so that no canonical form is needed."""
    text = _KeyList(keys=keys).model_dump_json()
    signature = b64encode(signer.sign(_MESSAGE + text.encode())).decode()
    return _SignedFile(by=signer.name, keys=text, signature=signature).model_dump_json().encode()


def decode(raw: bytes, router: KnownSigner) -> tuple[RawKey, ...]:
    """Raises TamperedRecord unless the pinned router signed it, and nothing beside what it signed was changed."""
    try:
        signed = _SignedFile.model_validate_json(raw)
        signature = b64decode(signed.signature, validate=True)
        router.verify(signature, _MESSAGE + signed.keys.encode(), Right.SIGN_RAW_KEYS)
        keys = _KeyList.model_validate_json(signed.keys).keys
    except (ValidationError, ValueError) as exc:
        raise TamperedRecord("the raw key file cannot be read") from exc
    # The last character of a Base64 text has bits that say nothing: one spelling, as everywhere.
    if signed.by != router.name or b64encode(signature).decode() != signed.signature:
        raise TamperedRecord("the raw key file is not as it was signed")
    return keys


def current(keys: tuple[RawKey, ...], now: datetime) -> tuple[HybridPublicKey, datetime] | None:
    """The key to seal to now, with its `seal_until`: of those active, the youngest. None: fail closed."""
    usable = [key for key in keys if key.active_from <= now < key.seal_until]
    if not usable:
        return None
    chosen = max(usable, key=lambda key: key.active_from)
    return HybridPublicKey.from_bytes(chosen.public_key), chosen.seal_until
