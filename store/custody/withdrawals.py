"""Withdraws the consent of accounts whose erasure was asked for, and says so on control: processing stops before it begins.

The erasure consumer executes nothing for an account until it reads the withdrawal on control (DESIGN.md section 7). Its
job row is all the custodian needs: killed anywhere, the next pass finds the row again. Must never delete a row of a tenant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from store.audit.log import AuditEntry, What, append
from store.custody.control import ControlPublisher, announce_account
from store.custody.database import SQL
from store.custody.errors import UnknownName
from store.database import translated

if TYPE_CHECKING:
    from store.database import Connection


async def withdraw(connection: Connection, account: UUID, by: str) -> None:
    """Withdraw an account's consent and disconnect it, in the database; `by`: for the audit log. Idempotent.

    Raises UnknownName.
    """
    with translated():
        async with connection.transaction():
            row = await connection.fetchrow(SQL["account_locked"], account)
            if row is None:
                raise UnknownName("no account of that id; mkc account list shows them")
            await connection.execute(SQL["disconnect_account"], account)
            await connection.execute(SQL["release_account_ids"], account)
            await connection.execute(SQL["withdraw_consent"], account)
            if row["state"] != "disconnected":
                entry = AuditEntry(What.ACCOUNT_DISCONNECTED, by, tenant=row["tenant_id"], item=account)
                await append(connection, entry)


class Withdrawals:
    """The custodian's duty. `said`: whose withdrawal this process has published, which it need not repeat each second."""

    def __init__(self, connection: Connection, publisher: ControlPublisher) -> None:
        self._connection, self._publisher = connection, publisher
        self._said: set[UUID] = set()

    async def tend(self) -> int:
        """Withdraw and publish what requests wait for; how many. Raises DatabaseUnavailable or BrokerUnavailable."""
        with translated():
            rows = await self._connection.fetch(SQL["withdrawals_asked_for"])
        asked: set[UUID] = {row["account_id"] for row in rows}
        self._said &= asked
        for account in sorted(asked - self._said):
            await withdraw(self._connection, account, "custodian")
            await announce_account(self._connection, self._publisher, account)
            self._said.add(account)
        return len(asked)
