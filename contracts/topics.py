"""Every topic, declared once: purpose, owner, producers, consumers and configuration.

The local stack, ACLs, production manifests and the AsyncAPI document are made from this file, and `mkc doctor` holds
a running cluster against it. DESIGN.md section 3. Must never hold a client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
MIB: Final = 1_048_576

RAW: Final = "mk.raw.v1"
QUARANTINE_RAW: Final = "mk.quarantine.raw.v1"
QUARANTINE_TENANT: Final = "mk.quarantine.tenant.v1"
LEDGER: Final = "mk.ledger.v1"
CONTROL: Final = "mk.control.v1"
ERASURE_REQUESTS: Final = "mk.erasure.requests.v1"
ERASURE_FENCES: Final = "mk.erasure.fences.v1"
ERASURE_OUTCOMES: Final = "mk.erasure.outcomes.v1"
AUDIT_CHECKPOINTS: Final = "mk.audit.checkpoints.v1"

TENANT_PREFIX: Final = "mk.t."
TENANT_EVENTS_SUFFIX: Final = ".events.v1"
TENANT_KEYS_SUFFIX: Final = ".keys.v1"

PRODUCER_MAX_REQUEST_BYTES: Final = 8 * MIB
PRODUCER_REQUEST_TIMEOUT_MS: Final = 8_000
BLOCK_TARGET_BYTES: Final = 1 * MIB
"""A block closes at this size unless a single delivery is larger."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic. `partitions` is production's count, `local_partitions` that of one machine; times in ms."""

    name: str
    purpose: str
    owner: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    partitions: int
    local_partitions: int
    retention_ms: int | None
    max_message_bytes: int
    compacted: bool = False
    segment_ms: int = HOUR_MS
    extra: Mapping[str, str] = field(default_factory=dict)

    def config(self, *, retention_ms: int | None = None, segment_ms: int | None = None) -> dict[str, str]:
        """Broker-side configuration; the arguments shorten retention and segments (tests count in seconds)."""
        kept_ms = retention_ms if retention_ms is not None and not self.compacted else self.retention_ms
        return {
            "message.timestamp.type": "LogAppendTime",
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": str(-1 if kept_ms is None else kept_ms),
            "segment.ms": str(self.segment_ms if segment_ms is None else segment_ms),
            "max.message.bytes": str(self.max_message_bytes),
            **self.extra,
        }


STATIC_TOPICS: Final[tuple[TopicSpec, ...]] = (
    TopicSpec(
        RAW,
        "Verified deliveries of Meta, in sealed blocks: the only copy until the router has split them.",
        "ingest",
        ("ingest", "router"),
        ("router",),
        12,
        4,
        72 * HOUR_MS,
        5 * MIB,
    ),
    TopicSpec(
        QUARANTINE_RAW,
        "Raw records with items that could not be routed, in their original sealing, with reasons.",
        "router",
        ("router",),
        ("router", "operators"),
        4,
        4,
        6 * DAY_MS,
        8 * MIB,
    ),
    TopicSpec(
        QUARANTINE_TENANT,
        "Tenant records that could not be stored, in their original sealing, with reasons.",
        "store",
        ("store",),
        ("store", "operators"),
        4,
        4,
        6 * DAY_MS,
        8 * MIB,
    ),
    TopicSpec(
        LEDGER,
        "What became of each raw record: one line per source topic, partition and offset.",
        "router",
        ("router", "store"),
        ("custodian", "operators"),
        4,
        4,
        30 * DAY_MS,
        1 * MIB,
        segment_ms=6 * HOUR_MS,
    ),
    TopicSpec(
        CONTROL,
        "Tenants, slots, accounts, consents, public keys and grants: signed, opaque references only.",
        "custodian",
        ("custodian", "operators"),
        ("router", "store", "custodian", "erasure", "reader", "operators"),
        1,
        1,
        None,
        1 * MIB,
        compacted=True,
    ),
    TopicSpec(
        ERASURE_REQUESTS,
        "Deletion events: a subject, a message, an account, a tenant, a withdrawn consent.",
        "erasure",
        ("ingest", "router", "desk", "operators"),
        ("erasure",),
        4,
        4,
        30 * DAY_MS,
        1 * MIB,
        segment_ms=6 * HOUR_MS,
    ),
    TopicSpec(
        ERASURE_FENCES,
        "Every executed erasure: pseudonyms, generation, watermark. The restore gate reads it.",
        "erasure",
        ("erasure",),
        ("store", "erasure"),
        4,
        4,
        230 * DAY_MS,
        1 * MIB,
        segment_ms=DAY_MS,
    ),
    TopicSpec(
        ERASURE_OUTCOMES,
        "State changes and signed receipts of erasure requests; ids only.",
        "erasure",
        ("erasure",),
        ("desk", "erasure", "operators", "downstream"),
        4,
        4,
        5 * 366 * DAY_MS,
        1 * MIB,
        segment_ms=DAY_MS,
    ),
    TopicSpec(
        AUDIT_CHECKPOINTS,
        "Signed heads of the audit log's tree with the leaf hashes since the last: its anchor outside the database.",
        "erasure",
        ("erasure",),
        ("erasure", "operators"),
        1,
        1,
        5 * 366 * DAY_MS,
        1 * MIB,
        segment_ms=DAY_MS,
    ),
)

BY_NAME: Final[Mapping[str, TopicSpec]] = {spec.name: spec for spec in STATIC_TOPICS}


def tenant_events_topic(slot: str) -> str:
    """The events topic of a slot."""
    return f"{TENANT_PREFIX}{slot}{TENANT_EVENTS_SUFFIX}"


def tenant_keys_topic(slot: str) -> str:
    """The topic on which a slot's readers receive their transport keys."""
    return f"{TENANT_PREFIX}{slot}{TENANT_KEYS_SUFFIX}"


def slot_of(topic: str) -> str | None:
    """The slot of a tenant's events topic, or None for any other topic."""
    if topic.startswith(TENANT_PREFIX) and topic.endswith(TENANT_EVENTS_SUFFIX):
        return topic[len(TENANT_PREFIX) : -len(TENANT_EVENTS_SUFFIX)]
    return None


def slot_topics(slot: str, partitions: int) -> tuple[TopicSpec, TopicSpec]:
    """Declarations of the two topics of a slot; a slot's number of partitions never changes."""
    events = TopicSpec(
        tenant_events_topic(slot),
        "One tenant's events, one CloudEvent a record, sealed for that tenant.",
        "router",
        ("router", "erasure", "store"),
        ("store", "reader", "downstream"),
        partitions,
        partitions,
        72 * HOUR_MS,
        6 * MIB,
    )
    keys = TopicSpec(
        tenant_keys_topic(slot),
        "The day's private transport half, wrapped for each active grant of the tenant.",
        "custodian",
        ("custodian",),
        ("downstream",),
        1,
        1,
        7 * DAY_MS,
        1 * MIB,
    )
    return events, keys
