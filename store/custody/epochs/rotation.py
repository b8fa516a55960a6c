"""The rotation as a whole: flip, re-wrap, export, destroy, in slices between the custodian's other duties.

What is to do is read from the database each time; this object only remembers where in a table it was. So a kill at any
instruction costs a repetition and nothing else. Whoever calls holds the custodian's lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from contracts.errors import DatabaseUnavailable, KeyServiceUnavailable
from runtime import logging
from store.custody.database import SQL as CUSTODY
from store.custody.epochs.destroy import blocked_by, destroy_root
from store.custody.epochs.export import EVERY, export_keys, prepare_places, remove_old
from store.custody.epochs.flip import TenantEpoch, epochs_of, flip_root, flip_tenant
from store.custody.epochs.rekey import rekey_some
from store.custody.epochs.rewrap import (
    BATCH,
    FIRST,
    Kek,
    open_kek,
    rewrap_batch,
    rewrap_pseudonym_key,
    still_named,
)
from store.custody.epochs.rewrap_evidence import rewrap_evidence_keys
from store.custody.epochs.sql import SQL, TenantSchema, current_tenants
from store.database import translated
from store.keys.provider import KeyProvider

if TYPE_CHECKING:
    from store.database import Connection

SLICE_S: Final = 0.5
"""How long one pass works on a rotation before other duties have their turn."""
REST: Final = 0.5
"""After each batch, of the time it took: without it a writer kept 58 % of its rate on two cores (bench_rotation)."""
STUCK_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long a root epoch lasts, and the places of exports."""

    lasts: timedelta
    places: tuple[Path, ...]
    batch: int = BATCH
    slice_s: float = SLICE_S
    rest: float = REST


@dataclass(slots=True)
class Progress:
    """What the last pass saw, for metrics. Ages in seconds; `export_age_s` None: there is no export."""

    root_age_s: float = 0.0
    retiring: int = 0
    tenants_left: int = 0
    rewrapped: int = 0
    unopened: int = 0
    """Tenants with a key that does not open."""
    export_age_s: float | None = None
    waits_for: dict[int, str] = field(default_factory=dict)


