"""A service with every process but the receiver, and whoever asks it for erasures."""

from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.local.stack import LocalStack
from tests.support.erasure import Requests
from tests.support.world import World


@pytest.fixture(scope="package")
def erasing(servers: tuple[LocalStack, int]) -> Iterator[World]:
    """Everything up."""
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
