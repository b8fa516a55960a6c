"""Whether a request may be executed, and when. Pure: it judges the row and what is known of the tenant.

A message's deletion, a callback and an operator's request for an identified person need no human step here; effects on a
whole account wait in a restricted state or for a second person (PRIVACY.md section 3 "States").
"""

from __future__ import annotations

from datetime import datetime, timedelta

from contracts.erasure_requests import MAY_ASK
from contracts.outcomes import RefusalReason
from store.erasure.jobs import Job
from store.erasure.settings import SIGNER_NAME
from store.erasure.tenants import TenantSchema


def refusal_of(job: Job, tenant: TenantSchema | None) -> RefusalReason | None:
    """Why it may not be executed; None: it may."""
    # Erasure itself asks for the accounts that a callback is about; no record can be signed by it.
    is_own = job.origin == "join" or (job.kind == "account" and job.asked_by == SIGNER_NAME)
    if job.kind not in MAY_ASK.get(job.asked_by, frozenset()) and not is_own:
        return RefusalReason.NOT_ALLOWED
    if job.kind == "callback":
        return None
    if tenant is None:
        return RefusalReason.UNKNOWN_TENANT
    named = {"subject": job.pseudonyms, "message": job.message_ref, "account": job.account_id}[job.kind]
    return None if named else RefusalReason.NOTHING_NAMED


def execute_after(job: Job, restricted_for: timedelta, now: datetime) -> datetime | None:
    """The moment before which it may not be executed without an approval; None: at once.

    Counted from `now`, the decision: an account is restricted only since its row is here, however old the record is.
    """
    return max(job.received_at, now) + restricted_for if job.kind == "account" else None
