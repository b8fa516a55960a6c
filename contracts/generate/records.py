"""What else lies on the topics beside Meta's events: notices, ledger lines, control records, erasure requests.

Each has a name and a version of its own, so that a change that breaks its readers is seen as one of an event's is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel

from contracts import audit_checkpoints, erasure_requests, fences, outcomes, receipts, subject_erased, topics
from contracts.control import (
    AccountRecord,
    GrantRecord,
    SignerRecord,
    SlotRecord,
    TenantRecord,
    TransportKeyRecord,
)
from contracts.grants import GrantKeyRecord
from contracts.ledger import ExpiredLine, RawLine


@dataclass(frozen=True, slots=True)
class RecordType:
    """One kind of record. `topic`: a name, or TENANT_EVENTS; `key`: what the Kafka key is; `sealed`: its value is;
    `is_within`: no record of its own, but the text of a member of one on that topic."""

    name: str
    version: int
    model: type[BaseModel]
    topic: str
    key: str
    sealed: bool = False
    is_within: bool = False

    @property
    def urn(self) -> str:
        """The `$id` of its schema."""
        if self.name == subject_erased.SUBJECT_ERASED:
            return subject_erased.DATASCHEMA
        return f"urn:mkchannels:record:{self.name}:{self.version}"


TENANT_KEYS: Final = topics.tenant_keys_topic("{slot}")
TENANT_EVENTS: Final = topics.tenant_events_topic("{slot}")

RECORDS: Final = (
    RecordType(
        subject_erased.SUBJECT_ERASED,
        subject_erased.VERSION,
        subject_erased.SubjectErased,
        TENANT_EVENTS,
        "the request's id, 16 bytes",
        sealed=True,
    ),
    RecordType("ledger.raw", 1, RawLine, topics.LEDGER, "`topic:partition:offset` of the raw record"),
    RecordType(
        "ledger.expired_unread", 1, ExpiredLine, topics.LEDGER, "`topic:partition:first offset` of the gap"
    ),
    RecordType("control.signer", 1, SignerRecord, topics.CONTROL, "`signer/<name>`"),
    RecordType(
        "control.transport_key", 1, TransportKeyRecord, topics.CONTROL, "`transport/<recipient>/<key id>`"
    ),
    RecordType("control.slot", 1, SlotRecord, topics.CONTROL, "`slot/<slot>`"),
    RecordType("control.tenant", 1, TenantRecord, topics.CONTROL, "`tenant/<tenant>`"),
    RecordType("control.account", 1, AccountRecord, topics.CONTROL, "`account/<account>`"),
    RecordType("control.grant", 1, GrantRecord, topics.CONTROL, "`grant/<grant>`"),
    RecordType("grant.key", 1, GrantKeyRecord, TENANT_KEYS, "the grant's id, 16 bytes"),
    RecordType(
        "erasure.request",
        2,
        erasure_requests.ErasureRequest,
        topics.ERASURE_REQUESTS,
        "the tenant's id, 16 bytes; of a callback SHA-256 of app and user id, 32 bytes",
        sealed=True,
    ),
    RecordType("erasure.fence", 1, fences.Fence, topics.ERASURE_FENCES, "the tenant's id, 16 bytes"),
    RecordType("erasure.outcome", 1, outcomes.Outcome, topics.ERASURE_OUTCOMES, "the request's id, 16 bytes"),
    RecordType(
        "erasure.receipt",
        3,
        receipts.SignedReceipt,
        topics.ERASURE_OUTCOMES,
        "none: it is the text of `receipt` of an `erasure.outcome`, and the file that `mkc receipt verify` takes",
        is_within=True,
    ),
    RecordType(
        "audit.checkpoint",
        1,
        audit_checkpoints.Checkpoint,
        topics.AUDIT_CHECKPOINTS,
        "the tree's size, 8 bytes, big-endian",
    ),
)
