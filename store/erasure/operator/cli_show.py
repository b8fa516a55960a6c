"""`mkc erasure status` and `approve`: how far requests are and what they wait for, a second person's word.

Must never print an identifier or a pseudonym.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from store.audit.log import AuditEntry, What, append
from store.custody.database import SQL as CUSTODY
from store.custody.errors import NotForWhoAsked, NothingToApprove, UnknownName
from store.custody.operating import Desk, say, say_json, say_table
from store.database import statements, translated, with_names
from store.erasure.answers.inventory import Copy, copies, irrecoverable_on
from store.erasure.answers.observe import Ages, Cluster, looking_at, observe
from store.erasure.telling.told_readers import Settled

if TYPE_CHECKING:
    import asyncpg

SQL: Final = statements(Path(__file__).with_name("operator.sql"))
_COLUMNS: Final = (
    "request_id",
    "tenant",
    "kind",
    "origin",
    "state",
    "received_at",
    "execute_after",
    "failed",
)
_READERS: Final = {None: "waits for reader", Settled.ENDED: "grant ended", Settled.MISSED: "missed by reader"}


async def show_requests(desk: Desk, tenant: str | None, limit: int, as_json: bool) -> int:
    """Open requests first. Raises UnknownName or DatabaseUnavailable."""
    wanted = None if tenant is None else await desk.tenant(tenant)
    with translated():
        rows = [dict(row) for row in await desk.connection.fetch(SQL["requests"], wanted, max(0, limit))]
    if as_json:
        say_json(rows)
    else:
        say_table(_COLUMNS, rows)
    return 0


async def show_request(desk: Desk, request: UUID, as_json: bool) -> int:
    """One request: what it waits for now, and what will be readable until when. Raises UnknownName."""
    connection = desk.connection
    with translated():
        row = await connection.fetchrow(SQL["request"], request)
    if row is None:
        raise UnknownName("no request of that id; mkc erasure status shows them")
    told: dict[str, Any] = {
        name: value
        for name, value in dict(row).items()
        if name not in ("schema_name", "names_somebody", "tenant_id")
    }
    if row["schema_name"] is not None:
        told |= await _progress(desk, row)
    if as_json:
        say_json(told)
        return 0
    for name, value in told.items():
        if name not in ("copies", "lanes_behind", "not_acknowledged") and value is not None:
            say(f"{name.replace('_', ' '):<20} {value}")
    for lane in told.get("lanes_behind", ()):
        say(f"waits for lane        {lane['partition']}: at {lane['position']} of {lane['end_offset']}")
    for reader in told.get("not_acknowledged", ()):
        what = _READERS[reader["settled"]]
        say(f"{what:<20} {reader['reader']} (grant {reader['grant_id']}), told {reader['told_at']}")
    if told.get("copies"):
        say("")
        say_table(("place", "until", "key", "waits_for", "unlinked_by"), told["copies"])
    return 0


async def _progress(desk: Desk, row: asyncpg.Record) -> dict[str, Any]:
    connection, schema = desk.connection, row["schema_name"]
    with translated():
        async with connection.transaction(readonly=True):
            await connection.execute(CUSTODY["become_owner"])
            steps = await connection.fetchrow(with_names(SQL["steps"], schema=schema), row["request_id"])
            waits = await connection.fetch(
                with_names(SQL["waits"], schema=schema), row["request_id"], row["tenant_id"]
            )
            readers = await connection.fetch(SQL["readers"], row["request_id"])
    assert steps is not None
    told: dict[str, Any] = {
        "steps": steps["steps"],
        "rows_deleted": steps["rows_deleted"],
        "fences_unpublished": steps["fences_unpublished"],
        "lanes_behind": [dict(wait) for wait in waits],
        "readers_told": len(readers),
        **{f"readers_{how}": sum(reader["settled"] == how for reader in readers) for how in Settled},
        "not_acknowledged": [dict(one) for one in readers if one["settled"] != Settled.ACKNOWLEDGED],
    }
    executed_at = row["executed_at"] or steps["executed_at"]
    if executed_at is None:
        return told
    settings = desk.settings
    seen = await observe(
        connection,
        looking_at(Cluster(settings.kafka, settings.kafka_tls)),
        row["tenant_id"],
        executed_at,
        Ages(
            timedelta(days=settings.root_epoch_days),
            timedelta(days=settings.backups_kept_days),
            timedelta(hours=settings.transit_backup_hours if settings.key_provider == "transit" else 0),
        ),
        named_in_request=row["names_somebody"],
    )
    left = copies(seen)
    return told | {
        "irrecoverable_on": row["irrecoverable_on"] or irrecoverable_on(left, seen.now),
        "readable_until": irrecoverable_on(left, seen.now) if left else None,
        "copies": [_shown(copy) for copy in left],
    }


def _shown(copy: Copy) -> dict[str, Any]:
    return {
        "place": copy.place.value,
        "until": copy.until.isoformat(timespec="minutes"),
        "key": copy.key,
        "waits_for": copy.waits_for,
        "unlinked_by": None if copy.unlinked_by is None else copy.unlinked_by.isoformat(timespec="minutes"),
    }


async def approve(desk: Desk, request: UUID, as_json: bool) -> int:
    """A second person lets an account's erasure begin. Raises NothingToApprove or NotForWhoAsked."""
    connection, who = desk.connection, desk.settings.name
    with translated():
        async with connection.transaction():
            await connection.execute(CUSTODY["become_owner"])
            row = await connection.fetchrow(SQL["waiting_for_approval"], request)
            if row is None:
                raise NothingToApprove(
                    "no request of that id waits for an approval; mkc erasure status shows them"
                )
            if row["operator"] == who:
                raise NotForWhoAsked("whoever asked for it cannot approve it")
            await connection.execute(SQL["approve"], request, who)
            await connection.execute(CUSTODY["become_oneself"])
            await append(
                connection,
                AuditEntry(What.ERASURE_APPROVED, "operator", request=request, tenant=row["tenant_id"]),
            )
            await connection.execute(SQL["wake_erasure"])
    if as_json:
        say_json({"request": request, "approved_by": who})
    else:
        say(f"{request} approved; it is executed now")
    return 0
