"""Keeps the gauges that a person looks at true: open requests, days left, how long lanes, readers and the audit log are waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from contracts.erasure_metrics import (
    ERASURE_AT_RISK,
    ERASURE_AUDIT_WAITING,
    ERASURE_OPEN,
    ERASURE_UNACKNOWLEDGED,
    ERASURE_WAITING_LANES,
)
from store.audit.log import SQL as AUDIT
from store.database import translated
from store.erasure.equipment import Tools
from store.erasure.jobs import SQL
from store.erasure.telling.told_readers import open_by_hours

if TYPE_CHECKING:
    from store.database import Connection

EVERY_S: Final = 5.0


async def measure(connection: Connection, tools: Tools) -> None:
    """Until cancelled. Raises DatabaseUnavailable."""
    while True:
        with translated():
            rows = await connection.fetch(SQL["open_by_state"])
            risks = await connection.fetch(SQL["open_by_days_left"])
            oldest_s = await connection.fetchval(SQL["oldest_waiting"])
            unanchored_s = await connection.fetchval(AUDIT["oldest_waiting"])
            unacknowledged = await open_by_hours(connection)
        counts = {(row["kind"], row["state"]): row["count"] for row in rows}
        for kind in ERASURE_OPEN.labels["kind"]:
            for state in ERASURE_OPEN.labels["state"]:
                tools.metrics.gauge(ERASURE_OPEN, kind, state).set(counts.get((kind, state), 0))
        left = {row["days"]: row["count"] for row in risks}
        for days in ERASURE_AT_RISK.labels["days"]:
            tools.metrics.gauge(ERASURE_AT_RISK, days).set(left.get(days, 0))
        tools.metrics.gauge(ERASURE_WAITING_LANES).set(oldest_s or 0.0)
        tools.metrics.gauge(ERASURE_AUDIT_WAITING).set(unanchored_s or 0.0)
        for hours in ERASURE_UNACKNOWLEDGED.labels["hours"]:
            tools.metrics.gauge(ERASURE_UNACKNOWLEDGED, hours).set(unacknowledged.get(hours, 0))
        await asyncio.sleep(EVERY_S)
