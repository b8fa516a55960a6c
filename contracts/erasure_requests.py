"""Deletion events on `mk.erasure.requests.v1`: who or what is to be erased, sealed to the erasure consumer.

Headers say only what the consumer needs to route: kind, request id, tenant. A request's id is derived from its cause,
so a redelivery is the same request. PRIVACY.md section 3. Nobody consumes them in this version.
"""

from __future__ import annotations

from typing import Final, Literal
from uuid import UUID, uuid5

from pydantic import BaseModel, ConfigDict

REQUEST_NAMESPACE: Final = UUID("8f4f6a52-6a5e-5d1c-9d5e-5b1f0d4c7a10")
MK_REQUEST: Final = "mk_request"
MK_REQUEST_KIND: Final = "mk_request_kind"
MK_TENANT: Final = "mk_tenant"


class ErasureRequest(BaseModel):
    """One deletion event: the sealed JSON value. Hex pseudonyms, never plain ids.

    `message`: erase what `message_ref` names. `account`: the account was removed at Meta. `cause` says which event.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Literal["message", "account"]
    request: UUID
    tenant: UUID
    account: UUID
    cause: UUID
    """The event id that asked for it."""
    reason: str
    message_ref: str | None = None
    received_at_ms: int


def request_id(kind: str, cause: UUID) -> UUID:
    """The id of the request that event `cause` makes."""
    return uuid5(REQUEST_NAMESPACE, f"{kind}/{cause}")
