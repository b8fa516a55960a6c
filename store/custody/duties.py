"""One pass of the custodian's duties, under its lock: what each does is in its own module, here is only the order.

A duty that fails transiently is counted and repeated by the next pass; it does not hold up the others.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from contracts.errors import TransientError
from contracts.metrics import (
    CUSTODIAN_EPOCH_AGE,
    CUSTODIAN_EPOCHS_RETIRING,
    CUSTODIAN_ERRORS,
    CUSTODIAN_EXPORT_AGE,
    CUSTODIAN_KEY_LEFT,
    CUSTODIAN_LEDGER_GAP,
    CUSTODIAN_PARTITION_LEFT,
    CUSTODIAN_PROVISION_SECONDS,
    CUSTODIAN_REWRAP_TENANTS,
    CUSTODIAN_REWRAPPED,
    CUSTODIAN_SLOTS_FREE,
    CUSTODIAN_TENANTS,
    CUSTODIAN_UNOPENED,
)
from runtime import logging
from runtime.clock import Clock
from runtime.kafka.topics import TopicAdmin
from runtime.metrics import ProcessMetrics
from runtime.secrets import Secrets
from store.custody.access import Access
from store.custody.control import Announced, ControlPublisher, announce_all
from store.custody.database import SQL
from store.custody.epochs.rotation import Plan, Rotation
from store.custody.errors import NoFreeSlot
from store.custody.fold import FOLD_EVERY, fold_outcomes
from store.custody.grants import GrantKeySender, tend_grants
from store.custody.keys import Recipient, destroy_ended_keys, ensure_keys, ensure_root_epoch
from store.custody.ledger import overdue_records
from store.custody.partitions import ensure_partitions
from store.custody.provision import Provisioner
from store.custody.request_keys import RequestKeyFile
from store.custody.slots import ensure_slots, free_counts
from store.custody.tenant_schema import migrate_tenants
from store.custody.withdrawals import Withdrawals
from store.database import translated
from store.keys.provider import KeyProvider

if TYPE_CHECKING:
    from store.database import Connection

TENANT_STATES: Final = ("requested", "provisioned", "ready", "paused", "leaving")
Duty = Literal[
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
]


@dataclass(frozen=True, slots=True)
class Tools:
    """What the duties work with, apart from the database connection."""

    kafka: str
    tls: ssl.SSLContext | None
    access: Access | None
    """None where Kafka checks no permissions."""
    grant_keys: GrantKeySender
    admin: TopicAdmin
    publisher: ControlPublisher
    announced: Announced
    provider: KeyProvider
    store_secrets: Secrets
    router_secrets: Secrets
    erasure_secrets: Secrets
    public_keys: Path
    request_keys: RequestKeyFile
    headroom: dict[int, int]
    clock: Clock
    metrics: ProcessMetrics
    plan: Plan


class Duties:
    """All duties over one connection. `slots_ready`: whether the last pass found a free slot of each kept size; `failed`:
    whether a duty of the last pass failed.
    """

    def __init__(self, connection: Connection, tools: Tools) -> None:
        self._connection, self._tools = connection, tools
        self._provisioner = Provisioner(
            connection,
            tools.store_secrets,
            tools.router_secrets,
            tools.provider,
            tools.publisher,
            tools.announced,
            tools.clock,
        )
        self._rotation = Rotation(connection, tools.provider, tools.plan)
        self._withdrawn = Withdrawals(connection, tools.publisher)
        self.slots_ready = False
        self.failed = False
        self._waiting = False
        self._folded_at: datetime | None = None

    async def quick_pass(self) -> bool:
        """New tenants and slots: cheap enough for every second. True when nothing is left to do."""
        self.failed = self._waiting = False
        await self._attempt("withdrawals", self._withdrawals)
        await self._attempt("grants", self._grants)
        # A root epoch is made by the full pass, which comes first after a start.
        await self._attempt("provision", self._provision)
        await self._attempt("slots", self._slots)
        await self._attempt("epochs", self._epochs)
        await self._attempt("exports", self._exports)
        return not (self.failed or self._waiting)

    async def woken_pass(self) -> bool:
        """What somebody may wait for: a tenant, or a partition that a lane found missing. True when nothing is left."""
        done = await self.quick_pass()
        await self._attempt("partitions", self._partitions)
        return done and not self.failed

    async def full_pass(self) -> bool:
        """Everything. True when nothing is left to do."""
        self.failed = self._waiting = False
        await self._attempt("withdrawals", self._withdrawals)
        await self._attempt("grants", self._compare_access)
        await self._attempt("keys", self._root_epoch)
        await self._attempt("provision", self._provision)
        await self._attempt("slots", self._slots)
        await self._attempt("keys", self._keys)
        await self._attempt("control", self._control)
        await self._attempt("partitions", self._partitions)
        await self._attempt("schemas", self._schemas)
        await self._attempt("epochs", self._epochs)
        await self._attempt("exports", self._exports)
        await self._attempt("ledger", self._ledger)
        return not (self.failed or self._waiting)

    async def _attempt(self, duty: Duty, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except NoFreeSlot:
            # Not a failure: the slots duty comes right after, and the pass after it binds one.
            self._waiting = True
        except TransientError as exc:
            if self._connection.is_closed():
                raise
            self.failed = True
            self._tools.metrics.counter(CUSTODIAN_ERRORS, duty).inc()
            logging.get_logger().warning("duty.failed", name=duty, exc=exc)

    async def _provision(self) -> None:
        waiting: NoFreeSlot | None = None
        for tenant, state in await self._provisioner.unfinished():
            try:
                seconds = await self._provisioner.provision(tenant, state)
            except NoFreeSlot as exc:
                # Tenants of the other size go on.
                waiting = exc
                continue
            if seconds is not None:
                self._tools.metrics.histogram(CUSTODIAN_PROVISION_SECONDS).observe(seconds)
        if waiting is not None:
            raise waiting

    async def _grants(self, *, compare: bool = False) -> None:
        tools = self._tools
        changed = await tend_grants(
            self._connection,
            tools.access,
            tools.grant_keys,
            tools.publisher,
            tools.store_secrets,
            tools.clock.now(),
            compare=compare,
        )
        if changed:
            logging.get_logger().info("grants.changed", count=changed)

    async def _withdrawals(self) -> None:
        await self._withdrawn.tend()

    async def _compare_access(self) -> None:
        await self._grants(compare=True)

    async def _slots(self) -> None:
        tools = self._tools
        made = await ensure_slots(
            self._connection, tools.admin, tools.publisher, tools.headroom, tools.access
        )
        if made:
            logging.get_logger().info("slots.made", count=made)
        counts = await free_counts(self._connection)
        tools.metrics.gauge(CUSTODIAN_SLOTS_FREE).set(sum(free for free, _ in counts.values()))
        self.slots_ready = all(
            counts.get(partitions, (0, 0))[0] > 0 for partitions, wanted in tools.headroom.items() if wanted
        )
        with translated():
            rows = await self._connection.fetch(SQL["tenant_states"])
        by_state = {row["state"]: row["count"] for row in rows}
        for state in TENANT_STATES:
            tools.metrics.gauge(CUSTODIAN_TENANTS, state).set(by_state.get(state, 0))

    async def _root_epoch(self) -> None:
        await ensure_root_epoch(self._connection, self._tools.provider)

    async def _schemas(self) -> None:
        made, behind = await migrate_tenants(self._connection)
        if made or behind:
            logging.get_logger().info("schemas.migrated", count=made, items=behind)

    async def _epochs(self) -> None:
        progress, metrics = self._rotation.progress, self._tools.metrics
        before = progress.rewrapped
        try:
            if not await self._rotation.advance():
                self._waiting = True
        finally:
            metrics.counter(CUSTODIAN_REWRAPPED).inc(progress.rewrapped - before)
            metrics.gauge(CUSTODIAN_EPOCH_AGE).set(progress.root_age_s)
            metrics.gauge(CUSTODIAN_EPOCHS_RETIRING).set(progress.retiring)
            metrics.gauge(CUSTODIAN_REWRAP_TENANTS).set(progress.tenants_left)
            metrics.gauge(CUSTODIAN_UNOPENED).set(progress.unopened)

    async def _exports(self) -> None:
        progress = self._rotation.progress
        try:
            await self._rotation.export_if_due()
        finally:
            age_s = progress.export_age_s
            self._tools.metrics.gauge(CUSTODIAN_EXPORT_AGE).set(-1.0 if age_s is None else age_s)

    async def _keys(self) -> None:
        tools, now = self._tools, self._tools.clock.now()
        with translated():
            tenants = await self._connection.fetch(SQL["provisioned_tenants"])
        recipients = [Recipient.erasure(tools.erasure_secrets)]
        recipients += [Recipient.tenant(row["tenant_id"], tools.store_secrets) for row in tenants]
        made = 0
        for recipient in recipients:
            made += await ensure_keys(self._connection, recipient, now)
        if await tools.request_keys.publish(self._connection, now):
            logging.get_logger().info("request_keys.published")
        destroyed = await destroy_ended_keys(
            self._connection, tools.store_secrets, tools.erasure_secrets, now
        )
        if made or destroyed:
            logging.get_logger().info("keys.changed", count=made, items=destroyed)
        with translated():
            first_end = await self._connection.fetchval(
                SQL["last_seal_until"], [recipient.name for recipient in recipients]
            )
        tools.metrics.gauge(CUSTODIAN_KEY_LEFT).set((first_end - now).total_seconds())

    async def _control(self) -> None:
        tools = self._tools
        count = await announce_all(
            self._connection, tools.publisher, tools.announced, tools.public_keys, tools.clock.now()
        )
        if count:
            logging.get_logger().info("control.completed", count=count)

    async def _ledger(self) -> None:
        overdue = await overdue_records(self._tools.kafka, self._connection, self._tools.tls)
        self._tools.metrics.gauge(CUSTODIAN_LEDGER_GAP).set(overdue)
        if overdue:
            logging.get_logger().error("ledger.behind", records=overdue)
        now = self._tools.clock.now()
        if self._folded_at is None or now - self._folded_at >= FOLD_EVERY:
            folded = await fold_outcomes(self._connection, now)
            self._folded_at = now
            if folded:
                logging.get_logger().info("ledger.folded", count=folded)

    async def _partitions(self) -> None:
        made, left_s = await ensure_partitions(self._connection, self._tools.clock.now())
        if made:
            logging.get_logger().info("partitions.made", count=made)
        if left_s is not None:
            self._tools.metrics.gauge(CUSTODIAN_PARTITION_LEFT).set(left_s)
