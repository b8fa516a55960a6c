"""Partitions of a tenant's `message` table: undated, `past` back to -190 days, then by period, two periods ahead.

Continued from the last bound that exists, so that a custodian that was away leaves no hole. Must never drop one:
retention is another duty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from contracts.ids import first_id_at
from store.custody.database import SQL
from store.database import translated, with_names

if TYPE_CHECKING:
    from store.database import Connection

PERIODS_AHEAD: Final = 2
WINDOW: Final = timedelta(days=190)
REPLAY_SLACK: Final = timedelta(days=10)
"""The window is judged against the broker time of the raw record, which retention and quarantine let wait for days."""
UNDATED: Final = "message_undated"
PAST: Final = "message_past"
_BOUND: Final = re.compile(r"FROM \('([0-9a-f-]{36})'\) TO \('([0-9a-f-]{36})'\)")


@dataclass(frozen=True, slots=True)
class MessagePartition:
    """One range of event ids, `next_id` exclusive."""

    name: str
    first_id: UUID
    next_id: UUID


def period_start(period: str, at: datetime) -> datetime:
    """The start (UTC) of the month, week (Monday) or day that holds `at`."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if period == "week" else day


def next_start(period: str, at: datetime) -> datetime:
    """The first start of a period after `at`."""
    start = period_start(period, at)
    if period == "month":
        return (start + timedelta(days=32)).replace(day=1)
    return start + timedelta(days=7 if period == "week" else 1)


def missing_partitions(
    period: str, now: datetime, existing: Iterable[MessagePartition]
) -> list[MessagePartition]:
    """What a tenant lacks now, in the order in which to make it."""
    by_name = {partition.name: partition for partition in existing}
    missing: list[MessagePartition] = []
    if UNDATED not in by_name:
        missing.append(MessagePartition(UNDATED, first_id_at(0), first_id_at(1)))
    dated = [partition for partition in by_name.values() if partition.name != UNDATED]
    if dated:
        covered_to = max(_moment(partition.next_id) for partition in dated)
    else:
        covered_to = period_start(period, now)
        oldest = period_start("day", now - WINDOW - REPLAY_SLACK)
        missing.append(MessagePartition(PAST, _first_id(oldest), _first_id(covered_to)))
    horizon = period_start(period, now)
    for _ in range(PERIODS_AHEAD + 1):
        horizon = next_start(period, horizon)
    while covered_to < horizon:
        end = next_start(period, covered_to)
        missing.append(
            MessagePartition(f"message_p{covered_to:%Y%m%d}", _first_id(covered_to), _first_id(end))
        )
        covered_to = end
    return missing


def read_bound(name: str, bound: str) -> MessagePartition:
    """A partition from Postgres' description of its bound. Raises ValueError for one that is not ours."""
    match = _BOUND.search(bound)
    if match is None:
        raise ValueError("a message partition whose bound is not a range of two ids")
    return MessagePartition(name, UUID(match[1]), UUID(match[2]))


async def existing_partitions(
    connection: Connection, schemas: list[str]
) -> dict[str, list[MessagePartition]]:
    """The partitions of each schema's message table."""
    found: dict[str, list[MessagePartition]] = {schema: [] for schema in schemas}
    with translated():
        for row in await connection.fetch(SQL["message_partitions"], schemas):
            found[row["schema_name"]].append(read_bound(row["name"], row["bound"]))
    return found


async def create_partitions(
    connection: Connection, schema: str, partitions: Iterable[MessagePartition]
) -> None:
    """Make them, as mk_owner, in the caller's transaction."""
    for partition in partitions:
        await connection.execute(
            with_names(SQL["create_message_partition"], schema=schema, name=partition.name)
        )
        await connection.execute(
            with_names(
                SQL["attach_message_partition"],
                schema=schema,
                name=partition.name,
                first=str(partition.first_id),
                next=str(partition.next_id),
            )
        )


async def ensure_partitions(connection: Connection, now: datetime) -> tuple[int, float | None]:
    """Make what any tenant lacks, a transaction for each: how many, and the seconds until the first tenant has none."""
    with translated():
        tenants = await connection.fetch(SQL["provisioned_tenants"])
    existing = await existing_partitions(connection, [row["schema_name"] for row in tenants])
    made = 0
    left_s: float | None = None
    for row in tenants:
        schema = row["schema_name"]
        missing = missing_partitions(row["period"], now, existing[schema])
        if missing:
            with translated():
                async with connection.transaction():
                    await connection.execute(SQL["become_owner"])
                    await create_partitions(connection, schema, missing)
            made += len(missing)
        last = max(_moment(partition.next_id) for partition in (*existing[schema], *missing))
        left = (last - now).total_seconds()
        left_s = left if left_s is None else min(left_s, left)
    return made, left_s


def _first_id(at: datetime) -> UUID:
    return first_id_at(round(at.timestamp() * 1000))


def _moment(bound: UUID) -> datetime:
    return datetime.fromtimestamp((bound.int >> 80) / 1000, UTC)
