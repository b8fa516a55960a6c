"""Makes a job row of a request: pseudonyms for plain identifiers, a time that is not later than the record's own.

A row, its position and its audit entry are one transaction, and `received` is acknowledged before it commits. The same
request again changes nothing. Must never store a plain identifier.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from contracts.erasure_requests import (
    MAY_ASK,
    AccountRequest,
    MessageRequest,
    SubjectRequest,
)
from contracts.errors import ContractViolation
from contracts.outcomes import Outcome, State
from store.erasure.jobs import SQL, unix_ms
from store.erasure.requests.identifiers import pseudonym_key, pseudonyms_of
from store.erasure.requests.opening import OpenedRequest
from store.erasure.tenants import find_tenant
from store.lanes.keks import TenantKeks

if TYPE_CHECKING:
    from store.database import Connection
    from store.erasure.at_meta.deletion import AtMeta

_ORIGINS = {
    "unsent": "message",
    "account_removed": "account",
    "consent_withdrawn": "account",
    "data_deletion": "callback",
    "deauthorized": "callback",
    "operator": "subject",
    "import": "subject",
}
"""Why a request was made, and the kind that it then has."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A row to be."""

    request_id: UUID
    tenant_id: UUID | None
    kind: str
    origin: str
    asked_by: str
    account_id: UUID | None
    message_ref: bytes | None = field(repr=False)
    pseudonyms: tuple[bytes, ...] = field(repr=False)
    details: bytes | None = field(repr=False)
    requested_at: datetime
    received_at: datetime
    code_sha256: bytes | None = field(default=None, repr=False)

    def outcome(self) -> Outcome:
        """`received`, as the outcomes topic is told before the row is there."""
        return Outcome(
            request=self.request_id,
            tenant=self.tenant_id,
            kind=self.kind,
            origin=self.origin,
            state=State.RECEIVED,
            at_ms=unix_ms(self.received_at),
            requested_at_ms=unix_ms(self.requested_at),
            received_at_ms=unix_ms(self.received_at),
        )


async def admitted(
    connection: Connection,
    keks: TenantKeks,
    opened: OpenedRequest,
    broker_time_ms: int,
    at_meta: AtMeta | None = None,
) -> Admitted:
    """The row that a request makes. Raises ContractViolation; KeyNotYetKnown, KeyServiceUnavailable or
    DatabaseUnavailable while its pseudonyms cannot be computed."""
    request = opened.request
    received_at = _moment(request.received_at_ms, broker_time_ms)
    requested_at, pseudonyms = received_at, tuple[bytes, ...]()
    origin: str
    account: UUID | None = None
    ref: bytes | None = None
    code: bytes | None = None
    kept: bytes | None = None
    match request:
        case MessageRequest():
            origin, account = request.reason, request.account
            ref = _ref(request.message_ref)
        case AccountRequest():
            origin, account = request.reason, request.account
        case SubjectRequest():
            origin, requested_at = request.reason, _moment(request.requested_at_ms, broker_time_ms)
            tenant = await find_tenant(connection, request.tenant)
            # Of what will be refused not even pseudonyms are kept.
            if tenant is not None and request.kind in MAY_ASK.get(opened.asked_by, frozenset()):
                pseudonyms = pseudonyms_of(await pseudonym_key(connection, tenant, keks), request.identifiers)
                kept = await _kept(request, at_meta, broker_time_ms)
        case _:
            origin, requested_at = request.callback, _moment(request.issued_at_s * 1000, broker_time_ms)
            # Of whom ingest may not ask for not even a hash is kept.
            if opened.administrator is not None and request.kind in MAY_ASK.get(opened.asked_by, frozenset()):
                pseudonyms = (opened.administrator,)
            code = None if request.code_sha256 is None else bytes.fromhex(request.code_sha256)
    if _ORIGINS.get(origin) != request.kind:
        raise ContractViolation("a request has a reason of another kind")
    return Admitted(
        request.request,
        opened.tenant,
        request.kind,
        origin,
        opened.asked_by,
        account,
        ref,
        pseudonyms,
        kept,
        requested_at,
        received_at,
        code,
    )


async def insert(connection: Connection, row: Admitted) -> bool:
    """Insert it; False if the request is a row already, or was told to be further before a restore. Raises ContractViolation if that row is another's request."""
    if row.code_sha256 is not None:
        await connection.execute(SQL["add_code"], row.code_sha256, row.request_id)
    made = await connection.fetchval(
        SQL["admit"],
        row.request_id,
        row.tenant_id,
        row.kind,
        row.origin,
        row.asked_by,
        row.account_id,
        row.message_ref,
        list(row.pseudonyms),
        row.details,
        row.requested_at,
        row.received_at,
    )
    if made is not None:
        return bool(made == State.RECEIVED.value)
    same = await connection.fetchval(
        SQL["is_same"], row.request_id, row.tenant_id, row.kind, row.account_id, row.message_ref
    )
    if not same:
        raise ContractViolation("the id is another request's")
    return False


async def _kept(request: SubjectRequest, at_meta: AtMeta | None, broker_time_ms: int) -> bytes | None:
    """Encrypted: the BSUIDs by which Meta is asked to forget the person, too. None where nobody will ask."""
    if at_meta is None:
        return None
    bsuids = [one.value for one in request.identifiers if one.kind == "bsuid"]
    now = datetime.fromtimestamp(broker_time_ms / 1000, UTC)
    return await at_meta.kept(request.request, request.tenant, bsuids, now)


def _moment(unix_ms_given: int, broker_time_ms: int) -> datetime:
    """What a signer says, but never later than the record's own time: nobody's clock makes a request young."""
    given = min(unix_ms_given, broker_time_ms)
    if given < 0:
        raise ContractViolation("a request is of before 1970")
    return datetime.fromtimestamp(given / 1000, UTC)


def _ref(encoded: str | None) -> bytes | None:
    if encoded is None:
        return None
    try:
        ref = bytes.fromhex(encoded)
    except ValueError as exc:
        raise ContractViolation("a message ref is not one") from exc
    if len(ref) != 16:
        raise ContractViolation("a message ref is not one")
    return ref
