"""Who may ask for what, and which request names nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from contracts.outcomes import RefusalReason, State
from store.erasure.decide import execute_after, refusal_of
from store.erasure.jobs import Job
from store.erasure.tenants import TenantSchema

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
TENANT = TenantSchema(UUID(int=1), "t_abcdefgh", "ready", "abcdefgh", 1, "bound")
JOB = Job(
    request_id=UUID(int=2), tenant_id=UUID(int=1), kind="subject", origin="operator", asked_by="operator",
    state=State.RECEIVED, told_state=State.RECEIVED, reason=None, account_id=None, message_ref=None,
    pseudonyms=(b"p" * 16,), details=None, requested_at=NOW, received_at=NOW, due_on=None, execute_after=None,
    is_due=True, approved_by=None, decided_at=None, executed_at=None, live_erased_at=None, irrecoverable_on=None,
    answered_at=None, counts={}, receipt=None, attempts=0, failed=None,
)  # fmt: skip
KINDS = {
    "subject": JOB,
    "message": replace(JOB, kind="message", origin="unsent", message_ref=b"r" * 16, pseudonyms=()),
    "account": replace(JOB, kind="account", origin="account_removed", account_id=UUID(int=3), pseudonyms=()),
    "callback": replace(JOB, kind="callback", origin="data_deletion", tenant_id=None),
}
ALLOWED = {
    ("ingest", "callback"),
    ("router", "message"),
    ("router", "account"),
    ("operator", "subject"),
    ("operator", "account"),
    ("erasure", "account"),
}


@pytest.mark.parametrize("signer", ["ingest", "router", "operator", "erasure", "store", "custodian", "desk"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_signer_may_ask_for_its_kinds_and_for_no_other(signer: str, kind: str) -> None:
    tenant = None if kind == "callback" else TENANT
    refused = refusal_of(replace(KINDS[kind], asked_by=signer), tenant)
    assert refused is (None if (signer, kind) in ALLOWED else RefusalReason.NOT_ALLOWED)


def test_who_may_not_ask_does_not_learn_whether_the_tenant_exists() -> None:
    assert refusal_of(replace(JOB, asked_by="router"), None) is RefusalReason.NOT_ALLOWED
    assert refusal_of(JOB, None) is RefusalReason.UNKNOWN_TENANT


@pytest.mark.parametrize(
    "job",
    [
        replace(JOB, pseudonyms=()),
        replace(KINDS["message"], asked_by="router", message_ref=None),
        replace(KINDS["account"], account_id=None),
    ],
)
def test_what_names_nothing_is_refused(job: Job) -> None:
    assert refusal_of(job, TENANT) is RefusalReason.NOTHING_NAMED


def test_only_an_accounts_erasure_waits() -> None:
    waits = timedelta(hours=72)
    assert execute_after(KINDS["account"], waits, NOW) == NOW + waits
    assert [execute_after(KINDS[kind], waits, NOW) for kind in ("subject", "message", "callback")] == [
        None
    ] * 3


def test_an_account_is_restricted_as_long_however_old_its_record_is() -> None:
    waits = timedelta(hours=72)
    lain = replace(KINDS["account"], received_at=NOW - timedelta(hours=80))
    assert execute_after(lain, waits, NOW) == NOW + waits


def test_a_job_shows_no_pseudonym_ref_or_detail() -> None:
    shown = repr(replace(KINDS["message"], pseudonyms=(b"p" * 16,), details=b"secret"))
    assert "ppp" not in shown
    assert "rrr" not in shown
    assert "secret" not in shown
