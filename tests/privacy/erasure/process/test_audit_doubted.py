"""An audit log that is not the one that was signed: the process erases nothing, and says so, until somebody answers for it."""

import asyncio
import json

import pytest

from contracts.outcomes import State
from tests.support.audit_log import empty_checkpoints
from tests.support.erasure import ERASED, Requests, job, person_request, psid, wait_state
from tests.support.world import World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

CHANGED = "UPDATE mk.audit_entry SET entry = convert_to('{\"at_us\":1}', 'UTF8') WHERE leaf = 0"
CUT_OFF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mk-audit' AND datname = $1"
TRUSTED = "mk_erasure_audit_trusted"


async def test_nothing_is_erased_while_the_audit_log_is_in_doubt(erasing: World, requests: Requests) -> None:
    tenant = await asyncio.to_thread(erasing.add_tenant, "duvida")
    before = await requests.ask(person_request(tenant, psid("7101")))
    await asyncio.to_thread(wait_state, erasing, before, State.ANSWERED)
    assert erasing.metrics("erasure")[TRUSTED] == 1.0
    await empty_checkpoints(erasing.stack.endpoints)
    erasing.sql(CHANGED)
    erasing.sql(CUT_OFF, erasing.service.database)
    erasing.wait_until(lambda: erasing.metrics("erasure").get(TRUSTED) == 0.0, 20, "the doubt")
    erasing.wait_until(lambda: erasing.node("erasure").readiness().get("audit") is False, 20, "readiness")
    assert erasing.metrics("erasure")['mk_erasure_audit_refusals_total{reason="other_entries"}'] > 0
    waiting = await requests.ask(person_request(tenant, psid("7102")))
    code, shown, _ = await asyncio.to_thread(erasing.mkc_raw, "audit", "accept", "--json")
    assert code == 1
    doubt = json.loads(shown)["in_doubt"]
    assert doubt["reason"] == "other_entries"
    assert job(erasing, waiting) is None, "not even read"
    accepted = await asyncio.to_thread(erasing.mkc, "audit", "accept", "--root", doubt["root"])
    assert accepted == {"accepted": doubt["entries"]}
    await asyncio.to_thread(wait_state, erasing, waiting, *ERASED)
    assert erasing.metrics("erasure")[TRUSTED] == 1.0
