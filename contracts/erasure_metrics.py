"""The metrics of the erasure process, a part of `contracts.metrics.METRICS`."""

from __future__ import annotations

from typing import Final

from contracts.metric_spec import AUDIT_REFUSALS, GATE_REFUSALS, MetricSpec

_KINDS: Final = ("subject", "message", "account", "callback")
_STATES: Final = (
    "received",
    "identity_pending",
    "decided",
    "refused",
    "executing",
    "live_erased",
    "answered",
)
ERASURE_RECEIVED: Final = MetricSpec(
    "mk_erasure_requests_received_total",
    "counter",
    "erasure",
    "Records of the requests topic, by what they are: new, the same request again, or nothing that can be believed or read.",
    {"result": ("new", "repeated", "tampered", "contract_violation", "wrong_recipient", "key_gone", "other")},
)
ERASURE_TRANSITIONS: Final = MetricSpec(
    "mk_erasure_requests_total",
    "counter",
    "erasure",
    "States that requests reached, acknowledged on the outcomes topic.",
    {"kind": _KINDS, "state": _STATES},
)
ERASURE_AT_META: Final = MetricSpec(
    "mk_erasure_meta_deletions_total",
    "counter",
    "erasure",
    "Calls of Meta's contact-book deletion, by result; given_up: the receipt says that Meta did not confirm.",
    {"result": ("deleted", "failed", "given_up")},
)
ERASURE_OPEN: Final = MetricSpec(
    "mk_erasure_requests_open",
    "gauge",
    "erasure",
    "Requests that are not at their end, by kind and state.",
    {"kind": _KINDS, "state": _STATES},
)
ERASURE_FAILED: Final = MetricSpec(
    "mk_erasure_attempts_failed_total",
    "counter",
    "erasure",
    "Attempts on a request that could not go on, by the error's code; they are repeated.",
    {
        "code": (
            "lanes_behind",
            "database_unavailable",
            "broker_unavailable",
            "tenant_unavailable",
            "key_service_unavailable",
            "key_not_yet_known",
            "no_executor",
            "clocks_apart",
            "defect",
            "other",
        )
    },
)
ERASURE_SHRED_SECONDS: Final = MetricSpec(
    "mk_erasure_request_to_shred_seconds",
    "histogram",
    "erasure",
    "From the request's record on Kafka to the person's key being gone.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 60.0, 3600.0, 86400.0),
)
ERASURE_FENCES: Final = MetricSpec(
    "mk_erasure_fences_total",
    "counter",
    "erasure",
    "Fences, by what was done: published after an erasure, or applied from the topic to a database that lacked them.",
    {"what": ("published", "applied")},
)
ERASURE_AT_RISK: Final = MetricSpec(
    "mk_erasure_requests_at_risk",
    "gauge",
    "erasure",
    "Open requests by the days left until they are due: page above 0 in `overdue` and `3`.",
    {"days": ("overdue", "3", "7", "15", "more", "none")},
)
ERASURE_WAITING_LANES: Final = MetricSpec(
    "mk_erasure_oldest_waiting_for_lanes_seconds",
    "gauge",
    "erasure",
    "Age of the oldest executed request that waits for its tenant's lanes: page above 10 minutes.",
)
ERASURE_READERS: Final = MetricSpec(
    "mk_erasure_reader_notices_total",
    "counter",
    "erasure",
    "Readers of tenants' topics, for each erasure they were told of, and what became of it: a grant that ended is not waited"
    " for; missed: the notice left the topic before the reader was seen to have passed it.",
    {"result": ("told", "acknowledged", "ended", "missed")},
)
ERASURE_UNACKNOWLEDGED: Final = MetricSpec(
    "mk_erasure_requests_unacknowledged",
    "gauge",
    "erasure",
    "Requests that a reader of the tenant's topic has not acknowledged, by the hours since it was told at most: ask the"
    " reader's owner above 0 in `72` and `more`.",
    {"hours": ("1", "24", "72", "more")},
)
ERASURE_ACTING: Final = MetricSpec(
    "mk_erasure_acting", "gauge", "erasure", "1 in the process that acts, 0 in one that stands by."
)
ERASURE_LAG: Final = MetricSpec(
    "mk_erasure_requests_unread", "gauge", "erasure", "Records on the requests topic that are not rows yet."
)
ERASURE_PROVIDER_UP: Final = MetricSpec(
    "mk_erasure_key_provider_up", "gauge", "erasure", "1 while the key provider answers."
)
ERASURE_FENCES_APPLIED: Final = MetricSpec(
    "mk_erasure_fences_applied_total",
    "counter",
    "erasure",
    "Fences that this database lacked when erasure came to it: it was restored, or a standby took over.",
)
ERASURE_GATE_OPEN: Final = MetricSpec(
    "mk_erasure_restore_gate_open",
    "gauge",
    "erasure",
    "1 while the database holds every fence of the fence topic: at 0 nothing is executed, page.",
)
ERASURE_GATE_REFUSALS: Final = MetricSpec(
    "mk_erasure_restore_gate_refusals_total",
    "counter",
    "erasure",
    "Connections on which nothing was executed, by reason.",
    {"reason": GATE_REFUSALS},
)
ERASURE_AUDIT_TRUSTED: Final = MetricSpec(
    "mk_erasure_audit_trusted",
    "gauge",
    "erasure",
    "1 while the audit log is the one that was signed: at 0 nothing is signed and nothing executed, page.",
)
ERASURE_AUDIT_REFUSALS: Final = MetricSpec(
    "mk_erasure_audit_refusals_total",
    "counter",
    "erasure",
    "Times that the audit log was not gone on with, by reason.",
    {"reason": AUDIT_REFUSALS},
)
ERASURE_AUDIT_ANCHORED: Final = MetricSpec(
    "mk_erasure_audit_anchored_entries",
    "gauge",
    "erasure",
    "Entries in the audit log's newest tree that this process anchored outside the database.",
)
ERASURE_AUDIT_WAITING: Final = MetricSpec(
    "mk_erasure_audit_oldest_waiting_seconds",
    "gauge",
    "erasure",
    "Age of the oldest entry of the audit log that has no place in the anchored tree: page above 60 s.",
)
ERASURE_CLOCK_DIFFERENCE: Final = MetricSpec(
    "mk_erasure_clock_difference_seconds",
    "gauge",
    "erasure",
    "The database's time less the broker's, as last measured on an acknowledged outcome; positive: the broker is behind. Page"
    " above 0.5 or below -0.5: at 1 s (a setting) no person's erasure is executed.",
)
ERASURE_CLOCK_BOUND: Final = MetricSpec(
    "mk_erasure_clock_difference_bound_seconds",
    "gauge",
    "erasure",
    "How far off that difference can be: half the round trip of the measurement.",
)
