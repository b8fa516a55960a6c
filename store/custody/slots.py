"""Keeps free slots ready: tenant topics made ahead, so that a new tenant waits for no topic and causes no rebalance.

A slot is a row in state `creating` before its topics exist and `free` only when all their partitions have leaders.
Must never give a slot a second tenant, or reuse a name.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from contracts.access import slot_permits
from contracts.control import SlotRecord
from contracts.topics import slot_topics
from runtime.kafka.topics import TopicAdmin
from store.custody.access import Access
from store.custody.control import ControlPublisher
from store.custody.database import SQL
from store.database import translated

if TYPE_CHECKING:
    from store.database import Connection

NAME_LENGTH: Final = 10


def opaque_name() -> str:
    """Ten random characters of lower-case base32: 50 bits that say nothing."""
    return base64.b32encode(os.urandom(7)).decode().lower()[:NAME_LENGTH]


async def free_counts(connection: Connection) -> dict[int, tuple[int, int]]:
    """Slots free and in creation, by number of partitions."""
    with translated():
        rows = await connection.fetch(SQL["slot_counts"])
    return {row["partitions"]: (row["free"], row["creating"]) for row in rows}


async def ensure_slots(
    connection: Connection,
    admin: TopicAdmin,
    publisher: ControlPublisher,
    headroom: Mapping[int, int],
    access: Access | None = None,
) -> int:
    """Bring the free slots to `headroom` (partitions to count) and finish those begun; how many became free."""
    counts = await free_counts(connection)
    with translated():
        for partitions, wanted in headroom.items():
            free, creating = counts.get(partitions, (0, 0))
            for _ in range(wanted - free - creating):
                await connection.execute(SQL["begin_slot"], opaque_name(), partitions)
        begun = await connection.fetch(SQL["slots_in_creation"])
    if not begun:
        return 0
    await admin.ensure([spec for row in begun for spec in slot_topics(row["slot"], row["partitions"])])
    if access is not None:
        # Before anybody hears of the slot: whoever then looks for its topics may see them.
        await access.allow(*(slot_permits(row["slot"]) for row in begun))
    with translated():
        await connection.executemany(SQL["free_slot"], [(row["slot"],) for row in begun])
    await publisher.publish(
        *(SlotRecord(slot=row["slot"], partitions=row["partitions"], state="free") for row in begun)
    )
    return len(begun)
