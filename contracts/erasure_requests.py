"""Deletion events on `mk.erasure.requests.v1`: who or what is to be erased, sealed to the erasure consumer.

Headers say only what the consumer needs to route: kind, request id, tenant. A request's id is derived from its cause,
so a redelivery is the same request. Plain identifiers stand in the sealed value only. PRIVACY.md section 3.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final, Literal
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError

from contracts.errors import ContractViolation

REQUEST_NAMESPACE: Final = UUID("8f4f6a52-6a5e-5d1c-9d5e-5b1f0d4c7a10")
MK_REQUEST: Final = "mk_request"
MK_REQUEST_KIND: Final = "mk_request_kind"
MK_TENANT: Final = "mk_tenant"
"""Absent from a callback: who receives it knows no tenant."""


class _Request(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    request: UUID
    received_at_ms: int
    """Unix milliseconds: when the cause was first received."""


class MessageRequest(_Request):
    """Erase what `message_ref` names: unsent, revoked, or a comment or post removed. Hex pseudonyms, never plain ids."""

    kind: Literal["message"] = "message"
    tenant: UUID
    account: UUID
    cause: UUID
    """The event id that asked for it."""
    reason: str
    message_ref: str | None = Field(repr=False)


class AccountRequest(_Request):
    """The account was removed at Meta, or its consent withdrawn (`reason`)."""

    kind: Literal["account"] = "account"
    tenant: UUID
    account: UUID
    cause: UUID
    """The event id or the consent's proof reference."""
    reason: str
    message_ref: None = None


class Identifier(BaseModel):
    """One plain identifier of a person, as an operator or Meta's list gives it. Personal data: never printed."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Literal["phone", "bsuid", "parent_bsuid", "psid", "igsid"]
    value: str = Field(min_length=1, max_length=256, repr=False)


class SubjectRequest(_Request):
    """Erase a person whom an operator has already identified, or an entry of the list that Meta's dashboard gives."""

    kind: Literal["subject"] = "subject"
    tenant: UUID
    identifiers: tuple[Identifier, ...] = Field(min_length=1, max_length=64, repr=False)
    reason: Literal["operator", "import"]
    asked_by: str = Field(max_length=128)
    """The operator, for the audit log: not the person."""
    requested_at_ms: int
    """Unix milliseconds; of an imported entry the list's date."""


class CallbackRequest(_Request):
    """Meta's signed callback about an app-scoped id: normally a tenant's administrator (META.md section 15)."""

    kind: Literal["callback"] = "callback"
    callback: Literal["data_deletion", "deauthorized"]
    app: str
    user_id: str = Field(repr=False)
    issued_at_s: int
    code_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$", repr=False)
    """Of the confirmation code that Meta was answered with; the code itself goes no further than that answer."""


AnyRequest = MessageRequest | AccountRequest | SubjectRequest | CallbackRequest


class ErasureRequest(RootModel[Annotated[AnyRequest, Field(discriminator="kind")]]):
    """The sealed JSON value: one of the four kinds of request, told apart by `kind`."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


MAY_ASK: Final[dict[str, frozenset[str]]] = {
    "ingest": frozenset({"callback"}),
    "router": frozenset({"message", "account"}),
    "operator": frozenset({"subject", "account"}),
}
"""Kinds of requests by signer: ingest says callbacks about an app-scoped id and nothing else (PRIVACY.md section 2)."""


def parse_request(value: bytes) -> AnyRequest:
    """Read a request that was opened. Raises ContractViolation."""
    try:
        return ErasureRequest.model_validate_json(value).root
    except ValidationError as exc:
        raise ContractViolation("an erasure request cannot be read") from exc


def request_id(kind: str, cause: UUID) -> UUID:
    """The id of the request that event `cause` makes."""
    return uuid5(REQUEST_NAMESPACE, f"{kind}/{cause}")


def callback_request_id(callback: str, app: str, user_id: str, issued_at_s: int) -> UUID:
    """Of (`user_id`, `issued_at`): there is no nonce (META.md section 15). Hashed first: no id carries a plain one."""
    cause = hashlib.sha256("\x00".join((callback, app, user_id, str(issued_at_s))).encode()).hexdigest()
    return uuid5(REQUEST_NAMESPACE, f"callback/{cause}")


def callback_key(app: str, user_id: str) -> bytes:
    """The Kafka key of a callback's record: 32 bytes, so that one person's callbacks keep their order."""
    return hashlib.sha256(b"\x00".join((app.encode(), user_id.encode()))).digest()