class Rotation:
    """Carries rotations on. `reached` is told of every step that stands."""

    def __init__(
        self,
        connection: Connection,
        provider: KeyProvider,
        plan: Plan,
        reached: Callable[[str], None] = lambda _step: None,
    ) -> None:
        self._connection, self._provider, self._plan = connection, provider, plan
        self._reached = reached
        self._done: set[UUID] = set()
        self._done_for: int | None = None
        self._after: dict[tuple[UUID, int], UUID] = {}
        self._stuck: dict[UUID, float] = {}
        self._unopened: dict[UUID, int] = {}
        self._waited: dict[UUID, int] = {}
        self.progress = Progress()

    async def advance(self) -> bool:
        """One slice; True when nothing is left to do now. Raises TransientError: the next pass goes on."""
        connection = self._connection
        flipped = await flip_root(connection, self._provider, self._plan.lasts)
        if flipped is not None:
            logging.get_logger().info("epoch.begun", epoch=flipped)
            self._reached("root flipped")
        with translated():
            roots = await connection.fetch(SQL["retiring_roots"])
            due = await connection.fetchrow(SQL["rotation_due"], self._plan.lasts)
        self.progress.root_age_s = 0.0 if due is None else due["age_s"]
        self.progress.retiring = len(roots)
        if not roots:
            self.progress.waits_for, self.progress.tenants_left = {}, 0
            return True
        tenants = await current_tenants(connection)
        if not await self._move_tenants(tenants):
            return self._only_stuck()
        for root in roots:
            if root["rewrapped_at"] is None:
                with translated():
                    await connection.execute(SQL["rewrapped"], root["epoch"])
                self._reached("rewrapped")
        await self.export_if_due()
        return await self._destroy_roots(tenants)

    async def export_if_due(self) -> bool:
        """Hourly, when asked for, and after a re-wrap; whether one was made."""
        with translated():
            row = await self._connection.fetchrow(SQL["export_due"], EVERY)
        assert row is not None
        self.progress.export_age_s = row["age_s"]
        if not row["due"]:
            return False
        prepare_places(self._plan.places)
        written = await export_keys(self._connection, self._provider, self._plan.places)
        self.progress.export_age_s = 0.0
        self._reached("exported")
        removed = await remove_old(self._connection, self._plan.places)
        logging.get_logger().info(
            "keys.exported",
            epoch=written.root_epoch,
            bytes=written.bytes,
            count=written.subjects,
            items=removed,
        )
        return True

    async def _move_tenants(self, tenants: Sequence[TenantSchema]) -> bool:
        """Flip and re-wrap tenant by tenant until the slice ends; True once all are moved."""
        with translated():
            root = await self._connection.fetchval(CUSTODY["current_root_epoch"])
        if root != self._done_for:
            self._done, self._after, self._waited, self._done_for = set(), {}, {}, root
        loop = asyncio.get_running_loop()
        until = loop.time() + self._plan.slice_s
        waiting: DatabaseUnavailable | None = None
        for tenant in sorted(tenants, key=lambda one: self._waited.get(one.tenant, 0)):
            if tenant.tenant in self._done or self._stuck.get(tenant.tenant, 0.0) > loop.time():
                continue
            try:
                while not await self._move(tenant, root, until):
                    if loop.time() >= until or tenant.tenant in self._stuck:
                        break
                else:
                    self._done.add(tenant.tenant)
            except DatabaseUnavailable as exc:
                # A tenant whose writers keep the lock does not hold up the others: they come first next time.
                self._waited[tenant.tenant] = self._waited.get(tenant.tenant, 0) + 1
                if self._connection.is_closed():
                    raise
                waiting = exc
            if loop.time() >= until:
                break
        self.progress.tenants_left = len([one for one in tenants if one.tenant not in self._done])
        if waiting is not None:
            raise waiting
        return self.progress.tenants_left == 0

    async def _move(self, tenant: TenantSchema, root: int, until: float) -> bool:
        """Carry one tenant on; True once none of its rows names an epoch under another root."""
        connection = self._connection
        epochs = await epochs_of(connection, tenant)
        current = next((epoch for epoch in epochs if epoch.is_current), None)
        if current is None:
            raise KeyServiceUnavailable("a tenant has no current epoch")
        if current.root_epoch != root:
            await flip_tenant(connection, self._provider, tenant, current, root)
            self._reached("tenant flipped")
            return False
        old = [epoch for epoch in epochs if not epoch.is_current]
        left = [epoch for epoch in old if await still_named(connection, tenant, epoch.epoch)]
        if not left:
            return True
        return await self._rewrap(tenant, left, current, until)

    async def _rewrap(
        self, tenant: TenantSchema, left: Sequence[TenantEpoch], current: TenantEpoch, until: float
    ) -> bool:
        connection, loop = self._connection, asyncio.get_running_loop()
        new = await open_kek(self._provider, tenant, current)
        old: list[Kek] = [await open_kek(self._provider, tenant, epoch) for epoch in left]
        keks = {kek.epoch: kek for kek in (*old, new)}
        # First: a marked subject's old key is not to be wrapped again.
        while not await rekey_some(connection, tenant, keks, new):
            if loop.time() >= until:
                return False
        self._reached("rekeyed")
        await rewrap_pseudonym_key(connection, tenant, old, new)
        place = (tenant.tenant, new.epoch)
        after = self._after.get(place, FIRST)
        if after == FIRST:
            unopened = await rewrap_evidence_keys(connection, tenant, old, new, self._plan.batch)
            self._unopened[tenant.tenant] = unopened
            self._reached("evidence")
        while True:
            began = loop.time()
            step = await rewrap_batch(connection, tenant, old, new, after, self._plan.batch)
            self._reached("batch")
            await asyncio.sleep((loop.time() - began) * self._plan.rest)
            self.progress.rewrapped += step.rewrapped
            self._unopened[tenant.tenant] = self._unopened.get(tenant.tenant, 0) + step.unopened
            if step.last is None:
                # From the start again, should a row still name an old epoch.
                self._after.pop(place, None)
                self._note_unopened(tenant)
                return False
            after = self._after[place] = step.last
            if loop.time() >= until:
                return False

    def _note_unopened(self, tenant: TenantSchema) -> None:
        """A key that does not open keeps its old epoch alive until a person has looked: tried again, but not all the time."""
        count = self._unopened.pop(tenant.tenant, 0)
        if count:
            self._stuck[tenant.tenant] = asyncio.get_running_loop().time() + STUCK_S
            logging.get_logger().error("keys.unopened", tenant=str(tenant.tenant), count=count)
        else:
            self._stuck.pop(tenant.tenant, None)
        self.progress.unopened = sum(1 for _ in self._stuck)

    def _only_stuck(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self.progress.tenants_left == sum(until > now for until in self._stuck.values())

    async def _destroy_roots(self, tenants: Sequence[TenantSchema]) -> bool:
        with translated():
            roots = await self._connection.fetch(SQL["retiring_roots"])
        left: dict[int, str] = {}
        for root in roots:
            epoch = root["epoch"]
            reason = await blocked_by(self._connection, root, tenants)
            if reason is not None:
                left[epoch] = reason
                if reason == "rewrap":
                    self._done.clear()
                with translated():
                    await self._connection.execute(SQL["waits_for"], epoch, reason)
                continue
            self._reached("unblocked")
            await destroy_root(self._connection, self._provider, epoch, tenants)
            self._reached("destroyed")
            logging.get_logger().info("epoch.destroyed", epoch=epoch)
        self.progress.waits_for = left
        self.progress.retiring = len(left)
        # What waits for a standby or the archive is looked at again by the next pass, in its own time.
        return "rewrap" not in left.values()
