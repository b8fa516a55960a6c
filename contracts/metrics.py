"""Every metric, declared once with help text and closed label sets. Must never hold a client.

A label value outside its declared set is a programming error. No label ever carries an id of a person, a tenant's name
or a payload. DESIGN.md section 9.
"""

from __future__ import annotations

from typing import Final

from contracts import erasure_metrics
from contracts.ledger import Outcome, Refusal
from contracts.meta_fields import LABELS as META_FIELDS
from contracts.metric_spec import GATE_REFUSALS, MetricSpec

PROCESSES: Final = ("ingest", "router", "store", "custodian", "erasure", "desk")

REJECTION_CODES: Final = (
    "invalid_signature_missing", "invalid_signature_malformed", "invalid_signature_mismatch", "invalid_signature_no_secret",
    "malformed_request", "verify_token_mismatch", "unknown_app", "payload_too_large", "request_timeout",
    "overloaded_queue_age", "overloaded_queue_full", "overloaded_broker", "overloaded_no_key", "overloaded_connections",
)  # fmt: skip
CALLBACK_RESULTS: Final = (
    "accepted", "invalid_signature", "malformed_request", "unsupported_algorithm", "unknown_app", "payload_too_large",
    "request_timeout", "too_many_requests", "overloaded",
)  # fmt: skip
QUARANTINE_REASONS: Final = (
    "not_json", "contract_violation", "unknown_object", "unroutable", "account_mismatch", "tampered", "key_gone",
    "time_out_of_range", "defect", "tenant_unavailable", "replay_limit", "too_large",
)  # fmt: skip
OBJECTS: Final = ("page", "instagram", "whatsapp_business_account", "permissions", "user", "other")


_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_AGES: Final = (0.01, 0.03, 0.1, 0.15, 0.3, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0)

# What every process says.
PROCESS_READY: Final = MetricSpec("mk_process_ready", "gauge", "all", "1 while /readyz answers 200.")
LOG_KEYS_DROPPED: Final = MetricSpec(
    "mk_log_keys_dropped_total", "counter", "all", "Log keys dropped: not on the allow-list."
)
CONTROL_APPLIED: Final = MetricSpec(
    "mk_control_records_applied_total", "counter", "all", "Control records applied to the view."
)
CONTROL_REFUSED: Final = MetricSpec(
    "mk_control_records_refused_total",
    "counter",
    "all",
    "Control records whose signature or form is wrong: page.",
)

# ingest
INGEST_ACCEPTED: Final = MetricSpec(
    "mk_ingest_deliveries_accepted_total",
    "counter",
    "ingest",
    "Deliveries answered 200: durable.",
    {"app": ()},
)
INGEST_REJECTED: Final = MetricSpec(
    "mk_ingest_deliveries_rejected_total",
    "counter",
    "ingest",
    "Deliveries refused, by code.",
    {"code": REJECTION_CODES},
)
INGEST_SECRET_USED: Final = MetricSpec(
    "mk_ingest_secret_matches_total",
    "counter",
    "ingest",
    "Verified deliveries by the secret id that matched.",
    {"app": (), "secret_id": ()},
)
INGEST_HANDSHAKES: Final = MetricSpec(
    "mk_ingest_handshakes_total",
    "counter",
    "ingest",
    "Verification handshakes answered, by result.",
    {"result": ("accepted", "refused")},
)
INGEST_CALLBACKS: Final = MetricSpec(
    "mk_ingest_callbacks_total",
    "counter",
    "ingest",
    "Meta's data-deletion and deauthorise callbacks, by result; what is not accepted was made no request.",
    {"callback": ("data_deletion", "deauthorized", "unknown"), "result": CALLBACK_RESULTS},
)
INGEST_REQUEST_KEY_LEFT: Final = MetricSpec(
    "mk_ingest_request_key_left_seconds",
    "gauge",
    "ingest",
    "Until erasure's newest public key ends: at 0 callbacks are answered 503.",
)
INGEST_BLOCKS: Final = MetricSpec(
    "mk_ingest_blocks_published_total", "counter", "ingest", "Sealed blocks acknowledged by the broker."
)
INGEST_BLOCK_DELIVERIES: Final = MetricSpec(
    "mk_ingest_block_deliveries",
    "histogram",
    "ingest",
    "Deliveries in a block.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
)
INGEST_ACK_SECONDS: Final = MetricSpec(
    "mk_ingest_ack_seconds",
    "histogram",
    "ingest",
    "From a verified delivery to the broker's acknowledgement.",
    buckets=_SECONDS,
)
INGEST_QUEUE_AGE: Final = MetricSpec(
    "mk_ingest_oldest_waiting_seconds",
    "gauge",
    "ingest",
    "Age of the oldest delivery that waits for its block.",
)
INGEST_CONNECTIONS: Final = MetricSpec(
    "mk_ingest_connections", "gauge", "ingest", "Open connections on the public port."
)
INGEST_KEY_LEFT: Final = MetricSpec(
    "mk_ingest_sealing_key_left_seconds",
    "gauge",
    "ingest",
    "Until the router's newest public key ends: 0 is not ready.",
)

