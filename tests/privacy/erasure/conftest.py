"""A service with every process, and one where only the custodian runs, for what is driven in the test itself."""

from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.local.stack import LocalStack
from tests.integration.store.cell import Cell
from tests.support.eraser import Eraser
from tests.support.erasure import Requests
from tests.support.world import Tenant, World


@pytest.fixture(scope="module")
def cell(servers: tuple[LocalStack, int]) -> Iterator[Cell]:
    """A database cell; of the processes only the custodian runs."""
    stack, port_base = servers
    with World.on(stack, port_base) as world:
        world.start(["custodian"])
        yield Cell(world)


@pytest.fixture
def tenant(cell: Cell) -> Tenant:
    """A tenant of its own, its lane at 0."""
    return cell.new_tenant()


@pytest.fixture
async def eraser(cell: Cell) -> AsyncIterator[Eraser]:
    """Erasure's work, driven by the test."""
    async with Eraser(cell) as eraser:
        yield eraser


@pytest.fixture(scope="module")
def erasing(servers: tuple[LocalStack, int]) -> Iterator[World]:
    """Every process up."""
    stack, port_base = servers
    with World.on(stack, port_base) as world:
        world.start()
        yield world
        assert world.dead() == set()


@pytest.fixture
async def requests(erasing: World) -> AsyncIterator[Requests]:
    """Writes requests."""
    async with Requests(erasing) as writer:
        yield writer
