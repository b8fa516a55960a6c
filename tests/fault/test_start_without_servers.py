"""Processes that start while Kafka and Postgres are away: each stays up, is not ready, and needs no second start."""

import concurrent.futures

import pytest

from deploy.local.processes import MODULES
from deploy.local.stack import LocalStack
from tests.support.bodies import PHONE_NUMBER_ID, WABA, encode, whatsapp, whatsapp_message
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

RECOVERY_S = 30.0


def test_what_starts_before_its_servers_waits_for_them_and_works_when_they_come(
    running: World, tenant: Tenant, stack: LocalStack
) -> None:
    before = running.row_count(tenant)
    for name in MODULES:
        running.stop(name)
    running.kafka_kill()
    running.postgres_kill()
    with concurrent.futures.ThreadPoolExecutor(len(MODULES)) as pool:
        # `start` returns once the process is ready: that is, after the servers came.
        starts = [pool.submit(running.start, [name]) for name in MODULES]
        for name in MODULES:
            answered = running.wait_until(lambda name=name: running.node(name).get("/livez", 1)[0], 20, name)  # type: ignore[misc]
            assert answered == 200
            assert running.node(name).get("/readyz", 1)[0] == 503
        pids = {name: running.service.pid(name) for name in MODULES}
        # Postgres first: whoever needs both must wait for the second as well.
        stack.postgres.start()
        running.wait_until(lambda: running.node("store").readiness().get("database"), RECOVERY_S)
        stack.kafka.start()
        for start in starts:
            start.result(RECOVERY_S)
    assert {name: running.service.pid(name) for name in MODULES} == pids
    message = whatsapp_message("wamid.after-the-start", "voltei")
    body = encode(whatsapp([message], waba=WABA, phone_number_id=PHONE_NUMBER_ID))
    assert running.post(body) == 200
    running.wait_rows(tenant, before + 1, RECOVERY_S)
