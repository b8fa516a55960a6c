"""Fixtures and the rule that infrastructure is granted by marker only."""

import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from deploy.local.stack import LocalStack
from tests.support.plant import Plant
from tests.support.servers import test_stack
from tests.support.world import World

# A busy machine is slow at making examples too; how slow says nothing about the code.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

HERE = Path(__file__).parent
NO_SOCKETS = {"unit", "property", "contract", "architecture"}
"""Folders whose tests open no connection unless a marker says so."""
MARKERS = {"kafka", "postgres", "stack"}
CORPUS = HERE.parent.parent / "shared" / "corpus"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Corpus tests are skipped where there is no corpus."""
    for item in items:
        if item.get_closest_marker("corpus") and not CORPUS.is_dir():
            item.add_marker(pytest.mark.skip(reason="there is no ../shared/corpus here"))


@pytest.fixture(autouse=True)
def _no_connections(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = request.path.relative_to(HERE).parts[0]
    if folder not in NO_SOCKETS or any(request.node.get_closest_marker(name) for name in MARKERS):
        return

    def refuse(_self: socket.socket, address: object) -> None:
        raise AssertionError(f"a test of tests/{folder} connects somewhere without a marker that grants it")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[LocalStack, int]]:
    """The run's Kafka and Postgres, and the port base."""
    with test_stack() as (stack, port_base):
        yield stack, port_base


@pytest.fixture
def stack(servers: tuple[LocalStack, int]) -> LocalStack:
    """The run's Kafka and Postgres, both answering."""
    return servers[0]


@pytest.fixture(scope="module")
def world(servers: tuple[LocalStack, int]) -> Iterator[World]:
    """A fresh service for the module; its processes start when the test says so."""
    stack, port_base = servers
    with World.on(stack, port_base) as fresh:
        yield fresh


@pytest.fixture
async def plant(stack: LocalStack) -> AsyncIterator[Plant]:
    """Fresh topics; no router runs yet."""
    async with Plant.on(stack, stack.root / f"plant-{time.monotonic_ns()}") as fresh:
        await fresh.say_signers()
        yield fresh
