"""What is rebuilt from the topics before any request runs: each told state on each row, whatever was read before."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from contracts.erasure_metrics import ERASURE_FENCES_APPLIED, ERASURE_GATE_OPEN, ERASURE_GATE_REFUSALS
from contracts.fences import Fence, encode, keep
from contracts.outcomes import Outcome, State
from contracts.topics import ERASURE_FENCES, ERASURE_OUTCOMES
from runtime.kafka.topic_log import TopicLog
from store.erasure.recovery.rebuild import Rebuilder
from store.erasure.telling.tell import append_fences, tell_outcomes
from store.lanes.gate import FenceGate, GateMetrics
from tests.integration.store.cell import Cell, alias, event
from tests.support.eraser import Eraser
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

BEFORE_DECISION = {State.RECEIVED, State.IDENTITY_PENDING}
TAKEN = {
    State.REFUSED: BEFORE_DECISION | {State.DECIDED},
    State.EXECUTING: BEFORE_DECISION | {State.DECIDED},
    State.LIVE_ERASED: BEFORE_DECISION | {State.DECIDED, State.EXECUTING},
    State.ANSWERED: BEFORE_DECISION | {State.DECIDED, State.EXECUTING, State.LIVE_ERASED},
}
"""What is told, and the states of rows that it brings forward; everything else leaves a row as it is."""


class Scene:
    """A process of erasure that comes to this database and to what was told."""

    def __init__(self, cell: Cell, eraser: Eraser) -> None:
        endpoints = cell.world.service.endpoints
        tls = endpoints.kafka_tls("erasure")
        self.cell, self.eraser = cell, eraser
        self.fences, self.outcomes = (
            TopicLog(endpoints.kafka, "test-back", name, tls) for name in (ERASURE_FENCES, ERASURE_OUTCOMES)
        )
        counted = GateMetrics.of(
            eraser.metrics, ERASURE_FENCES_APPLIED, ERASURE_GATE_OPEN, ERASURE_GATE_REFUSALS
        )

        async def nothing_newer() -> None:
            return

        gate = FenceGate(self.fences, eraser.view.signer, nothing_newer, "mk_erasure", counted)
        self.rebuilder = Rebuilder(gate, self.outcomes, eraser.view.signer, "erasure")

    async def tell(self, *told: tuple[UUID, State]) -> None:
        """As the lost database's erasure had."""
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        outcomes = [
            Outcome(
                request=request, tenant=None, kind="subject", origin="operator", state=state, at_ms=now_ms,
                requested_at_ms=now_ms, received_at_ms=now_ms,
            )
            for request, state in told
        ]  # fmt: skip
        await tell_outcomes(self.eraser.tools, outcomes)

    def put(self, *states: State) -> list[UUID]:
        """Rows that the backup has, in these states; their ids."""
        requests = [uuid4() for _ in states]
        self.cell.world.sql(
            "INSERT INTO mk.erasure_request (request_id, kind, origin, asked_by, state, told_state, requested_at, received_at)"
            " SELECT id, 'subject', 'operator', 'operator', state, state, now(), now()"
            " FROM unnest($1::uuid[], $2::text[]) AS given (id, state)",
            requests,
            [state.value for state in states],
        )
        return requests

    def states(self, requests: list[UUID]) -> list[State]:
        """Where they are."""
        rows = self.cell.world.sql(
            "SELECT request_id, state FROM mk.erasure_request WHERE request_id = ANY ($1)", requests
        )
        found = {row["request_id"]: State(row["state"]) for row in rows}
        return [found[request] for request in requests]

    async def admit(self) -> None:
        """On a new connection."""
        await self.rebuilder.admit(self.eraser.tools.connection)


@pytest.fixture
async def scene(cell: Cell, eraser: Eraser) -> AsyncIterator[Scene]:
    """With its clients."""
    made = Scene(cell, eraser)
    yield made
    for log in (made.fences, made.outcomes):
        await log.stop()


async def test_each_told_state_brings_forward_the_rows_of_before_it_and_no_other(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.erasure.recovery.rebuild._AT_ONCE", 2)
    cases = [(state, told) for told in State for state in State]
    requests = scene.put(*(state for state, _ in cases))
    await scene.tell(*((request, told) for request, (_, told) in zip(requests, cases, strict=True)))
    await scene.admit()
    assert dict(zip(cases, scene.states(requests), strict=True)) == {
        (state, told): told if state in TAKEN.get(told, ()) else state for state, told in cases
    }
    # How far it was read stands with it: nobody reads it again for every new connection.
    bounds = await scene.outcomes.bounds()
    positions = scene.cell.world.sql("SELECT partition, topic_id, next_offset FROM mk.outcome_position")
    assert {row["partition"]: (row["topic_id"], row["next_offset"]) for row in positions} == {
        partition: (bounds.topic_id, end) for partition, (_, end) in bounds.partitions.items()
    }


async def test_what_is_remembered_of_a_request_that_is_not_here_only_goes_forward(scene: Scene) -> None:
    request = uuid4()
    await scene.tell((request, State.EXECUTING), (request, State.ANSWERED))
    await scene.admit()
    await scene.tell((request, State.EXECUTING), (request, State.LIVE_ERASED))
    await scene.admit()
    [(state,)] = scene.cell.world.sql("SELECT state FROM mk.erasure_told WHERE request_id = $1", request)
    assert state == State.ANSWERED


@pytest.mark.parametrize(("topic_id", "beyond"), [("another topic", 0), (None, 1_000)])
async def test_a_topic_that_is_another_or_lost_its_end_is_read_anew(
    scene: Scene, topic_id: str | None, beyond: int
) -> None:
    requests = scene.put(State.RECEIVED)
    await scene.tell((requests[0], State.ANSWERED))
    bounds = await scene.outcomes.bounds()
    for partition, (_, end) in bounds.partitions.items():
        scene.cell.world.sql(
            "INSERT INTO mk.outcome_position VALUES ($1, $2, $3) ON CONFLICT (partition) DO UPDATE"
            " SET topic_id = excluded.topic_id, next_offset = excluded.next_offset",
            partition,
            topic_id or bounds.topic_id,
            end + beyond,
        )
    await scene.admit()
    assert scene.states(requests) == [State.ANSWERED]


async def test_fences_are_applied_before_any_request_runs(scene: Scene, tenant: Tenant) -> None:
    await scene.cell.write(tenant, event("ana"))
    now = datetime.now(UTC).timestamp()
    fence = Fence(
        request=uuid4(),
        tenant=tenant.tenant,
        subject=uuid4(),
        pseudonyms=(alias("ana").hex(),),
        generation=1,
        watermark_s=int(now),
        executed_at_us=int(now * 1_000_000),
    )
    _, value, headers = encode(fence, scene.eraser.tools.signer)
    await append_fences(scene.eraser.tools.producer, scene.eraser.tools.signer, [keep(value, headers)])
    await scene.admit()
    assert scene.cell.subjects(tenant)[alias("ana")]["wrapped_dek"] is None
