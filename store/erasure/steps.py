"""What stands of a request in its tenant's schema: its steps, what of them was told, and the ends that lanes must pass.

Runs inside a transaction that has entered the tenant's erase role (`tenants.inside`, `tenants.alone`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from contracts.fences import Fence, encode, keep, kept
from contracts.signing import Signer
from store.database import statements, with_names
from store.erasure.tenants import TenantSchema

if TYPE_CHECKING:
    from store.database import Connection

SQL: Final = statements(Path(__file__).with_name("steps.sql"))


@dataclass(frozen=True, slots=True)
class ErasureStep:
    """One subject, or one message, that a request took effect on."""

    subject_id: UUID
    erased_through_gen: int
    watermark: datetime | None
    executed_at: datetime
    fence: Fence | None = field(repr=False)
    """What its record says."""
    fence_record: bytes | None = field(repr=False)
    """The signed record as it stands on the fence topic (`contracts.fences.keep`)."""
    fence_published_at: datetime | None
    rows_deleted: int
    deleted_at: datetime | None
    announced_at: datetime | None


@dataclass(frozen=True, slots=True)
class Wait:
    """A lane that must pass `end_offset`, and where it stands."""

    partition: int
    end_offset: int
    position: int
    slot: str | None
    """Whose topic ended there: offsets of another slot's say nothing."""

    @property
    def is_over(self) -> bool:
        """Everything that was on the topic at the fence is judged."""
        return self.position >= self.end_offset


async def steps_of(connection: Connection, tenant: TenantSchema, request: UUID) -> list[ErasureStep]:
    """All steps of a request, by subject."""
    rows = await connection.fetch(with_names(SQL["steps"], schema=tenant.schema), request)
    return [
        ErasureStep(
            row["subject_id"],
            row["erased_through_gen"],
            row["watermark"],
            row["executed_at"],
            None if row["fence"] is None else Fence.model_validate_json(kept(row["fence"])[1]),
            row["fence"],
            row["fence_published_at"],
            row["rows_deleted"],
            row["deleted_at"],
            row["announced_at"],
        )
        for row in rows
    ]


async def set_fenced(
    connection: Connection, tenant: TenantSchema, request: UUID, subjects: list[UUID]
) -> None:
    """Their fences are acknowledged."""
    await connection.execute(with_names(SQL["fenced"], schema=tenant.schema), request, subjects)


async def name_refs(
    connection: Connection,
    tenant: TenantSchema,
    request: UUID,
    step: ErasureStep,
    refs: Iterable[bytes],
    signer: Signer,
) -> None:
    """Let a step's fence name these refs of what was written, so that edits of it stay out of every database.

    Before the first row is deleted, since nothing else tells them; a fence that names some is left as it is.
    """
    named = tuple(sorted(ref.hex() for ref in refs))
    if not named or step.fence is None or step.fence.refs:
        return
    record = signed_fence(step.fence.model_copy(update={"refs": named}), signer)
    await connection.execute(
        with_names(SQL["replace_fence"], schema=tenant.schema),
        request,
        step.subject_id,
        record,
        step.fence_record,
    )


def signed_fence(fence: Fence, signer: Signer) -> bytes:
    """The record as it goes to the fence topic, for the step's row."""
    _, value, headers = encode(fence, signer)
    return keep(value, headers)


async def set_announced(
    connection: Connection, tenant: TenantSchema, request: UUID, subjects: list[UUID]
) -> None:
    """`subject.erased` is acknowledged on every partition."""
    await connection.execute(with_names(SQL["announced"], schema=tenant.schema), request, subjects)


async def note_waits(
    connection: Connection, tenant: TenantSchema, request: UUID, ends: dict[int, int]
) -> None:
    """Ends of the tenant's topic that were seen after the fence, by partition; those noted before stay."""
    await connection.execute(
        with_names(SQL["note_waits"], schema=tenant.schema),
        request,
        list(ends),
        list(ends.values()),
        tenant.slot,
    )


async def waits_of(connection: Connection, tenant: TenantSchema, request: UUID) -> list[Wait]:
    """One for each partition; empty before they were noted."""
    rows = await connection.fetch(with_names(SQL["waits"], schema=tenant.schema), request, tenant.slot)
    return [Wait(row["partition"], row["end_offset"], row["position"], row["slot"]) for row in rows]


async def still_behind(connection: Connection, waits: list[Wait]) -> list[Wait]:
    """Those that are not over; a slot that was removed for good counts as passed. As the login, after `leave`."""
    behind = [wait for wait in waits if not wait.is_over]
    if not behind:
        return []
    slots = sorted({wait.slot for wait in behind if wait.slot is not None})
    retired = {row["slot"] for row in await connection.fetch(SQL["retired"], slots)}
    return [wait for wait in behind if wait.slot not in retired]
