"""Deletes suppression data in its own time: tombstones, steps with their fences, the fences of subjects, what requests named.

A fence is kept 230 days (PRIVACY.md section 3): a window of 190 and the oldest backup. After that nothing can bring back
what it keeps out, and it would be personal data kept for nothing. Must never run against a request that is not over, nor
forget somebody who is blocked or has a key or a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from store.database import statements, translated, with_names
from store.erasure.execution.subject import FENCE_KEPT
from store.erasure.tenants import TenantSchema, alone, inside, leave

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("expiry.sql"))
AT_ONCE: Final = 500
"""Rows in one statement."""
SUBJECTS_AT_ONCE: Final = 100
"""Subjects in one transaction alone under the tenant's lock."""


@dataclass(frozen=True, slots=True)
class Expired:
    """What one pass over one tenant deleted."""

    tombstones: int = 0
    steps: int = 0
    forgotten: int = 0
    """Subjects without key and rows."""
    lifted: int = 0
    """Subjects that came back: their fence is gone."""


async def expire_tenant(
    connection: Connection, tenant: TenantSchema, kept: timedelta = FENCE_KEPT
) -> Expired:
    """One pass; at most `AT_ONCE` of each kind. `kept`: how long fences are. Raises DatabaseUnavailable."""

    def sql(name: str) -> str:
        return with_names(SQL[name], schema=tenant.schema)

    async with inside(connection, tenant):
        tombstones = _count(await connection.execute(sql("tombstones"), AT_ONCE))
        await leave(connection)
        unfinished = [
            row["request_id"] for row in await connection.fetch(SQL["open_requests"], tenant.tenant)
        ]
    async with inside(connection, tenant):
        steps = _count(await connection.execute(sql("steps"), unfinished, kept, AT_ONCE))
        waiting = [row["request_id"] for row in await connection.fetch(sql("waiting"))]
        due = [row["subject_id"] for row in await connection.fetch(sql("old_fences"), kept, AT_ONCE)]
    if waiting:
        with translated():
            over = [row["request_id"] for row in await connection.fetch(SQL["over"], waiting)]
        async with inside(connection, tenant):
            await connection.execute(sql("waits"), over)
    forgotten = lifted = 0
    for first in range(0, len(due), SUBJECTS_AT_ONCE):
        async with alone(connection, tenant):
            page = due[first : first + SUBJECTS_AT_ONCE]
            gone = [row["subject_id"] for row in await connection.fetch(sql("gone"), page, kept)]
            for statement in ("forget_aliases", "forget_links", "forget_subjects"):
                await connection.execute(sql(statement), gone)
            lifted += _count(
                await connection.execute(sql("lift_fences"), sorted(set(page) - set(gone)), kept)
            )
            forgotten += len(gone)
    return Expired(tombstones, steps, forgotten, lifted)


async def expire_requests(connection: Connection, kept: timedelta = FENCE_KEPT) -> int:
    """What old requests named; how many. Raises DatabaseUnavailable."""
    with translated():
        return _count(await connection.execute(SQL["requests"], kept, AT_ONCE))


def _count(tag: str) -> int:
    return int(tag.rpartition(" ")[2])
