"""One service with every process up for this folder: every test has people, and mostly a tenant, of its own in it."""

from collections.abc import Iterator

import pytest

from deploy.local.stack import LocalStack
from tests.support.world import World


@pytest.fixture(scope="package")
def erasing(servers: tuple[LocalStack, int]) -> Iterator[World]:
    """Every process up."""
    stack, port_base = servers
    with World.on(stack, port_base) as world:
        world.start()
        yield world
        assert world.dead() == set()
