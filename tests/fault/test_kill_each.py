"""Each process and each server is killed once under load: every 200 is stored exactly once, and nobody else is restarted."""

import time
from collections.abc import Callable

import pytest

from tests.support.load import Load
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

RECOVERY_S = 30.0


def stored_exactly_once(world: World, tenant: Tenant, load: Load, before: int) -> None:
    """Every promised number is one row; nothing more, since each number was tried until it was promised."""
    expected = before + len(load.promised)
    world.wait_until(lambda: world.row_count(tenant) >= expected, RECOVERY_S, f"{expected} rows")
    world.wait_balanced()
    assert world.row_count(tenant) == expected
    assert world.outcomes(tenant)["stored"] == expected


def survives(world: World, tenant: Tenant, load: Load, fault: Callable[[], None]) -> None:
    """Traffic before, during and after the fault."""
    before = world.row_count(tenant)
    with load:
        load.await_promised(60, 10)
        fault()
        load.await_promised(60, RECOVERY_S)
    stored_exactly_once(world, tenant, load, before)


@pytest.mark.parametrize("name", ["ingest", "router", "store", "erasure", "custodian"])
def test_a_killed_process_comes_back_and_loses_nothing(
    running: World, tenant: Tenant, load: Load, name: str
) -> None:
    others = {
        other: running.service.pid(other)
        for other in ("ingest", "router", "store", "erasure", "custodian")
        if other != name
    }

    def fault() -> None:
        running.kill(name)
        time.sleep(0.5)  # how long it is away; nothing is waited for
        running.restart(name)

    survives(running, tenant, load, fault)
    assert {other: running.service.pid(other) for other in others} == others


def test_a_killed_kafka_comes_back_and_every_process_goes_on(
    running: World, tenant: Tenant, load: Load
) -> None:
    pids = {name: running.service.pid(name) for name in ("ingest", "router", "store", "erasure", "custodian")}

    def fault() -> None:
        running.kafka_kill()
        refused = load.statuses.get(503, 0)
        running.wait_until(
            lambda: load.statuses.get(503, 0) > refused, RECOVERY_S, "a refusal while Kafka is away"
        )
        running.kafka_start()

    survives(running, tenant, load, fault)
    assert {name: running.service.pid(name) for name in pids} == pids
    assert load.statuses.get(200, 0) == len(load.promised)


def test_a_killed_postgres_comes_back_and_webhooks_were_answered_all_the_time(
    running: World, tenant: Tenant, load: Load
) -> None:
    pids = {name: running.service.pid(name) for name in ("ingest", "router", "store", "erasure", "custodian")}

    def fault() -> None:
        running.postgres_kill()
        load.await_promised(60, 10)
        running.postgres_start()

    survives(running, tenant, load, fault)
    assert {name: running.service.pid(name) for name in pids} == pids
    assert set(load.statuses) == {200}
