"""One transaction of one or several tenants' batches: role, tenant lock, savepoint each, commit. DESIGN.md section 6.

Must never decide what happens to a lane: it says how each batch ended, and the worker that asked acts on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from contracts.errors import DatabaseUnavailable, PositionLost
from store.lanes.database import Connection, LockTimeout, WriteConflict, execute, make_clean, translated
from store.lanes.persist import Batch, Persisted, Persister
from store.lanes.queries import fixed

SHARED_LOCK_TIMEOUT_MS: Final = 50
"""When several tenants share the transaction: none of them waits for another's erasure."""
OWN_LOCK_TIMEOUT_MS: Final = 1_000
"""Alone: longer than the short transactions that take a tenant's lock for themselves."""

Ending = Persisted | Exception | None
"""Committed; rolled back because of that error; or not tried (put it back)."""


async def store_batches(
    connection: Connection,
    persister: Persister,
    batches: Sequence[Batch],
    is_owned: Callable[[int], bool] = lambda _index: True,
    own_timeout_ms: int = OWN_LOCK_TIMEOUT_MS,
) -> list[Ending]:
    """Write `batches`, at most one a tenant, in order of their tenants (so that transactions never wait in a circle).

    At the first lock timeout, conflict or lost position: back to the savepoint, and what is there is committed. Any other
    error of one batch leaves the others alone. Raises DatabaseUnavailable: then nothing is known to be written, and the
    positions tell at the next attempt.
    """
    endings: list[Ending] = [None] * len(batches)
    shared = len(batches) > 1
    kept = False
    entered = False
    for index, batch in sorted(enumerate(batches), key=lambda pair: pair[1].tenant):
        if not is_owned(index):
            continue
        name = "next_tenant" if entered else "begin_shared" if shared else "begin"
        timeout_ms = SHARED_LOCK_TIMEOUT_MS if shared else own_timeout_ms
        try:
            entered = True
            await execute(connection, batch.statements.enter(name, batch.tenant, timeout_ms))
            endings[index] = await persister.write(connection, batch)
            kept = True
        except DatabaseUnavailable:
            raise
        except Exception as exc:  # it ends one batch; whoever called decides by its type
            endings[index] = exc
            if not shared:
                break
            await execute(connection, fixed("forget_tenant"))
            if isinstance(exc, LockTimeout | PositionLost | WriteConflict):
                break
    if not kept:
        if not await make_clean(connection):
            raise DatabaseUnavailable("the connection to Postgres is gone")
        return endings
    with translated():
        tag = await connection.execute(fixed("commit"))
    if tag != "COMMIT":  # Postgres answers COMMIT of a failed transaction with ROLLBACK, and no error
        raise DatabaseUnavailable("the transaction was not committed")
    return endings
