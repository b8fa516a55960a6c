"""Notices when far too many items are outside the time window: then it is the broker's clock, not the items. Pure.

More than 1 % *and* 1,000 items of two or more tenants within a minute hold the router until that minute is over
(DESIGN.md section 8): whoever is paged has time to look before a whole topic goes to quarantine.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

WINDOW_S: Final = 60.0
MOST_OUTSIDE: Final = 1_000
MOST_SHARE: Final = 0.01


class TimeGuard:
    """Counts one minute after the other; times are monotonic seconds."""

    def __init__(self) -> None:
        self._until_s = 0.0
        self._judged = 0
        self._outside = 0
        self._tenants: set[UUID] = set()
        self.tripped = 0
        """How many minutes were held so far."""
        self._holding = False

    def held_s(self, now_s: float) -> float:
        """Seconds to wait before the next record; 0 as long as all is well. Begins a new minute when it is time."""
        if now_s >= self._until_s:
            self._until_s = now_s + WINDOW_S
            self._judged = self._outside = 0
            self._tenants.clear()
            self._holding = False
        return self._until_s - now_s if self._holding else 0.0

    def inside(self) -> None:
        """One item was inside."""
        self._judged += 1

    def outside(self, tenant: UUID) -> None:
        """One item of this tenant was outside."""
        self._judged += 1
        self._outside += 1
        self._tenants.add(tenant)
        if (
            not self._holding
            and self._outside > MOST_OUTSIDE
            and self._outside > MOST_SHARE * self._judged
            and len(self._tenants) > 1
        ):
            self._holding = True
            self.tripped += 1
