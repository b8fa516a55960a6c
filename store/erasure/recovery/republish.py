"""Writes the database's fences to a fence topic that was lost or made anew, and lets this database begin there.

The restore gate refuses a database that is ahead of the topic or knows another one: only a person knows that the topic
was lost and not the database (docs/runbook-restore.md). Positions are set to the topic's beginning, never to its end: a
fence that another life of this database wrote there is applied and not passed over. Must never write a fence that no
step has.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from contracts.errors import ServiceError
from contracts.signing import Signer
from runtime.kafka.clients import Producer
from runtime.kafka.topic_log import Bounds, TopicLog
from store.audit.log import AuditEntry, What, append
from store.database import statements, translated, with_names
from store.erasure.execution.subject import FENCE_KEPT
from store.erasure.telling.tell import append_fences
from store.erasure.tenants import find_tenant, inside

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("republish.sql"))


class NothingLost(ServiceError):
    """Topic and database agree: nothing was written."""

    code = "nothing_lost"


@dataclass(frozen=True, slots=True)
class Republished:
    """What was done."""

    tenants: int
    """That had fences."""
    fences: int


async def republish(
    connection: Connection, producer: Producer, log: TopicLog, signer: Signer, *, even_so: bool = False
) -> Republished:
    """Write all, then set the positions. Repeatable: a fence that stands twice is applied once.

    `even_so`: also where nothing is lost. Raises NothingLost, BrokerUnavailable or DatabaseUnavailable.
    """
    bounds = await log.bounds()
    with translated():
        positions = await connection.fetch(SQL["positions"])
        listed = await connection.fetch(SQL["tenants"])
    known = {row["partition"]: (row["topic_id"], row["next_offset"]) for row in positions}
    if not even_so and not _is_refused(bounds, known):
        raise NothingLost(
            "the fence topic is the one that this database knows, and holds all that it applied"
        )
    counts = [await _tenants_fences(connection, producer, signer, row["tenant_id"]) for row in listed]
    done = Republished(sum(1 for count in counts if count), sum(counts))
    partitions = list(bounds.partitions)
    firsts = [bounds.partitions[number][0] for number in partitions]
    with translated():
        async with connection.transaction():
            await connection.execute(SQL["begin_at"], bounds.topic_id, partitions, firsts)
            await connection.execute(SQL["leave_others"], bounds.topic_id, partitions)
            numbers = {"fences": done.fences, "tenants": done.tenants}
            await append(connection, AuditEntry(What.FENCES_REPUBLISHED, signer.name, numbers=numbers))
    return done


def _is_refused(bounds: Bounds, known: dict[int, tuple[str, int]]) -> bool:
    """As the gate judges it: another topic, ahead of its end, or before its beginning."""
    return any(
        topic_id != bounds.topic_id
        or partition not in bounds.partitions
        or not bounds.partitions[partition][0] <= at <= bounds.partitions[partition][1]
        for partition, (topic_id, at) in known.items()
    )


async def _tenants_fences(connection: Connection, producer: Producer, signer: Signer, tenant: UUID) -> int:
    found = await find_tenant(connection, tenant)
    if found is None:
        return 0
    async with inside(connection, found):
        rows = await connection.fetch(
            with_names(SQL["fences"], schema=found.schema), datetime.now(UTC) - FENCE_KEPT
        )
    records = [record for row in rows for record in (row["fence"], *row["fence_parts"])]
    await append_fences(producer, signer, records)
    return len(rows)
