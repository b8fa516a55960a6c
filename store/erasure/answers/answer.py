"""live_erased → answered: waits until the audit log's anchored tree holds the request's entries, then signs its receipt.

The receipt is signed once: row, audit entry and receipt stand in one transaction. Must never answer what is not erased.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from contracts.errors import TransientError
from contracts.receipts import AuditRoot, key_id, sign
from contracts.signing import Signer
from store.audit.log import SQL as AUDIT
from store.audit.log import AuditEntry, What, append
from store.database import translated
from store.erasure.answers.receipts import Left, make
from store.erasure.at_meta.deletion import deletions_of
from store.erasure.endings import NotYet
from store.erasure.equipment import Tools
from store.erasure.jobs import Job, set_answered
from store.erasure.steps import ErasureStep, steps_of
from store.erasure.telling.told_readers import counts_of
from store.erasure.tenants import TenantSchema, inside

if TYPE_CHECKING:
    from store.database import Connection

Survey = Callable[[Tools, Job, TenantSchema, Sequence[ErasureStep]], Awaitable[Sequence[Left]]]
"""What still holds a copy, as it is found."""
_META_LOOK_S: Final = 30.0
_TRIES: Final = 40
_TRY_EVERY_S: Final = 0.025
_AFTER: Final = timedelta(seconds=1)
"""The entry of a transition is written in its transaction, at most so long after the time that its row has."""


class NotAnchored(TransientError):
    """The audit log's anchored tree does not hold the request's entries yet."""

    code = "audit_not_anchored"


class Answerer:
    """`wake`: has the sequencer look now."""

    def __init__(self, signer: Signer, wake: Callable[[], None], survey: Survey) -> None:
        self._signer, self._wake, self._survey = signer, wake, survey

    async def answer(self, tools: Tools, job: Job, tenant: TenantSchema | None) -> None:
        """Sign the receipt and say so. Raises NotYet, NotAnchored, BrokerUnavailable or DatabaseUnavailable."""
        connection = tools.connection
        if job.details is not None:
            # Meta is being asked, and the receipt says how that ended.
            raise NotYet(_META_LOOK_S)
        steps: list[ErasureStep] = []
        left: Sequence[Left] = ()
        if tenant is not None:
            async with inside(connection, tenant):
                steps = await steps_of(connection, tenant, job.request_id)
            if steps:
                left = await self._survey(tools, job, tenant, steps)
        root = await self._root_over(connection, job.live_erased_at or job.received_at)
        with translated():
            issued_at: datetime = await connection.fetchval(AUDIT["now"])
            at_meta = await deletions_of(connection, job.request_id)
            readers = await counts_of(connection, job.request_id)
            receipt = make(
                job,
                steps,
                left,
                root,
                at_meta,
                readers_told=readers.told,
                signer=key_id(self._signer.public_raw),
                issued_at=issued_at,
            )
            raw = sign(receipt, self._signer)
            by, request = tools.signer.name, job.request_id
            async with connection.transaction():
                if await set_answered(connection, request, raw.decode(), receipt.irrecoverable_on):
                    digest = hashlib.sha256(raw).digest()
                    issued = AuditEntry(
                        What.RECEIPT_ISSUED, by, request=request, tenant=job.tenant_id, digest=digest
                    )
                    await append(connection, issued)
                    answered = AuditEntry(What.ERASURE_ANSWERED, by, request=request, tenant=job.tenant_id)
                    await append(connection, answered)
        self._wake()

    async def _root_over(self, connection: Connection, moment: datetime) -> AuditRoot:
        """An anchored head of a tree with every entry up to that moment. Raises NotAnchored after a second."""
        for _ in range(_TRIES):
            self._wake()
            with translated():
                row = await connection.fetchrow(AUDIT["head_over"], moment + _AFTER)
            if row is not None:
                return AuditRoot(tree_size=row["tree_size"], root=row["root"].hex())
            await asyncio.sleep(_TRY_EVERY_S)
        raise NotAnchored("the audit log is behind")
