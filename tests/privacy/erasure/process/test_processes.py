"""The process itself: two of them, one that is killed, a store that stands still."""

import asyncio
import signal

import pytest

from contracts.outcomes import State
from deploy.local.service_node import ServiceNode
from tests.support.erasure import ERASED, Requests, job, person_request, psid, wait_state
from tests.support.world import World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def acting(node: ServiceNode) -> float:
    """What a process says of itself: 1 if it acts."""
    return node.metrics().get("mk_erasure_acting", -1.0)


async def test_of_two_one_acts_and_the_other_takes_over_when_it_is_killed(
    erasing: World, requests: Requests
) -> None:
    tenant = await asyncio.to_thread(erasing.add_tenant, "dois")
    first = erasing.node("erasure")
    second = erasing.service.another("erasure", max(erasing.service.ports.health.values()) + 1)
    await asyncio.to_thread(second.start)
    try:
        erasing.wait_until(lambda: acting(first) == 1.0, 10, "the first to act")
        assert acting(second) == 0.0
        assert second.readiness()["ready"] is True
        request = await requests.ask(person_request(tenant, psid("7001")))
        await asyncio.to_thread(wait_state, erasing, request, *ERASED)
        erasing.kill("erasure")
        request = await requests.ask(person_request(tenant, psid("7002")))
        await asyncio.to_thread(wait_state, erasing, request, *ERASED)
        assert acting(second) == 1.0
        await asyncio.to_thread(erasing.restart, "erasure")
        assert acting(first) == 0.0
    finally:
        await asyncio.to_thread(second.stop)
    erasing.wait_until(lambda: acting(first) == 1.0, 10, "the first to act again")


async def test_a_request_waits_for_a_store_that_stands_still_and_that_shows(
    erasing: World, requests: Requests
) -> None:
    tenant = await asyncio.to_thread(erasing.add_tenant, "parada")
    store = erasing.node("store").identity()
    assert store is not None
    store.send(signal.SIGSTOP)
    try:
        request = await requests.ask(person_request(tenant, psid("7003")))
        row = await asyncio.to_thread(wait_state, erasing, request, State.EXECUTING)
        assert row["executed_at"] is not None
        oldest = "mk_erasure_oldest_waiting_for_lanes_seconds"
        erasing.wait_until(lambda: erasing.metrics("erasure")[oldest] > 0, 20, "the wait to show")
        assert job(erasing, request)["state"] == State.EXECUTING
        assert erasing.metrics("erasure")['mk_erasure_attempts_failed_total{code="lanes_behind"}'] > 0
    finally:
        store.send(signal.SIGCONT)
    await asyncio.to_thread(wait_state, erasing, request, *ERASED)
