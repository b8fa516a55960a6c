"""One database cell with the custodian running, for this folder: every test has tenants of its own in it."""

from collections.abc import Iterator

import pytest

from deploy.local.stack import LocalStack
from tests.integration.store.cell import Cell
from tests.support.world import Tenant, World


@pytest.fixture(scope="package")
def cell(servers: tuple[LocalStack, int]) -> Iterator[Cell]:
    """The cell; of the processes only the custodian runs, unless a module starts another."""
    stack, port_base = servers
    with World.on(stack, port_base) as world:
        world.start(["custodian"])
        yield Cell(world)


@pytest.fixture
def tenant(cell: Cell) -> Tenant:
    """A tenant of its own."""
    return cell.new_tenant()


@pytest.fixture
def other(cell: Cell) -> Tenant:
    """Another tenant."""
    return cell.new_tenant()
