"""Publishes events to tenants' topics: one outbox per tenant, so that a tenant in trouble never holds up another."""

from __future__ import annotations

from uuid import UUID

from router.outbox import Outbox, OutboxParts, Posted
from runtime.lifecycle import Supervisor


class TenantOutboxes:
    """All tenants' outboxes, made at first use."""

    def __init__(self, parts: OutboxParts, supervisor: Supervisor) -> None:
        self._parts = parts
        self._supervisor = supervisor
        self._outboxes: dict[int, Outbox] = {}
        """By the tenant's number: a UUID is hashed in Python."""

    def put(self, tenant: UUID, posted: Posted) -> None:
        """Queue one item; its order within the tenant is kept."""
        outbox = self._outboxes.get(tenant.int)
        if outbox is None:
            outbox = self._outboxes[tenant.int] = Outbox(tenant, self._parts)
            self._supervisor.start("outbox", outbox.run())
        outbox.put(posted)

    def is_unavailable(self, tenant: UUID) -> bool:
        """True while the tenant's items are set aside."""
        outbox = self._outboxes.get(tenant.int)
        return outbox is not None and outbox.unavailable
