"""A state only goes forward, for every kind of request: each event in each state, and nothing executes that was not told."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from contracts.errors import ContractViolation
from contracts.outcomes import RefusalReason, State
from store.erasure.execution import callback
from store.erasure.jobs import (
    Job,
    JobMoved,
    load_job,
    set_answered,
    set_decided,
    set_executing,
    set_live_erased,
    set_refused,
    set_told,
)
from store.erasure.requests.admit import Admitted, insert
from tests.integration.store.cell import alias, event
from tests.privacy.erasure.executors.acting import SIGNER, Acting

if TYPE_CHECKING:
    from store.database import Connection

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

ACCOUNT = UUID(int=41)
UNDECIDED = (State.RECEIVED, State.IDENTITY_PENDING)
KINDS = {
    "subject": ("operator", "operator"),
    "message": ("unsent", "router"),
    "account": ("account_removed", "router"),
    "callback": ("data_deletion", "ingest"),
    "join": ("join", "store"),
}
"""Origin and who asks; a join is a request about a person that erasure makes itself."""

Event = Callable[["Connection", Job], Awaitable[object]]


async def decided(connection: "Connection", job: Job) -> object:
    return await set_decided(connection, job.request_id, None, None)


async def refused(connection: "Connection", job: Job) -> object:
    return await set_refused(connection, job.request_id, RefusalReason.LEGAL_HOLD)


async def executed(connection: "Connection", job: Job) -> object:
    try:
        await set_executing(connection, job, SIGNER.name)
    except JobMoved:
        return False
    return True


async def live_erased(connection: "Connection", job: Job) -> object:
    return await set_live_erased(connection, job.request_id)


async def answered(connection: "Connection", job: Job) -> object:
    return await set_answered(connection, job.request_id, "signed", None)


LEADS: dict[State, tuple[Event, tuple[State, ...]]] = {
    State.DECIDED: (decided, UNDECIDED),
    State.REFUSED: (refused, (*UNDECIDED, State.DECIDED)),
    State.EXECUTING: (executed, (State.DECIDED,)),
    State.LIVE_ERASED: (live_erased, (State.EXECUTING,)),
    State.ANSWERED: (answered, (State.LIVE_ERASED,)),
}
"""What each event leads to, and the only states that it leads there from."""


def rows_in(acting: Acting, kind: str, states: Sequence[State]) -> list[UUID]:
    """A request of that kind in each state, told so; their ids."""
    origin, asked_by = KINDS[kind]
    made = acting.sql(
        "INSERT INTO mk.erasure_request (request_id, tenant_id, kind, origin, asked_by, state, told_state, requested_at,"
        " received_at) SELECT gen_random_uuid(), $1, $2, $3, $4, state, state, now(), now()"
        " FROM unnest($5::text[]) WITH ORDINALITY AS given (state, number) ORDER BY number RETURNING request_id",
        acting.tenant.tenant,
        "subject" if kind == "join" else kind,
        origin,
        asked_by,
        [state.value for state in states],
    )
    return [row["request_id"] for row in made]


@pytest.mark.parametrize("kind", KINDS)
async def test_each_event_leads_on_from_its_own_states_and_from_no_other(acting: Acting, kind: str) -> None:
    cases = [(reached, state) for reached in LEADS for state in State]
    requests = rows_in(acting, kind, [state for _, state in cases])
    async with acting.tools() as tools:
        for (reached, state), request in zip(cases, requests, strict=True):
            happens, froms = LEADS[reached]
            await happens(tools.connection, await load_job(tools.connection, request))
            after = await load_job(tools.connection, request)
            assert after.state is (reached if state in froms else state), (kind, state, reached)
            # Acknowledged as another state than the one that it is in by now: not told.
            await set_told(
                tools.connection, request, State.REFUSED if state is State.DECIDED else State.DECIDED
            )
            if after.state not in (State.DECIDED, State.REFUSED):
                assert (await load_job(tools.connection, request)).told_state is state


async def test_the_same_request_again_is_the_same_row_in_every_state_and_no_other_takes_its_id(
    acting: Acting,
) -> None:
    now = datetime.now(UTC)
    async with acting.tools() as tools:
        for kind, (origin, asked_by) in KINDS.items():
            column = "subject" if kind == "join" else kind
            for state, request in zip(State, rows_in(acting, kind, list(State)), strict=True):
                before = await load_job(tools.connection, request)
                again = Admitted(
                    request,
                    acting.tenant.tenant,
                    column,
                    origin,
                    asked_by,
                    None,
                    None,
                    (b"n" * 16,),
                    None,
                    now,
                    now,
                )
                assert await insert(tools.connection, again) is False
                with pytest.raises(ContractViolation):
                    await insert(tools.connection, replace(again, tenant_id=acting.keys.tenants[1].tenant))
                after = await load_job(tools.connection, request)
                assert (after, after.state) == (before, state)


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_of_a_request_is_done_that_is_not_decided_and_told_so(
    acting: Acting, kind: str
) -> None:
    write, tenant = acting.keys.cell.write, acting.tenant
    await write(tenant, event("old"), event("new", ref="m1"), event("ana", account=ACCOUNT))
    acting.said(ACCOUNT, "withdrawn")
    if kind == "join":
        await acting.keys.cell.erase(tenant, "old")
    origin, asked_by = KINDS[kind]
    columns: dict[str, dict[str, Any]] = {
        "subject": {"pseudonyms": [alias("ana")]},
        "join": {"pseudonyms": [alias("old"), alias("new")]},
        "message": {"message_ref": alias("m1")},
        "account": {"account_id": ACCOUNT},
        "callback": {"tenant_id": None},
    }
    looked_at = "SELECT * FROM {s}.subject ORDER BY subject_id"
    before = acting.sql(looked_at), acting.texts()
    # What was decided and is not told yet, and every state that does not execute (of a callback, whose accounts were looked for).
    for state in (
        [State.DECIDED] if kind == "callback" else [one for one in State if one is not State.EXECUTING]
    ):
        told = State.RECEIVED if state is State.DECIDED else state
        column = "subject" if kind == "join" else kind
        request = acting.job(column, origin, asked_by=asked_by, state=state, told_state=told, **columns[kind])
        with pytest.raises(JobMoved):
            await executed_as(acting, kind, request)
        [(now,)] = acting.sql("SELECT state FROM mk.erasure_request WHERE request_id = $1", request)
        assert (now, acting.audited(request)) == (state, [])
    assert (acting.sql(looked_at), acting.texts()) == before
    assert acting.sql("SELECT FROM {s}.erasure_step") == acting.sql("SELECT FROM {s}.tombstone") == []


async def executed_as(acting: Acting, kind: str, request: UUID) -> None:
    """Its executor works once."""
    if kind == "callback":
        async with acting.tools() as tools:
            await callback.execute(tools, await load_job(tools.connection, request))
    else:
        await acting.execute(request)
