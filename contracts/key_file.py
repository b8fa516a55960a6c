"""The signed files that tell the receivers to which public keys they may seal: the router's, and erasure's.

A receiver has no read rights on Kafka at all: it watches these files as it watches its secrets. DESIGN.md sections 2
and 7. Must never hold a private key.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import Base64Bytes, BaseModel, ConfigDict, ValidationError

from contracts.errors import TamperedRecord
from contracts.hybrid import HybridPublicKey
from contracts.signing import KnownSigner, Right, Signer


class PublishedKey(BaseModel):
    """One public key of whom the file is about. Times are aware UTC; nothing is sealed to it outside them."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    public_key: Base64Bytes
    active_from: datetime
    seal_until: datetime


class _KeyList(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    keys: tuple[PublishedKey, ...]


class _SignedFile(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    by: str
    keys: str
    signature: str


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One kind of such file. `purpose`: what its signature begins with; `right`: what its signer must be allowed."""

    purpose: bytes
    right: Right

    def encode(self, keys: tuple[PublishedKey, ...], signer: Signer) -> bytes:
        """The file's bytes: JSON with the signed text inside it, so that no canonical form is needed."""
        text = _KeyList(keys=keys).model_dump_json()
        signature = b64encode(signer.sign(self.purpose + text.encode())).decode()
        return _SignedFile(by=signer.name, keys=text, signature=signature).model_dump_json().encode()

    def decode(self, raw: bytes, signer: KnownSigner) -> tuple[PublishedKey, ...]:
        """Raises TamperedRecord unless the pinned signer signed it, and nothing beside what it signed was changed."""
        try:
            signed = _SignedFile.model_validate_json(raw)
            signature = b64decode(signed.signature, validate=True)
            signer.verify(signature, self.purpose + signed.keys.encode(), self.right)
            keys = _KeyList.model_validate_json(signed.keys).keys
        except (ValidationError, ValueError) as exc:
            raise TamperedRecord("the key file cannot be read") from exc
        # The last character of a Base64 text has bits that say nothing: one spelling, as everywhere.
        if signed.by != signer.name or b64encode(signature).decode() != signed.signature:
            raise TamperedRecord("the key file is not as it was signed")
        return keys


RAW_KEYS: Final = KeyFile(b"mkchannels raw keys v1\x00", Right.SIGN_RAW_KEYS)
"""The router's keys for `mk.raw.v1`, written by the router."""
REQUEST_KEYS: Final = KeyFile(b"mkchannels request keys v1\x00", Right.SIGN_REQUEST_KEYS)
"""Erasure's keys for `mk.erasure.requests.v1`, written by the custodian, which makes them (ADR 3)."""


def current_key(keys: tuple[PublishedKey, ...], now: datetime) -> tuple[HybridPublicKey, datetime] | None:
    """The key to seal to now, with its `seal_until`: of those active, the youngest. None: fail closed."""
    usable = [key for key in keys if key.active_from <= now < key.seal_until]
    if not usable:
        return None
    chosen = max(usable, key=lambda key: key.active_from)
    return HybridPublicKey.from_bytes(chosen.public_key), chosen.seal_until
