"""Fences on `mk.erasure.fences.v1`: every erasure that was executed, so that a restored database erases again.

A fence says which pseudonyms and message refs are gone, through which generation, up to which second. It is suppression
data: kept 230 days (a window of 190 and the oldest backup), named in the receipt, and never holds a plain identifier.
PRIVACY.md section 3 "Fence".
"""

from __future__ import annotations

from typing import Annotated, Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.errors import TamperedRecord
from contracts.headers import Headers
from contracts.signed_record import pack, sign_record, unpack, verify_record
from contracts.signing import Right, Signer, SignerLookup
from contracts.subject_erased import HexPseudonym

_PURPOSE: Final = b"mkchannels fence v1"

HexRef = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class Fence(BaseModel):
    """One step of one request: one subject, or one message. Applying it twice changes nothing."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    request: UUID
    tenant: UUID
    subject: UUID
    """The subject's id where it was erased; in another database the pseudonyms decide. For a message whose sender was
    not known, and for an account: the request's id."""
    pseudonyms: tuple[HexPseudonym, ...] = Field(default=(), repr=False)
    """Every alias of the subject; empty for a message."""
    generation: int = Field(ge=0, le=32_767)
    """Erased through this generation; 0 for a message."""
    watermark_s: int | None = None
    """Unix seconds: what is not strictly later is gone. None for a message."""
    executed_at_us: int
    """Unix microseconds: when it was executed, as the broker's clock can have shown it at the latest. What it first took no
    later is gone."""
    undated: tuple[HexRef, ...] = Field(default=(), repr=False)
    """Ids of undated rows that were erased."""
    refs: tuple[HexRef, ...] = Field(default=(), repr=False)
    """Of a message: the refs that were erased, with every row that has them. Of a person: refs of what they wrote; what names
    nobody and has one stays out."""
    account: UUID | None = None
    """An account whose rows were erased: nothing of it is stored any more, for its id is never given again."""


def encode(fence: Fence, signer: Signer) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key (the tenant's 16 bytes), value and headers of the Kafka record."""
    key, value = fence.tenant.bytes, fence.model_dump_json().encode()
    return key, value, sign_record(_PURPOSE, key, value, signer)


def decode(key: bytes, value: bytes, headers: Headers, signers: SignerLookup) -> Fence:
    """Raises TamperedRecord unless erasure signed it and it stands under its tenant."""
    verify_record(_PURPOSE, key, value, headers, signers, Right.SIGN_FENCES)
    try:
        fence = Fence.model_validate_json(value)
    except ValidationError as exc:
        raise TamperedRecord("a fence cannot be read") from exc
    if fence.tenant.bytes != key:
        raise TamperedRecord("a fence stands under another tenant")
    return fence


def keep(value: bytes, headers: Headers) -> bytes:
    """The record's value and signature in one, for `erasure_step.fence`: what is written again if the topic is lost."""
    return pack(value, headers)


def signed_again(packed: bytes, signer: Signer) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of what `keep` packed, signed by `signer`: its key may be another by now. Raises TamperedRecord."""
    key, value, _ = kept(packed)
    return key, value, sign_record(_PURPOSE, key, value, signer)


def kept(packed: bytes) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of a record that `keep` packed. Raises TamperedRecord. Verifies nothing: `decode` does."""
    value, headers = unpack(packed)
    try:
        return Fence.model_validate_json(value).tenant.bytes, value, headers
    except ValidationError as exc:
        raise TamperedRecord("a fence cannot be read") from exc
