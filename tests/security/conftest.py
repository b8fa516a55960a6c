"""One secured stack with a running service for all tests of this folder, and what an attacker may hold."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from deploy.local.processes import MODULES
from deploy.local.stack import LocalStack
from runtime.tls import WatchedContext, client_context
from tests.support.key_server import KeyServer
from tests.support.openbao_server import openbao
from tests.support.servers import free_port, free_port_base
from tests.support.world import Tenant, World


@dataclass(frozen=True, slots=True)
class Secured:
    """The world of these tests: two tenants, every process running."""

    world: World
    acme: Tenant
    rival: Tenant

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return self.world.stack.endpoints.kafka

    def tls(self, name: str) -> WatchedContext:
        """The context of whoever holds the certificate of that name, made if there is none."""
        authority = self.world.stack.endpoints.authority
        assert authority is not None
        context = client_context(authority.issue(name), "test")
        assert isinstance(context, WatchedContext)
        return context


QUICK: Final = {"MKC_INGEST_HEADER_DEADLINE_S": "2", "MKC_INGEST_BODY_DEADLINE_S": "3"}
"""Slow clients are waited for by the receiver for less time than by default, so that the tests need not wait as long."""


@pytest.fixture(scope="session")
def secured() -> Iterator[Secured]:
    """Started once: about ten seconds."""
    # Not pytest's own folder: the database's user cannot pass it.
    root = Path(tempfile.mkdtemp(prefix="mkchannels-secured-"))
    root.chmod(0o755)
    base = free_port_base()
    try:
        with (
            LocalStack(root, port_base=base, profile="test", secure=True) as stack,
            World.on(stack, base, overrides=QUICK) as world,
        ):
            world.start(MODULES)
            acme, rival = world.add_tenant("acme"), world.add_tenant("rival")
            yield Secured(world, acme, rival)
            assert not world.dead()
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def openbao_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyServer]:
    """OpenBao itself; tests that want it are skipped where it was not built."""
    with openbao(tmp_path_factory.mktemp("openbao"), free_port()) as server:
        yield server
