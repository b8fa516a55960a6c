"""What executors work with, and the points at which a test may kill them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import UUID

from contracts.control import ControlView
from contracts.signing import Signer
from runtime.clock import Clock
from runtime.epochs import EpochSource
from runtime.kafka.clients import Producer
from runtime.metrics import ProcessMetrics
from store.erasure.clocks import BrokerClock
from store.lanes.keks import TenantKeks

if TYPE_CHECKING:
    from store.database import Connection
    from store.erasure.at_meta.deletion import AtMeta
    from store.erasure.telling.log_ends import LogEnds


class Step(StrEnum):
    """What stands after each part of the work; the next attempt goes on from there."""

    ADMITTED = "admitted"
    DECIDED = "decided"
    TOLD = "told"
    """An outcome is acknowledged, and the row says so."""
    EXECUTED = "executed"
    """The transaction under the tenant's lock is committed: the key is gone."""
    REFS_NAMED = "refs_named"
    """A subject's fence names the refs of what was written."""
    SOME_DELETED = "some_deleted"
    DELETED = "deleted"
    FENCED = "fenced"
    ANNOUNCED = "announced"
    WAITING = "waiting"
    """The ends that the lanes must pass are noted."""
    LIVE_ERASED = "live_erased"
    ANSWERED = "answered"


def _nobody(_request: UUID, _step: Step) -> None:
    return


@dataclass(frozen=True, slots=True)
class Tools:
    """One worker's. `connection` is its own, as the login mk_erasure, outside any transaction."""

    connection: Connection
    producer: Producer
    signer: Signer
    epochs: EpochSource
    """Seals announcements to tenants, under erasure's own signing key."""
    view: ControlView
    keks: TenantKeks
    log_ends: LogEnds
    clock: Clock
    metrics: ProcessMetrics
    reached: Callable[[UUID, Step], None] = _nobody
    """Told of every step that stands."""
    restricted_for: timedelta = timedelta(hours=72)
    """How long an account's erasure waits, unless a second person approves it."""
    clocks: BrokerClock = field(default_factory=BrokerClock)
    """How far database and broker are apart; all workers' one."""
    at_meta: AtMeta | None = None
    """Keeps, encrypted, by which names Meta is to be asked; None: nothing is kept and nobody asks."""
