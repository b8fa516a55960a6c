"""The fixture of the router's tests: a plant with a known receiver."""

import time
from collections.abc import AsyncIterator

import pytest

from deploy.local.stack import LocalStack
from tests.integration.router.plant import Plant


@pytest.fixture
async def plant(stack: LocalStack) -> AsyncIterator[Plant]:
    """Fresh topics; no router runs yet."""
    async with Plant.on(stack, stack.root / f"plant-{time.monotonic_ns()}") as fresh:
        await fresh.say_signers()
        yield fresh
