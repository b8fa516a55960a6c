"""The life of requests, driven at random and killed between any two steps, against a model of who is gone and who is live.

Real Postgres and Kafka; the writer is the store's own transaction, the driver erasure's own. Whatever the order, whatever
was killed and begun again: each request takes effect once, no erased row or key is there afterwards, no live row is lost.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    rule,
    run_state_machine_as_test,
)

from contracts.outcomes import State
from deploy.local.stack import LocalStack
from store.erasure.equipment import Step
from store.lanes.database import WriteConflict
from store.lanes.event import TenantEvent
from tests.integration.store.cell import Cell, alias, event
from tests.support.eraser import Eraser
from tests.support.erasure import ERASED
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

T = TypeVar("T")
OPENS = "message.received"
KINDS = (OPENS, OPENS, "message.read", "reaction.changed")
STEPS = [step for step in Step if step not in (Step.ADMITTED, Step.ANSWERED)]


class LifeCycle(RuleBasedStateMachine):
    """Three people a run, each with two aliases; time goes on by two seconds at each event."""

    runner: asyncio.Runner
    eraser: Eraser
    cell: Cell
    tenant: Tenant

    people = Bundle("people")
    events = Bundle("events")
    requests = Bundle("requests")

    def __init__(self) -> None:
        super().__init__()
        self.run_id = uuid4().hex
        self.now = datetime.now(UTC)
        self.written: list[tuple[str, TenantEvent]] = []
        self.asked: list[UUID] = []

    def does(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the one loop."""
        return self.runner.run(work)

    @initialize(target=people)
    def somebody(self) -> object:
        """The first event names both aliases: from then on they are one person's."""
        people = [f"{self.run_id}-{number}" for number in range(3)]
        for person in people:
            self.an_event(person, "message.read", short=False)
        return multiple(*people)

    @rule(target=events, person=people, kind=st.sampled_from(KINDS), short=st.booleans())
    def an_event_arrives(self, person: str, kind: str, short: bool) -> tuple[str, TenantEvent]:
        return self.an_event(person, kind, short=short)

    def an_event(self, person: str, kind: str, *, short: bool) -> tuple[str, TenantEvent]:
        self.now = max(self.now, datetime.now(UTC)) + timedelta(seconds=2)
        names = (person,) if short else (person, f"{person}-other")
        made = event(*names, kind=kind, at=self.now, received=self.now)
        self.write(person, made)
        return person, made

    @rule(known=events)
    def an_event_arrives_again(self, known: tuple[str, TenantEvent]) -> None:
        self.write(*known)

    def write(self, person: str, made: TenantEvent) -> None:
        for _ in range(3):
            try:
                self.does(self.cell.write(self.tenant, made))
                break
            except WriteConflict:
                continue
        self.written.append((person, made))

    @rule(target=requests, person=people, other=st.booleans())
    def somebody_is_to_be_erased(self, person: str, other: bool) -> UUID:
        named = (f"{person}-other",) if other else (person, f"{person}-other")
        request = self.does(self.eraser.ask(self.tenant, *named))
        self.asked.append(request)
        return request

    @rule(request=requests)
    def the_request_comes_again(self, request: UUID) -> None:
        self.does(self.eraser.ask(self.tenant, "another", request=request))

    @rule(request=requests, step=st.sampled_from(STEPS))
    def erasure_is_killed_on_the_way(self, request: UUID, step: Step) -> None:
        self.does(self.eraser.turn(request, killed_at=step))

    @rule(request=requests)
    def two_drive_the_same_request(self, request: UUID) -> None:
        async def both() -> None:
            await asyncio.gather(self.eraser.turn(request), self.eraser.turn(request))

        self.does(both())

    @rule(request=requests)
    def erasure_goes_on(self, request: UUID) -> None:
        self.does(self.eraser.turn(request))

    def teardown(self) -> None:
        """Everything comes to its end, and is as the model says."""
        if not self.asked and not self.written:
            return
        for request in self.asked:
            self.does(self.eraser.turn(request))
        world, s = self.cell.world, self.tenant.schema
        jobs = world.sql(
            "SELECT request_id, state, told_state, attempts, failed FROM mk.erasure_request WHERE request_id = ANY ($1)",
            self.asked,
        )
        assert len(jobs) == len(self.asked)
        for job in jobs:
            assert State(job["state"]) in ERASED, dict(job)
            assert job["told_state"] == job["state"]
        steps = world.sql(
            f"SELECT e.watermark, e.executed_at, a.pseudonym FROM {s}.erasure_step e JOIN {s}.alias a USING (subject_id)"
        )
        live: set[UUID] = set()
        returned: set[str] = set()
        fenced: set[str] = set()
        for person, made in self.written:
            # Both of somebody's aliases may stand for subjects that a later event linked: the strictest fence applies.
            marks = [row for row in steps if row["pseudonym"] in (alias(person), alias(f"{person}-other"))]
            if marks:
                fenced.add(person)
            assert made.occurred_s is not None
            passes = all(
                made.occurred_s > int(row["watermark"].timestamp()) and made.received_at > row["executed_at"]
                for row in marks
            )
            if passes and made.event_type == OPENS:
                live.add(made.event_id)
                returned.add(person)
        rows = {
            row["id"]: row
            for row in world.sql(
                f"SELECT m.id, m.event_type, m.generation, s.erased_through_gen, s.wrapped_dek FROM {s}.message m"
                f" JOIN {s}.subject s USING (subject_id) WHERE m.id = ANY ($1)",
                [made.event_id for _, made in self.written],
            )
        }
        messages = {identity for identity, row in rows.items() if row["event_type"] == OPENS}
        assert messages == live
        for row in rows.values():
            assert row["generation"] > row["erased_through_gen"]
            assert row["wrapped_dek"] is not None
        for person in fenced - returned:
            keys = world.sql(
                f"SELECT 1 FROM {s}.subject JOIN {s}.alias USING (subject_id)"
                " WHERE pseudonym = ANY ($1) AND wrapped_dek IS NOT NULL",
                [alias(person), alias(f"{person}-other")],
            )
            assert not keys, "a key of somebody erased who has not come back"


@pytest.fixture
def provisioned(servers: tuple[LocalStack, int]) -> Iterator[World]:
    """A service of which the custodian alone runs."""
    stack, port_base = servers
    with World.on(stack, port_base) as world:
        world.start(["custodian"])
        yield world


def test_requests_live_as_the_model_says_whatever_is_killed(provisioned: World) -> None:
    cell = Cell(provisioned)
    tenant = cell.new_tenant()
    with asyncio.Runner() as runner:
        eraser = Eraser(cell)
        runner.run(eraser.__aenter__())
        eraser.pass_lanes(tenant)
        try:
            LifeCycle.runner, LifeCycle.eraser, LifeCycle.cell, LifeCycle.tenant = (
                runner,
                eraser,
                cell,
                tenant,
            )
            run_state_machine_as_test(
                LifeCycle,
                settings=settings(
                    max_examples=12,
                    stateful_step_count=18,
                    deadline=None,
                    database=None,
                    derandomize=True,
                    # Shrinking would run on what the failed run left behind.
                    phases=(Phase.generate,),
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(eraser.__aexit__(None, None, None))