# router
ROUTER_BLOCKS: Final = MetricSpec(
    "mk_router_blocks_routed_total", "counter", "router", "Raw records with a ledger line."
)
ROUTER_DELIVERIES: Final = MetricSpec(
    "mk_router_deliveries_routed_total", "counter", "router", "Deliveries in them."
)
ROUTER_EVENTS: Final = MetricSpec(
    "mk_router_events_published_total", "counter", "router", "Events acknowledged on tenants' topics."
)
ROUTER_QUARANTINED: Final = MetricSpec(
    "mk_router_items_quarantined_total",
    "counter",
    "router",
    "Items set aside, by reason.",
    {"reason": QUARANTINE_REASONS},
)
ROUTER_REFUSED: Final = MetricSpec(
    "mk_router_items_refused_total",
    "counter",
    "router",
    "Items refused, by reason.",
    {"reason": tuple(Refusal)},
)
ROUTER_UNKNOWN: Final = MetricSpec(
    "mk_router_unknown_items_total",
    "counter",
    "router",
    "Items whose kind has no type of its own, by Meta's object and field.",
    {"object": OBJECTS, "field": META_FIELDS},
)
ROUTER_OLDEST: Final = MetricSpec(
    "mk_router_oldest_unrouted_seconds", "gauge", "router", "Age of the oldest raw record not yet routed."
)
ROUTER_LAG: Final = MetricSpec(
    "mk_router_lag_records", "gauge", "router", "Raw records fetched or waiting, not yet committed."
)
ROUTER_PROVIDER_UP: Final = MetricSpec(
    "mk_router_key_provider_up",
    "gauge",
    "router",
    "1 while what keeps the router's keys answers. Tenants whose key was read go on without it.",
)
ROUTER_SECONDS: Final = MetricSpec(
    "mk_router_received_to_published_seconds",
    "histogram",
    "router",
    "From broker time of a raw record to its events' acknowledgement.",
    buckets=_AGES,
)
ROUTER_REQUESTS: Final = MetricSpec(
    "mk_router_erasure_requests_total",
    "counter",
    "router",
    "Deletion events written, by kind.",
    {"kind": ("message", "account")},
)
ROUTER_PAUSED: Final = MetricSpec(
    "mk_router_partitions_paused",
    "gauge",
    "router",
    "Raw partitions paused: back-pressure, or a key not yet known.",
)

