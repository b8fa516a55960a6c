"""A receipt says what the row and the steps say, for every origin, and nothing that names a person."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.fences import Fence
from contracts.outcomes import State
from contracts.receipt_words import System
from contracts.receipts import AuditRoot
from store.erasure.answers.receipts import IDENTITY_BY_ORIGIN, Left, make
from store.erasure.jobs import Job
from store.erasure.steps import ErasureStep

AT = datetime(2026, 11, 26, 2, 30, tzinfo=UTC)
ROOT = AuditRoot(tree_size=9, root="ab" * 32)
JOB = Job(
    request_id=UUID(int=1),
    tenant_id=UUID(int=2),
    kind="subject",
    origin="operator",
    asked_by="operator",
    state=State.LIVE_ERASED,
    told_state=State.LIVE_ERASED,
    reason=None,
    account_id=None,
    message_ref=None,
    pseudonyms=(b"p" * 16,),
    details=None,
    requested_at=AT - timedelta(days=3),
    received_at=AT,
    due_on=date(2026, 12, 17),
    execute_after=None,
    is_due=True,
    approved_by=None,
    decided_at=AT,
    executed_at=AT,
    live_erased_at=AT,
    irrecoverable_on=None,
    answered_at=None,
    counts={},
    receipt=None,
    attempts=0,
    failed=None,
)
FENCE = Fence(
    request=JOB.request_id,
    tenant=UUID(int=2),
    subject=UUID(int=3),
    pseudonyms=("0f" * 16, "1f" * 16),
    generation=1,
    watermark_s=int(AT.timestamp()),
    executed_at_us=0,
)
STEP = ErasureStep(
    subject_id=UUID(int=3),
    erased_through_gen=1,
    watermark=AT,
    executed_at=AT,
    fence=FENCE,
    fence_record=b"",
    fence_published_at=AT,
    rows_deleted=200,
    deleted_at=AT,
    announced_at=AT,
)
LEFT = (Left(System.RAW, date(2026, 12, 9)), Left(System.WAL_AND_BACKUPS, date(2026, 12, 5)))


def made(
    job: Job = JOB, steps: tuple[ErasureStep, ...] = (STEP,), issued_at: datetime = AT, **more: Any
) -> Any:
    return make(job, steps, LEFT if steps else (), ROOT, signer="0" * 16, issued_at=issued_at, **more)


@pytest.mark.parametrize("origin", IDENTITY_BY_ORIGIN)
def test_every_origin_has_a_receipt_that_says_how_identity_was_checked(origin: str) -> None:
    receipt = made(replace(JOB, origin=origin))
    assert (receipt.origin, receipt.identity) == (origin, IDENTITY_BY_ORIGIN[origin])


def test_counts_dates_and_systems_are_those_of_the_steps_and_the_inventory() -> None:
    receipt = made(steps=(STEP, replace(STEP, subject_id=UUID(int=4), rows_deleted=5)))
    assert {one.category: one.count for one in receipt.erased} == {
        "messages": 205,
        "identifiers": 4,
        "keys": 2,
    }
    assert receipt.irrecoverable_on == date(2026, 12, 9)
    assert [(one.system, one.method) for one in receipt.removals] == [
        ("postgres.subject_keys", "key_destroyed"),
        ("postgres.rows", "row_deleted"),
        ("postgres.wal_and_backups", "expires_on"),
        ("kafka.raw", "expires_on"),
    ]
    text = receipt.model_dump_json()
    assert not any(one in text for one in ("0f" * 16, str(STEP.subject_id), (b"p" * 16).hex()))


def test_of_the_readers_it_says_how_many_were_told_and_of_nobody_else() -> None:
    receipt = made(readers_told=3)
    assert {one.who: one.count for one in receipt.told} == {"stores": None, "tenant_readers": 3}


def test_one_message_has_no_key_and_leaves_a_tombstone() -> None:
    fence = FENCE.model_copy(
        update={"pseudonyms": (), "generation": 0, "watermark_s": None, "refs": ("ab" * 16,)}
    )
    step = replace(STEP, erased_through_gen=0, watermark=None, fence=fence, rows_deleted=2, announced_at=None)
    receipt = made(replace(JOB, kind="message", origin="unsent"), (step,))
    assert {one.category: one.count for one in receipt.erased} == {"messages": 2}
    assert {one.what for one in receipt.kept} >= {"fence", "tombstones"}
    assert "postgres.subject_keys" not in {one.system for one in receipt.removals}
    assert {one.who for one in receipt.told} == {"stores"}


def test_a_callback_about_nobody_names_the_company_as_controller() -> None:
    receipt = made(
        replace(JOB, kind="callback", origin="data_deletion", tenant_id=None, executed_at=None), ()
    )
    assert [(one.role, one.party) for one in receipt.parties] == [("controller", "mkchannels")]
    assert (receipt.executed_at_ms, receipt.irrecoverable_on, receipt.subjects) == (None, None, ())
    assert [one.who for one in receipt.told] == ["requester"]


def test_evidence_of_a_leap_day_is_kept_until_the_first_of_march() -> None:
    receipt = made(issued_at=datetime(2028, 2, 29, 12, tzinfo=UTC))
    assert {one.what: one.until for one in receipt.kept}["evidence"] == date(2033, 3, 1)
