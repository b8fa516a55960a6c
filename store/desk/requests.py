"""How a request stands, by its confirmation code. Only the code's hash is ever compared, and every code is looked up.

Must never keep, log or return a code.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from store.database import statements, translated

if TYPE_CHECKING:
    import asyncpg

    Pool = asyncpg.Pool[asyncpg.Record]

SQL: Final = statements(Path(__file__).with_name("queries.sql"))
BRASILIA: Final = timezone(timedelta(hours=-3))
"""America/Sao_Paulo, which keeps no summer time since 2019 (Decreto 9.772/2019)."""
LATEST: Final = timedelta(days=26)
"""15 Brazilian business days are 26 calendar days at most (PRIVACY.md section 3)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the page says. Dates are those of Brasília."""

    stage: Literal["processing", "completed", "refused"]
    reason: str | None
    received_on: date
    due_on: date
    ended_on: date | None
    irrecoverable_on: date | None


async def standing(pool: Pool, code: str) -> Standing | None:
    """How the request of that code stands; None if there is none. Raises DatabaseUnavailable.

    Whatever stands for a code is hashed and looked up in the same way, so the time taken says nothing of it.
    """
    digest = hashlib.sha256(code.encode("utf-8", "replace")).digest()
    with translated():
        row = await pool.fetchrow(SQL["erasure_page"], digest, timeout=5)
    if row is None:
        return None
    return Standing(
        stage=row["stage"],
        reason=row["reason"],
        received_on=_day(row["received_at"]),
        due_on=row["due_on"] or _day(row["received_at"] + LATEST),
        ended_on=None if row["ended_at"] is None else _day(row["ended_at"]),
        irrecoverable_on=row["irrecoverable_on"],
    )


def _day(moment: datetime) -> date:
    return moment.astimezone(BRASILIA).date()
