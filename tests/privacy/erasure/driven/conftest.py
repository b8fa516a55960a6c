"""One database cell for this folder, without a process but the custodian's: erasure's work is driven by each test."""

from collections.abc import Iterator

import pytest

from deploy.local.stack import LocalStack
from tests.integration.store.cell import Cell
from tests.support.world import World


@pytest.fixture(scope="package")
def cell(servers: tuple[LocalStack, int]) -> Iterator[Cell]:
    """The cell."""
    stack, port_base = servers
    with World.on(stack, port_base) as world:
        world.start(["custodian"])
        yield Cell(world)
