"""Folds outcome lines older than seven days into one line a lane: totals stay, the table does not grow. DESIGN.md section 8.

Must never change what the lines add up to, nor touch a line that erasure or an operator may still want by itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from store.custody.database import SQL
from store.database import translated, with_names

if TYPE_CHECKING:
    from store.database import Connection

FOLDED_AFTER: Final = timedelta(days=7)
"""Longer than a tenant record lives (6 days at most): what is folded can be neither read again nor replayed."""
FOLD_EVERY: Final = timedelta(hours=1)


async def fold_outcomes(connection: Connection, now: datetime) -> int:
    """Fold every tenant's old lines, a transaction for each tenant; how many lines went into others."""
    with translated():
        tenants = await connection.fetch(SQL["provisioned_tenants"])
    folded = 0
    for row in tenants:
        with translated():
            async with connection.transaction():
                await connection.execute(SQL["become_owner"])
                folded += await connection.fetchval(
                    with_names(SQL["fold_outcomes"], schema=row["schema_name"]), now - FOLDED_AFTER
                )
    return folded