# store
STORE_OUTCOMES: Final = MetricSpec(
    "mk_store_records_total",
    "counter",
    "store",
    "Tenant records with an outcome, by outcome.",
    {"outcome": tuple(Outcome)},
)
STORE_QUARANTINED: Final = MetricSpec(
    "mk_store_records_quarantined_total",
    "counter",
    "store",
    "Tenant records set aside, by reason.",
    {"reason": QUARANTINE_REASONS},
)
STORE_TRANSACTION_SECONDS: Final = MetricSpec(
    "mk_store_transaction_seconds",
    "histogram",
    "store",
    "One transaction of one or more lanes.",
    buckets=_SECONDS,
)
STORE_TRANSACTION_ROWS: Final = MetricSpec(
    "mk_store_transaction_rows",
    "histogram",
    "store",
    "Records in one transaction.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
STORE_LANES: Final = MetricSpec(
    "mk_store_lanes",
    "gauge",
    "store",
    "Lanes by state.",
    {"state": ("idle", "running", "waiting", "faulted", "paused")},
)
STORE_OLDEST: Final = MetricSpec(
    "mk_store_oldest_unstored_seconds",
    "gauge",
    "store",
    "Age of the oldest tenant record fetched and not yet in a transaction that committed.",
)
STORE_SECONDS: Final = MetricSpec(
    "mk_store_accepted_to_stored_seconds",
    "histogram",
    "store",
    "From the raw record's broker time to the committed row.",
    buckets=_AGES,
)
STORE_DATABASE_ERRORS: Final = MetricSpec(
    "mk_store_database_errors_total",
    "counter",
    "store",
    "Transactions that failed, by cause.",
    {"cause": ("unavailable", "lock_timeout", "position_lost", "partition_missing", "other")},
)
STORE_EXPIRED_UNREAD: Final = MetricSpec(
    "mk_store_expired_unread_offsets_total",
    "counter",
    "store",
    "Offsets that retention removed before they were read: page.",
)

STORE_PROVIDER_UP: Final = MetricSpec(
    "mk_store_key_provider_up",
    "gauge",
    "store",
    "1 while the key provider answers. What is open goes on without it.",
)

STORE_GATE_OPEN: Final = MetricSpec(
    "mk_store_restore_gate_open",
    "gauge",
    "store",
    "1 while this database holds every fence of the fence topic: at 0 nothing is written, page.",
)
STORE_GATE_REFUSALS: Final = MetricSpec(
    "mk_store_restore_gate_refusals_total",
    "counter",
    "store",
    "Connections that were not let write, by reason.",
    {"reason": GATE_REFUSALS},
)
STORE_FENCES_APPLIED: Final = MetricSpec(
    "mk_store_fences_applied_total",
    "counter",
    "store",
    "Fences that this database lacked: it was restored, or a standby took over.",
)

# custodian
CUSTODIAN_SLOTS_FREE: Final = MetricSpec(
    "mk_custodian_slots_free", "gauge", "custodian", "Free slots ready for new tenants."
)
CUSTODIAN_TENANTS: Final = MetricSpec(
    "mk_custodian_tenants",
    "gauge",
    "custodian",
    "Tenants by state.",
    {"state": ("requested", "provisioned", "ready", "paused", "leaving")},
)
CUSTODIAN_PROVISION_SECONDS: Final = MetricSpec(
    "mk_custodian_provision_seconds",
    "histogram",
    "custodian",
    "From a tenant request to tenant.ready.",
    buckets=_AGES,
)
CUSTODIAN_KEY_LEFT: Final = MetricSpec(
    "mk_custodian_shortest_key_left_seconds",
    "gauge",
    "custodian",
    "Until the first tenant has no key to seal to.",
)
CUSTODIAN_PARTITION_LEFT: Final = MetricSpec(
    "mk_custodian_shortest_partition_left_seconds",
    "gauge",
    "custodian",
    "Until the first tenant has no table partition for new events.",
)
CUSTODIAN_LEDGER_GAP: Final = MetricSpec(
    "mk_custodian_ledger_gap_records",
    "gauge",
    "custodian",
    "Records older than 60 s without an end in the ledger: page above 0.",
)
CUSTODIAN_ERRORS: Final = MetricSpec(
    "mk_custodian_failed_passes_total",
    "counter",
    "custodian",
    "Passes of a duty that failed and will be repeated.",
    {
        "duty": (
            "slots",
            "provision",
            "keys",
            "partitions",
            "control",
            "ledger",
            "schemas",
            "epochs",
            "exports",
            "grants",
            "withdrawals",
        )
    },
)
CUSTODIAN_EPOCH_AGE: Final = MetricSpec(
    "mk_custodian_root_epoch_age_seconds",
    "gauge",
    "custodian",
    "Age of the current root epoch: page above 7.5 days, erased keys would outlive their promise.",
)
CUSTODIAN_EPOCHS_RETIRING: Final = MetricSpec(
    "mk_custodian_root_epochs_retiring",
    "gauge",
    "custodian",
    "Old root epochs that are not destroyed yet: page when above 0 for 12 hours.",
)
CUSTODIAN_REWRAP_TENANTS: Final = MetricSpec(
    "mk_custodian_rewrap_tenants_left", "gauge", "custodian", "Tenants that a rotation has still to move."
)
CUSTODIAN_REWRAPPED: Final = MetricSpec(
    "mk_custodian_rewrapped_keys_total", "counter", "custodian", "Keys of persons wrapped under a new epoch."
)
CUSTODIAN_UNOPENED: Final = MetricSpec(
    "mk_custodian_unopened_key_tenants",
    "gauge",
    "custodian",
    "Tenants with a wrapped key that does not open: page above 0.",
)
CUSTODIAN_EXPORT_AGE: Final = MetricSpec(
    "mk_custodian_key_export_age_seconds",
    "gauge",
    "custodian",
    "Age of the newest verified export of the key tables: page above 2 hours; -1 while there is none.",
)
CUSTODIAN_PROVIDER_UP: Final = MetricSpec(
    "mk_custodian_key_provider_up", "gauge", "custodian", "1 while the key provider answers."
)

# desk
DESK_PAGES: Final = MetricSpec(
    "mk_desk_pages_total",
    "counter",
    "desk",
    "Status pages answered: a request shown, no such code, too many from one address, the database away, anything else.",
    {"result": ("shown", "unknown", "limited", "unavailable", "other")},
)

METRICS: Final[tuple[MetricSpec, ...]] = tuple(
    value
    for value in (*list(globals().values()), *vars(erasure_metrics).values())
    if isinstance(value, MetricSpec)
)
"""All of them, in the order above."""
