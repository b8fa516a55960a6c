"""Receipts of erasures: what was erased, how and when, what stays until when and why, who was told; signed, offline verifiable.

A receipt is a file: the canonical JSON of `SignedReceipt`, by which alone and the company's public receipt key anybody can
check it. Ids drawn at random, counts, dates and words of closed lists only: no personal data, no pseudonym.
PRIVACY.md section 3 "Receipt".
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Final, Literal
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.audit_checkpoints import HexHash
from contracts.canonical import canonical, is_canonical
from contracts.errors import ReceiptChanged, ReceiptSignerUnknown, ReceiptUnreadable
from contracts.receipt_words import Audience, Category, IdentityCheck, KeptThing, Method, Norm, System
from contracts.signing import Signer

_PURPOSE: Final = b"mkchannels receipt v1\x00"
MOST_BYTES: Final = 1 << 20

KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Milliseconds = Annotated[int, Field(ge=0, lt=1 << 53)]
Count = Annotated[int, Field(ge=0, lt=1 << 53)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ReceiptParty(_Part):
    """A controller or operator of the data (LGPD art. 5 VI and VII)."""

    role: Literal["controller", "operator"]
    party: Literal["tenant", "mkchannels"]
    tenant: UUID | None = None
    """The tenant's id, if the party is one."""


class ErasedCategory(_Part):
    """How much of one category of data was erased."""

    category: Category
    count: Count


class Removal(_Part):
    """One system: by what method, when. `at_ms`: done; `on`: the date by which a remaining copy has expired."""

    system: System
    method: Method
    at_ms: Milliseconds | None = None
    on: date | None = None


class ErasedSubject(_Part):
    """One person or message of the request, by numbers only."""

    generation: int = Field(ge=0, le=32_767)
    """Everything through this generation of its key is gone; 0 for a single message."""
    watermark_s: int | None
    """Unix seconds: everything up to and including that second is gone. None for a single message."""
    executed_at_ms: Milliseconds


class Kept(_Part):
    """What stays, by which norms, and until when. `until` None: as long as the contract."""

    what: KeptThing
    norms: tuple[Norm, ...] = Field(min_length=1)
    until: date | None


class Told(_Part):
    """Who was told of the erasure, and when."""

    who: Audience
    at_ms: Milliseconds
    count: Count | None = None
    """How many of them there were, where that is counted: the readers who had a grant."""


class AuditRoot(_Part):
    """A signed, anchored head of the audit log that holds this request's entries."""

    tree_size: int = Field(gt=0, lt=1 << 53)
    root: HexHash


class ErasureReceipt(_Part):
    """Everything that the signature covers. Times are Unix milliseconds, dates those of America/Sao_Paulo."""

    version: Literal[1, 2, 3] = 3
    """2 says how many were told (`Told.count`), 3 names what backups hold of deleted rows apart from the rows
    (`postgres.row_metadata`): a system is named once. Receipts of earlier versions verify as before."""
    protocol: UUID
    """The protocol number: the request's id."""
    signer: KeyId
    """Which receipt key signed."""
    kind: Literal["subject", "message", "account", "callback"]
    origin: Literal[
        "unsent",
        "account_removed",
        "consent_withdrawn",
        "data_deletion",
        "deauthorized",
        "operator",
        "import",
        "join",
    ]
    """What asked for it."""
    parties: tuple[ReceiptParty, ...] = Field(min_length=1, max_length=4)
    identity: IdentityCheck
    requested_at_ms: Milliseconds
    received_at_ms: Milliseconds
    decided_at_ms: Milliseconds
    executed_at_ms: Milliseconds | None
    """None: there was nothing to execute."""
    live_erased_at_ms: Milliseconds
    irrecoverable_on: date | None
    """From that date on no copy opens any more. None: nothing was there."""
    due_on: date | None
    issued_at_ms: Milliseconds
    subjects: tuple[ErasedSubject, ...] = Field(max_length=100_000)
    erased: tuple[ErasedCategory, ...] = Field(max_length=64)
    removals: tuple[Removal, ...] = Field(max_length=256)
    kept: tuple[Kept, ...] = Field(max_length=64)
    told: tuple[Told, ...] = Field(max_length=64)
    audit: AuditRoot


class SignedReceipt(_Part):
    """The file: canonical JSON of the receipt and 64 bytes of Ed25519 over `mkchannels receipt v1`, a zero byte and the
    canonical JSON of `receipt`."""

    receipt: ErasureReceipt
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")


def key_id(public_raw: bytes) -> str:
    """How receipts name their key: 16 hex digits of SHA-256 of its 32 bytes."""
    return hashlib.sha256(public_raw).hexdigest()[:16]


def sign(receipt: ErasureReceipt, signer: Signer) -> bytes:
    """The file's bytes. Raises ValueError if the receipt names another key."""
    if receipt.signer != key_id(signer.public_raw):
        raise ValueError("the receipt names another key")
    body = receipt.model_dump(mode="json")
    return canonical({"receipt": body, "signature": signer.sign(_PURPOSE + canonical(body)).hex()})


def read_keys(text: str) -> dict[str, bytes]:
    """The public receipt keys of a file: one base64 line each, old ones too. Raises ValueError."""
    keys = [b64decode(line, validate=True) for line in text.split()]
    if not keys or any(len(key) != 32 for key in keys):
        raise ValueError("not a file of public receipt keys")
    return {key_id(key): key for key in keys}


def verify(raw: bytes, keys: Mapping[str, bytes]) -> ErasureReceipt:
    """The receipt of a file, with one newline at its end or none. Needs nothing but the public keys, by `key_id`.

    Raises ReceiptUnreadable (not one byte-exact receipt), ReceiptSignerUnknown or ReceiptChanged (the signature is of
    another content).
    """
    raw = raw.removesuffix(b"\n")
    if len(raw) > MOST_BYTES or not is_canonical(raw):
        raise ReceiptUnreadable("not the bytes of a receipt")
    try:
        signed = SignedReceipt.model_validate_json(raw)
    except ValidationError as exc:
        raise ReceiptUnreadable("a receipt has other members") from exc
    public = keys.get(signed.receipt.signer)
    if public is None:
        raise ReceiptSignerUnknown("signed with a key that is not in the file of public keys")
    message = _PURPOSE + canonical(json.loads(raw)["receipt"])
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(bytes.fromhex(signed.signature), message)
    except (InvalidSignature, ValueError) as exc:
        raise ReceiptChanged("the signature is of another content") from exc
    return signed.receipt
