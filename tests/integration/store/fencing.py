"""Fences for the store's tests: made, signed, and applied as the store does it, without a topic in between."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from contracts.fences import Fence, encode
from contracts.signing import RIGHTS_BY_PROCESS, KnownSigner, Signer
from store.lanes.gate import SQL, arguments
from store.lanes.queries import lock_number
from tests.integration.store.cell import Cell, alias
from tests.support.world import Tenant

SIGNER: Final = Signer.from_bytes("erasure", hashlib.sha256(b"erasure").digest())
ERASURE: Final = KnownSigner("erasure", SIGNER.public_raw, RIGHTS_BY_PROCESS["erasure"])
TOPIC: Final = "a topic"
PARTITION: Final = 77
"""Of no topic: its row is there only while `apply` runs."""


class Record(NamedTuple):
    """As it would stand on the topic."""

    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def fence(
    tenant: Tenant,
    *names: str,
    subject: UUID | None = None,
    generation: int = 1,
    at: datetime | None = None,
    refs: Iterable[str] = (),
    undated: Iterable[UUID] = (),
    account: UUID | None = None,
    request: UUID | None = None,
) -> Fence:
    """A person's fence of `at` (now), or of what `refs` or `account` name."""
    executed = at or datetime.now(UTC)
    return Fence(
        request=request or uuid4(),
        tenant=tenant.tenant,
        subject=subject or uuid4(),
        pseudonyms=tuple(sorted(alias(name).hex() for name in names)),
        generation=generation if names else 0,
        watermark_s=int(executed.timestamp()) if names else None,
        executed_at_us=int((executed - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1)),
        undated=tuple(one.hex for one in undated),
        refs=tuple(alias(ref).hex() for ref in refs),
        account=account,
    )


def record(made: Fence, partition: int = PARTITION, offset: int = 0) -> Record:
    """The signed record."""
    key, value, headers = encode(made, SIGNER)
    return Record(partition, offset, key, value, headers)


async def apply(
    cell: Cell,
    made: Fence,
    *,
    lock: UUID | None = None,
    without_lock: bool = False,
    login: str = "mk_store",
    position: int = 0,
    topic: str = TOPIC,
) -> tuple[str, int]:
    """Call the function as the gate does, at offset 0; its answer, and the partition's position after it."""
    given: list[Any] = arguments(topic, record(made), made, login)
    cell.world.sql(
        "INSERT INTO mk.fence_position VALUES ($1, $2, $3)"
        " ON CONFLICT (partition) DO UPDATE SET next_offset = excluded.next_offset",
        PARTITION,
        TOPIC,
        position,
    )
    try:
        async with cell.connection(login) as connection, connection.transaction():
            if not without_lock:
                await connection.execute(SQL["lock_alone"], lock_number(lock or made.tenant))
            answer = await connection.fetchval(SQL["apply_fence"], *given)
        moved_to = cell.world.sql("SELECT next_offset FROM mk.fence_position WHERE partition = $1", PARTITION)
        return answer, moved_to[0][0]
    finally:
        cell.world.sql("DELETE FROM mk.fence_position WHERE partition = $1", PARTITION)
