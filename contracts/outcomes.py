"""Outcomes on `mk.erasure.outcomes.v1`: each state that an erasure request reached, and at its end the signed receipt.

Ids, times, counts and reasons of a closed list only. `decided` is acknowledged here before anything executes. `answered` is
said once more when no reader of the tenant's topic is waited for any longer. PRIVACY.md section 3.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.errors import TamperedRecord
from contracts.headers import Headers
from contracts.signed_record import sign_record, verify_record
from contracts.signing import Right, Signer, SignerLookup

_PURPOSE: Final = b"mkchannels outcome v1"


class State(StrEnum):
    """Where a request is; it only ever goes forward."""

    RECEIVED = "received"
    IDENTITY_PENDING = "identity_pending"
    DECIDED = "decided"
    REFUSED = "refused"
    EXECUTING = "executing"
    LIVE_ERASED = "live_erased"
    ANSWERED = "answered"


class RefusalReason(StrEnum):
    """Why a request is refused: the closed list of what the requester may be told."""

    UNKNOWN_TENANT = "unknown_tenant"
    NOT_ALLOWED = "not_allowed"
    """Whoever signed the request may not ask for this."""
    NOTHING_NAMED = "nothing_named"
    """No identifier, message or account that could be looked for."""
    LEGAL_HOLD = "legal_hold"


class Outcome(BaseModel):
    """One state of one request."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    request: UUID
    tenant: UUID | None
    kind: str
    origin: str
    state: State
    at_ms: int
    """Unix milliseconds: when the state was reached."""
    requested_at_ms: int
    received_at_ms: int
    decided_at_ms: int | None = None
    executed_at_ms: int | None = None
    reason: RefusalReason | None = None
    due_on: date | None = None
    irrecoverable_on: date | None = None
    receipt: str | None = None
    """The signed receipt (`contracts.receipts`), from `answered` on."""
    readers_told: int = 0
    """Grants that were active when `subject.erased` was on every partition; from `live_erased` on, as are the next three."""
    readers_acknowledged: int = 0
    """Of these: all of the reader's consumer groups have committed past the notice."""
    readers_ended: int = 0
    """Of these: the grant ended before."""
    readers_missed: int = 0
    """Of these: the notice left the topic before the reader was seen to have passed it."""


def encode(outcome: Outcome, signer: Signer) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key (the request's 16 bytes), value and headers of the Kafka record."""
    key, value = outcome.request.bytes, outcome.model_dump_json().encode()
    return key, value, sign_record(_PURPOSE, key, value, signer)


def decode(key: bytes, value: bytes, headers: Headers, signers: SignerLookup) -> Outcome:
    """Raises TamperedRecord unless erasure signed it and it stands under its request."""
    verify_record(_PURPOSE, key, value, headers, signers, Right.SIGN_OUTCOMES)
    try:
        outcome = Outcome.model_validate_json(value)
    except ValidationError as exc:
        raise TamperedRecord("an outcome cannot be read") from exc
    if outcome.request.bytes != key:
        raise TamperedRecord("an outcome stands under another request")
    return outcome
