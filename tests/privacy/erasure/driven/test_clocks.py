"""The broker's clock and the database's differ: nobody sent before comes back, nothing sent after is lost, or nothing is executed."""

from datetime import timedelta

import pytest

from contracts.erasure_metrics import ERASURE_CLOCK_DIFFERENCE
from contracts.outcomes import State
from store.erasure.equipment import Step
from tests.integration.store.cell import Cell, alias, event, seconds
from tests.support.eraser import Eraser
from tests.support.erasure import fenced, told
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

FAR = seconds(60)
TICK = timedelta(milliseconds=1)


@pytest.mark.parametrize("shift", [seconds(-2.5), seconds(2.5)], ids=["behind", "ahead"])
async def test_what_is_sent_in_the_first_live_second_is_stored_and_what_was_received_before_is_not(
    cell: Cell, tenant: Tenant, eraser: Eraser, shift: timedelta
) -> None:
    eraser.broker_shows(shift, FAR)
    await cell.write(tenant, event("ana"))
    request = await eraser.erase(tenant, "ana")
    (step,) = eraser.steps(tenant, request)
    before = step["executed_at"] + shift - TICK
    live = step["watermark"].replace(microsecond=0) + seconds(1)
    # Received just before, dated by a clock that is ahead of everybody's: it may not open a generation.
    assert (await cell.write(tenant, event("ana", at=live, received=before))).fenced == 1
    assert (await cell.write(tenant, event("ana", at=live, received=live + shift))).stored == 1
    # She is back: what has no time and was received before stays out all the same.
    assert (await cell.write(tenant, event("ana", received=before, undated=True))).fenced == 1
    # Readers and restored databases go by the fence, and it says the same.
    (fence,) = await fenced(cell.world, eraser.view, [request])
    until = cell.subjects(tenant)[alias("ana")]["executed_at"]
    assert fence.executed_at_us == round(until.timestamp() * 1_000_000)
    assert before < until < live + shift


async def test_too_far_apart_or_not_dated_by_the_broker_nothing_is_executed(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    await cell.write(tenant, event("ana"))
    request = await eraser.ask(tenant, "ana")
    for shift, appends in ((seconds(-90), True), (seconds(90), True), (seconds(0), False)):
        eraser.broker_shows(shift, FAR, appends=appends)
        held = await eraser.drive(request)
        assert (held.state, held.told_state, held.failed) == (
            State.DECIDED,
            State.DECIDED,
            "clocks_apart",
        )
        assert cell.subjects(tenant)[alias("ana")]["wrapped_dek"] is not None
        if appends:
            shown = eraser.metrics.gauge(ERASURE_CLOCK_DIFFERENCE)._value.get()
            assert abs(shown + shift.total_seconds()) < 30
    eraser.broker_shows(seconds(0), FAR)
    assert (await eraser.drive(request)).executed_at is not None
    assert cell.subjects(tenant)[alias("ana")]["wrapped_dek"] is None


async def test_a_process_that_did_not_tell_the_decision_tells_it_again_to_know_the_difference(
    cell: Cell, tenant: Tenant, eraser: Eraser
) -> None:
    await cell.write(tenant, event("ana"))
    request = await eraser.ask(tenant, "ana")
    await eraser.drive(request, killed_at=Step.TOLD)
    eraser.broker_shows(seconds(0), FAR)
    assert (await eraser.drive(request)).executed_at is not None
    states = [one.state for one in await told(cell.world, eraser.view, [request])]
    assert states[:3] == [State.DECIDED, State.DECIDED, State.EXECUTING]
