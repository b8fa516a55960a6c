"""After a restore a job is where the outcomes topic was told that it is: forward only, and only on erasure's own word."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.erasure_metrics import ERASURE_FENCES_APPLIED, ERASURE_GATE_OPEN, ERASURE_GATE_REFUSALS
from contracts.outcomes import Outcome, State, encode
from contracts.signing import Signer
from contracts.topics import ERASURE_FENCES, ERASURE_OUTCOMES
from runtime.kafka.clients import Producer, acknowledged
from runtime.kafka.topic_log import TopicLog
from runtime.metrics import ProcessMetrics
from store.database import connected
from store.erasure.recovery.rebuild import Rebuilder
from store.lanes.gate import FenceGate, GateMetrics
from tests.support.erasure import Requests, job
from tests.support.world import World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_LATER = "clock_timestamp() + interval '1 day'"
"""Nobody drives these rows while they are looked at."""


class Scene:
    """The outcomes topic, a database of before it, and a process that comes to both."""

    def __init__(self, world: World, requests: Requests) -> None:
        endpoints = world.stack.endpoints
        tls = endpoints.kafka_tls("erasure")
        self.world, self.signer = world, requests.signer("erasure")
        self.producer = Producer(endpoints.kafka, "test-outcomes", tls=tls)
        self.logs = [
            TopicLog(endpoints.kafka, "test-back", name, tls) for name in (ERASURE_FENCES, ERASURE_OUTCOMES)
        ]
        metrics = ProcessMetrics("erasure")
        counted = GateMetrics.of(metrics, ERASURE_FENCES_APPLIED, ERASURE_GATE_OPEN, ERASURE_GATE_REFUSALS)

        async def nothing_newer() -> None:
            return

        signers = requests.view.signer
        gate = FenceGate(self.logs[0], signers, nothing_newer, "mk_erasure", counted)
        self.rebuilder = Rebuilder(gate, self.logs[1], signers, "erasure")

    async def tell(self, request: UUID, state: State, signer: Signer | None = None, **more: Any) -> None:
        """An outcome as the lost database's erasure had told it."""
        told_ms = int(_AT.timestamp() * 1000)
        outcome = Outcome(
            request=request, tenant=None, kind="subject", origin="operator", state=state, at_ms=told_ms,
            requested_at_ms=told_ms, received_at_ms=told_ms, **more,
        )  # fmt: skip
        key, value, headers = encode(outcome, signer or self.signer)
        await acknowledged(await self.producer.send(ERASURE_OUTCOMES, value, key=key, headers=headers))

    def put(self, request: UUID, state: str = "received") -> None:
        """A row, as the backup has it or as the request's record makes it."""
        self.world.sql(
            "INSERT INTO mk.erasure_request (request_id, kind, origin, asked_by, state, told_state, requested_at,"
            f" received_at, next_attempt_at) VALUES ($1, 'subject', 'operator', 'operator', $2, $2, $3, $3, {_LATER})",
            request,
            state,
            _AT,
        )

    async def admit(self) -> None:
        """A new connection."""
        dsn = self.world.service.login("mk_erasure")
        async with connected(dsn, "test-rebuild") as connection:
            await self.rebuilder.admit(connection)

    def states(self, request: UUID) -> tuple[str, str] | None:
        """Of the row: where it is, and what was told."""
        row = job(self.world, request)
        return None if row is None else (row["state"], row["told_state"])


@pytest.fixture
async def scene(erasing: World, requests: Requests) -> AsyncIterator[Scene]:
    """With its clients."""
    made = Scene(erasing, requests)
    await made.producer.start()
    yield made
    for log in made.logs:
        await log.stop()
    await made.producer.stop()


async def test_a_row_that_the_backup_has_is_where_it_was_told_to_be(scene: Scene) -> None:
    request = uuid4()
    scene.put(request)
    for state in (State.RECEIVED, State.DECIDED, State.EXECUTING, State.LIVE_ERASED, State.ANSWERED):
        await scene.tell(
            request,
            state,
            decided_at_ms=1_767_225_600_000,
            executed_at_ms=1_767_225_600_123,
            receipt="signed",
        )
    await scene.admit()
    row = job(scene.world, request)
    assert scene.states(request) == ("answered", "answered")
    assert (row["receipt"], row["decided_at"], row["executed_at"]) == (
        "signed",
        _AT,
        datetime(2026, 1, 1, 0, 0, 0, 123_000, tzinfo=UTC),
    )


async def test_a_request_that_is_read_again_begins_where_it_had_got_to(scene: Scene) -> None:
    executing, refused, decided = uuid4(), uuid4(), uuid4()
    await scene.tell(
        executing, State.EXECUTING, decided_at_ms=1_767_225_600_000, executed_at_ms=1_767_225_600_123
    )
    await scene.tell(refused, State.REFUSED)
    await scene.tell(decided, State.DECIDED)
    await scene.admit()
    for request in (executing, refused, decided):
        assert scene.states(request) is None
        scene.put(request)
    assert scene.states(executing) == ("executing", "executing")
    row = job(scene.world, executing)
    assert (row["decided_at"], row["executed_at"] - row["decided_at"]) == (_AT, timedelta(milliseconds=123))
    assert scene.states(refused) == ("refused", "refused")
    assert scene.states(decided) == ("received", "received"), (
        "after which wait, and who approved, is not told"
    )


async def test_no_row_goes_back_and_none_goes_forward_on_anothers_word(scene: Scene) -> None:
    further, forged = uuid4(), uuid4()
    scene.put(further, "answered")
    scene.put(forged)
    await scene.tell(further, State.EXECUTING)
    await scene.tell(forged, State.ANSWERED, Signer.from_bytes("erasure", bytes(32)))
    await scene.admit()
    assert scene.states(further) == ("answered", "answered")
    assert scene.states(forged) == ("received", "received")
