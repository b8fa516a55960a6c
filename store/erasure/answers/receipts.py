"""Makes the receipt of an erased request from its row, its steps and what still holds a copy. Pure.

Nothing of the person goes into it: counts, generations, times, and words of closed lists (`contracts.receipts`).
PRIVACY.md section 3 "Receipt".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from contracts.receipt_words import Audience, Category, IdentityCheck, KeptThing, Method, Norm, System
from contracts.receipts import (
    AuditRoot,
    ErasedCategory,
    ErasedSubject,
    ErasureReceipt,
    Kept,
    ReceiptParty,
    Removal,
    Told,
)
from store.erasure.at_meta.deletion import DeletionAtMeta
from store.erasure.execution.subject import FENCE_KEPT
from store.erasure.jobs import Job, unix_ms
from store.erasure.steps import ErasureStep

ZONE: Final = ZoneInfo("America/Sao_Paulo")
EVIDENCE_YEARS: Final = 5
"""PRIVACY.md section 5."""
ACCESS_RECORDS_KEPT: Final = timedelta(days=184)
"""Six months (Marco Civil art. 15)."""
IDENTITY_BY_ORIGIN: Final = {
    "unsent": IdentityCheck.SIGNED_BY_META,
    "account_removed": IdentityCheck.SIGNED_BY_META,
    "data_deletion": IdentityCheck.SIGNED_BY_META,
    "deauthorized": IdentityCheck.SIGNED_BY_META,
    "consent_withdrawn": IdentityCheck.ACCOUNT_ADMINISTRATOR,
    "operator": IdentityCheck.CONFIRMED_BY_OPERATOR,
    "import": IdentityCheck.LISTED_BY_META,
    "join": IdentityCheck.SAME_PERSON,
}


@dataclass(frozen=True, slots=True)
class Left:
    """A copy that only time removes, and the first day on which it cannot be read any more."""

    system: System
    on: date


def make(
    job: Job,
    steps: Sequence[ErasureStep],
    left: Sequence[Left],
    root: AuditRoot,
    at_meta: Sequence[DeletionAtMeta] = (),
    *,
    readers_told: int = 0,
    signer: str,
    issued_at: datetime,
) -> ErasureReceipt:
    """The receipt of a job that is `live_erased`. `readers_told`: who had a grant when `subject.erased` was said; `signer`:
    the receipt key's id; times are the database's."""
    executed = None if job.executed_at is None or not steps else job.executed_at
    return ErasureReceipt(
        protocol=job.request_id,
        signer=signer,
        kind=job.kind,  # type: ignore[arg-type]  # the row's CHECK and the model's Literal are the same list
        origin=job.origin,  # type: ignore[arg-type]
        parties=_parties(job),
        identity=IDENTITY_BY_ORIGIN[job.origin],
        requested_at_ms=unix_ms(job.requested_at),
        received_at_ms=unix_ms(job.received_at),
        decided_at_ms=unix_ms(job.decided_at or job.received_at),
        executed_at_ms=None if executed is None else unix_ms(executed),
        live_erased_at_ms=unix_ms(job.live_erased_at or issued_at),
        irrecoverable_on=max((one.on for one in left), default=None),
        due_on=job.due_on,
        issued_at_ms=unix_ms(issued_at),
        subjects=tuple(_subject(step) for step in steps),
        erased=_erased(job, steps),
        removals=(*_at_meta(at_meta), *_removals(job, steps, left)),
        kept=_kept(steps, issued_at),
        told=(*_told(job, steps, readers_told, issued_at), *_told_meta(at_meta)),
        audit=root,
    )


def _parties(job: Job) -> tuple[ReceiptParty, ...]:
    company = ReceiptParty(role="operator", party="mkchannels")
    if job.tenant_id is None:
        # An administrator of a tenant: the company is controller itself (PRIVACY.md section 1).
        return (company.model_copy(update={"role": "controller"}),)
    return (ReceiptParty(role="controller", party="tenant", tenant=job.tenant_id), company)


def _subject(step: ErasureStep) -> ErasedSubject:
    return ErasedSubject(
        generation=step.erased_through_gen,
        watermark_s=None if step.watermark is None else int(step.watermark.timestamp()),
        executed_at_ms=unix_ms(step.executed_at),
    )


def _erased(job: Job, steps: Sequence[ErasureStep]) -> tuple[ErasedCategory, ...]:
    counts = {
        Category.MESSAGES: sum(step.rows_deleted for step in steps),
        Category.IDENTIFIERS: sum(len(step.fence.pseudonyms) for step in steps if step.fence is not None),
        Category.KEYS: sum(1 for step in steps if step.erased_through_gen),
    }
    counts |= {Category(name): count for name, count in job.counts.items() if name in set(Category)}
    return tuple(ErasedCategory(category=name, count=count) for name, count in counts.items() if count)


def _removals(job: Job, steps: Sequence[ErasureStep], left: Sequence[Left]) -> tuple[Removal, ...]:
    done: list[Removal] = []
    shredded = [step.executed_at for step in steps if step.erased_through_gen]
    if not shredded and job.counts.get(Category.KEYS) and job.executed_at is not None:
        shredded = [job.executed_at]  # an account's: counted, without a step for each subject
    if shredded:
        at = unix_ms(max(shredded))
        done.append(Removal(system=System.SUBJECT_KEYS, method=Method.KEY_DESTROYED, at_ms=at))
    deleted = [step.deleted_at for step in steps if step.deleted_at is not None]
    if deleted:
        done.append(Removal(system=System.ROWS, method=Method.ROW_DELETED, at_ms=unix_ms(max(deleted))))
    last: dict[System, date] = {}
    for one in left:
        last[one.system] = max(one.on, last.get(one.system, one.on))
    expiring = [Removal(system=name, method=Method.EXPIRES_ON, on=on) for name, on in last.items()]
    return (*done, *sorted(expiring, key=lambda one: (one.on, one.system)))


def _at_meta(at_meta: Sequence[DeletionAtMeta]) -> tuple[Removal, ...]:
    """One line for all numbers: what Meta did not confirm for one of them was not confirmed."""
    if not at_meta:
        return ()
    is_deleted = all(one.is_deleted for one in at_meta)
    method = Method.DELETED_BY_META if is_deleted else Method.NOT_CONFIRMED
    at_ms = unix_ms(max(one.ended_at for one in at_meta))
    return (Removal(system=System.META_CONTACT_BOOK, method=method, at_ms=at_ms),)


def _told_meta(at_meta: Sequence[DeletionAtMeta]) -> tuple[Told, ...]:
    said = [one.ended_at for one in at_meta if one.is_deleted]
    return (Told(who=Audience.META, at_ms=unix_ms(max(said))),) if said else ()


def _kept(steps: Sequence[ErasureStep], issued_at: datetime) -> tuple[Kept, ...]:
    kept: list[Kept] = []
    fences = [step.fence for step in steps if step.fence is not None]
    if fences:
        until = _day(max(step.executed_at for step in steps) + FENCE_KEPT)
        norms = (Norm.LGPD_16_I, Norm.GDPR_17_3_B)
        kept.append(Kept(what=KeptThing.FENCE, norms=norms, until=until))
        if any(fence.undated or fence.refs for fence in fences):
            kept.append(Kept(what=KeptThing.TOMBSTONES, norms=norms, until=until))
    day = _day(issued_at)
    # A leap day's fifth anniversary is the day after.
    evidence = (
        date(day.year + EVIDENCE_YEARS, day.month, day.day) if (day.month, day.day) != (2, 29) else None
    )
    evidence = evidence or date(day.year + EVIDENCE_YEARS, 3, 1)
    kept.append(Kept(what=KeptThing.EVIDENCE, norms=(Norm.LGPD_37, Norm.GDPR_5_2), until=evidence))
    access = _day(issued_at + ACCESS_RECORDS_KEPT)
    kept.append(Kept(what=KeptThing.ACCESS_RECORDS, norms=(Norm.MARCO_CIVIL_15,), until=access))
    return tuple(kept)


def _told(job: Job, steps: Sequence[ErasureStep], readers_told: int, issued_at: datetime) -> tuple[Told, ...]:
    told: list[Told] = []
    for who, moments, count in (
        (Audience.STORES, [step.fence_published_at for step in steps], None),
        (Audience.TENANT_READERS, [step.announced_at for step in steps], readers_told),
    ):
        at = [moment for moment in moments if moment is not None]
        if at:
            told.append(Told(who=who, at_ms=unix_ms(max(at)), count=count))
    if job.origin == "data_deletion":
        told.append(Told(who=Audience.REQUESTER, at_ms=unix_ms(issued_at)))
    return tuple(told)


def _day(moment: datetime) -> date:
    return moment.astimezone(ZONE).date()
