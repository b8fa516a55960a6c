"""An account goes: after control says so, its rows, and whoever had no other; the others are marked."""

import contextlib
import itertools
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from store.erasure.endings import Refused
from store.erasure.equipment import Step
from store.erasure.execution import account as account_module
from store.erasure.execution.account import NotWithdrawn
from tests.integration.store.cell import alias, event, seconds
from tests.privacy.erasure.executors.acting import Acting
from tests.security.keys.cell import Killed

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

GONE, STAYS = UUID(int=7), UUID(int=8)


def asked(acting: Acting) -> UUID:
    return acting.job("account", "account_removed", asked_by="router", account_id=GONE)


def counted(acting: Acting, request: UUID) -> Any:
    """What the receipt is to say."""
    return json.loads(
        acting.sql("SELECT counts FROM mk.erasure_request WHERE request_id = $1", request)[0][0]
    )


async def two_accounts(acting: Acting) -> None:
    """Ana wrote to one, Bob to both, nobody to each; the first account is withdrawn."""
    await acting.keys.cell.write(
        acting.tenant,
        event("ana", account=GONE),
        event("ana", account=GONE, undated=True),
        event("bob", account=GONE),
        event("bob", account=STAYS),
        event(account=GONE),
        event(account=STAYS),
    )
    acting.said(GONE, "withdrawn")


async def test_its_rows_go_and_whoever_has_no_other_loses_the_key(acting: Acting) -> None:
    await two_accounts(acting)
    request = asked(acting)
    steps = await acting.execute(request)
    left = acting.sql("SELECT account_id FROM {s}.message")
    assert {row[0] for row in left} == {STAYS}
    assert len(left) == 2
    ana, bob = (acting.keys.cell.subjects(acting.tenant)[alias(name)] for name in ("ana", "bob"))
    assert (ana["wrapped_dek"], ana["generation"], ana["erased_through_gen"], ana["rekey"]) == (
        None,
        2,
        1,
        False,
    )
    assert (bob["wrapped_dek"] is not None, bob["generation"], bob["rekey"]) == (True, 1, True)
    (own,) = steps
    assert own.rows_deleted == 4
    assert own.fence is not None
    assert own.fence.account == GONE
    # Ana's, and that of the subject that stood for the account.
    assert counted(acting, request) == {"keys": 2}


async def test_nothing_happens_before_control_says_that_the_consent_is_withdrawn(acting: Acting) -> None:
    await two_accounts(acting)
    acting.said(GONE, "active")
    request = asked(acting)
    with pytest.raises(NotWithdrawn):
        await acting.execute(request)
    assert len(acting.texts()) == 6
    state = "SELECT state FROM mk.erasure_request WHERE request_id = $1"
    assert acting.sql(state, request)[0][0] == "decided"
    del acting.view.accounts[GONE]
    with pytest.raises(NotWithdrawn):
        await acting.execute(request)


async def test_an_account_of_nobody_or_of_another_tenant_is_refused(acting: Acting) -> None:
    with pytest.raises(Refused):
        await acting.execute(acting.job("account", "account_removed", account_id=uuid4()))
    acting.said(GONE, "withdrawn")
    acting.sql("UPDATE mk.account SET tenant_id = $1", acting.keys.tenants[1].tenant)
    with pytest.raises(Refused):
        await acting.execute(asked(acting))


async def test_a_person_comes_back_through_another_account_and_loses_nothing_of_it(acting: Acting) -> None:
    await two_accounts(acting)
    backlog = event("ana", account=STAYS, at=datetime.now(UTC) - seconds(60))
    await acting.execute(asked(acting))
    # Received before the erasure, from an account that stays: no watermark keeps it out.
    assert (await acting.keys.cell.write(acting.tenant, backlog)).stored == 1
    assert acting.keys.cell.subjects(acting.tenant)[alias("ana")]["generation"] == 2


async def test_a_status_from_another_account_is_stored_also_before_the_person_writes_again(
    acting: Acting,
) -> None:
    await two_accounts(acting)
    await acting.execute(asked(acting))
    read = event("ana", kind="message.read", account=STAYS)
    assert (await acting.keys.cell.write(acting.tenant, read)).stored == 1
    ana = acting.keys.cell.subjects(acting.tenant)[alias("ana")]
    assert (ana["generation"], ana["erased_through_gen"], ana["wrapped_dek"] is not None) == (2, 1, True)


async def test_no_status_brings_them_back_who_are_the_same_person_as_somebody_erased(acting: Acting) -> None:
    await two_accounts(acting)
    await acting.keys.cell.write(acting.tenant, event("ana-by-phone", account=STAYS))
    await acting.keys.cell.write(acting.tenant, event("ana-by-phone", "ana", account=GONE))
    await acting.execute(asked(acting))
    # The other half alone, as a lane sees it that links them before erasure has carried out the join.
    await acting.keys.cell.erase(acting.tenant, "ana-by-phone")
    later = datetime.now(UTC) + seconds(2)
    read = event("ana", kind="message.read", account=STAYS, at=later, received=later)
    assert (await acting.keys.cell.write(acting.tenant, read)).fenced == 1
    assert acting.keys.cell.subjects(acting.tenant)[alias("ana")]["wrapped_dek"] is None


async def test_the_same_request_again_is_one_step_with_one_fence(acting: Acting) -> None:
    acting.said(GONE, "withdrawn")
    request = asked(acting)
    steps = await acting.execute(request)
    assert await acting.execute(request) == steps
    assert acting.audited(request) == ["erasure.executing", "erasure.executed"]


async def test_a_lane_that_has_not_heard_of_the_withdrawal_stores_nothing_more_once_the_step_stands(
    acting: Acting,
) -> None:
    await two_accounts(acting)
    await acting.execute(asked(acting))
    ended = await acting.keys.cell.write(
        acting.tenant, event("ana", account=GONE), event("eva", account=GONE), event("eva", account=STAYS)
    )
    assert (ended.fenced, ended.stored) == (2, 1)
    assert acting.sql("SELECT count(*) FROM {s}.message WHERE account_id = $1", GONE)[0][0] == 0


async def test_killed_between_any_two_pages_it_ends_the_same(
    acting: Acting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_module, "ROWS_AT_ONCE", 2)
    monkeypatch.setattr(account_module, "SUBJECTS_AT_ONCE", 1)
    await two_accounts(acting)
    request = asked(acting)

    # The first attempt is killed at the first step that stands, the second at the second, and so on.
    steps = None
    for attempt in itertools.count():
        reached = itertools.count()

        def kill(_request: UUID, _step: Step, reached: Any = reached, attempt: int = attempt) -> None:
            if next(reached) == attempt:
                raise Killed

        with contextlib.suppress(Killed):
            steps = await acting.execute(request, kill)
            break
    assert attempt >= 3
    assert steps is not None
    assert [step.rows_deleted for step in steps] == [4]
    assert counted(acting, request) == {"keys": 2}
    assert len(acting.texts()) == 2
    assert acting.audited(request).count("erasure.executing") == 1
