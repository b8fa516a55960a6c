"""A database cell with the custodian running, for a module."""

import pytest

from tests.integration.store.cell import Cell
from tests.support.world import Tenant, World


@pytest.fixture(scope="module")
def cell(world: World) -> Cell:
    """The cell of the module's world; only the custodian runs."""
    world.start(["custodian"])
    return Cell(world)


@pytest.fixture
def tenant(cell: Cell) -> Tenant:
    """A tenant of its own."""
    return cell.new_tenant()


@pytest.fixture
def other(cell: Cell) -> Tenant:
    """Another tenant."""
    return cell.new_tenant()
