"""A world under load for the fault tests: one tenant with one WhatsApp account, all processes up."""

from collections.abc import Iterator

import pytest

from deploy.local.stack import LocalStack
from tests.support.bodies import PHONE_NUMBER_ID, WABA
from tests.support.load import Load
from tests.support.world import Tenant, World


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    """The one tenant, connected; every process runs."""
    world.start()
    tenant = world.add_tenant("sob-carga")
    world.connect(tenant, "whatsapp", {"waba": WABA, "phone-number-id": PHONE_NUMBER_ID})
    return tenant


@pytest.fixture
def running(world: World, tenant: Tenant, stack: LocalStack) -> Iterator[World]:
    """Everything up before the test, whatever the one before it left."""
    stack.kafka.start()
    stack.postgres.start()
    for name in ("custodian", "router", "store", "erasure", "ingest"):
        if not world.node(name).is_running():
            world.restart(name)
    yield world
    assert world.dead() == set()


@pytest.fixture
def load(running: World) -> Load:
    """Traffic for the tenant; start it with `with`."""
    return Load(running, waba=WABA, phone_number_id=PHONE_NUMBER_ID)
