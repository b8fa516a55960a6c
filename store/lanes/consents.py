"""Which accounts control refuses: disconnected, consent withdrawn, or not the tenant's. DESIGN.md section 4.5.

The router judged at routing time; the store applies control as well and ends a withdrawn account's backlog as `refused`.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from contracts.control import ControlView


class ControlSource(Protocol):
    """The view, and a way to bring it up to date."""

    view: ControlView

    async def catch_up(self) -> None:
        """Raises BrokerUnavailable."""


class Consents:
    """Consent of accounts, as control says now."""

    def __init__(self, control: ControlSource) -> None:
        self._control = control

    async def refused(self, accounts: set[UUID], tenant: UUID) -> frozenset[UUID]:
        """Those of `accounts` whose events may not be stored. Raises BrokerUnavailable.

        An account not heard of is looked up again with control at its end before it is refused.
        """
        known = self._control.view.accounts
        if any(account not in known for account in accounts):
            await self._control.catch_up()
        return frozenset(account for account in accounts if not self._is_allowed(account, tenant))

    def _is_allowed(self, account: UUID, tenant: UUID) -> bool:
        record = self._control.view.accounts.get(account)
        return (
            record is not None
            and record.tenant == tenant
            and record.state == "connected"
            and record.consent.state == "active"
        )
