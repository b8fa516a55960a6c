"""The form of a metric's declaration. The declarations themselves are `contracts.metrics` and `contracts.erasure_metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric. `labels` maps each label to its closed set; an empty set is a bounded open one (app, secret id)."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    process: Literal["ingest", "router", "store", "custodian", "erasure", "desk", "all"]
    help: str
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()


GATE_REFUSALS: Final = ("ahead", "other_topic", "expired", "unverified", "tenant_unready", "defect")
"""Why nobody writes: this database is after the end of the fence topic; it knows another topic of that name; retention
took fences that it lacks; a fence is not erasure's; a tenant's schema is not there yet; Postgres refused one."""
AUDIT_REFUSALS: Final = ("no_head", "unverified", "other_key", "other_tree", "other_entries", "older")
"""Why the audit log is not gone on with: entries have places that no signed head gave; a kept head is forged; it is signed by
a key that control does not announce; the kept heads are of no one tree; entries are not those of the heads; a receipt names
a tree that neither the topic nor the database has."""
