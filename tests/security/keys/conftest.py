"""The prepared cell of this folder, and a copy of it for each test (`CREATE DATABASE … TEMPLATE`)."""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local.processes import Ports, Service
from deploy.local.stack import LocalStack
from tests.integration.store.cell import Cell
from tests.security.keys.cell import KeyCell
from tests.support.world import Tenant, World

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A cell whose custodian has made two tenants and gone."""

    world: World
    tenants: tuple[Tenant, Tenant]
    port_base: int


@pytest.fixture(scope="package")
def prepared(servers: tuple[LocalStack, int]) -> Iterator[Prepared]:
    stack, port_base = servers
    with World.on(stack, port_base) as world:
        world.start(["custodian"])
        cell = Cell(world)
        tenants = (cell.new_tenant(), cell.new_tenant())
        world.stop("custodian")
        yield Prepared(world, tenants, port_base)


@pytest.fixture
def cell(prepared: Prepared, tmp_path: Path) -> Iterator[KeyCell]:
    """A database and keys of its own."""
    copy = copy_of(prepared.world, tmp_path / "cell", prepared.port_base)
    try:
        yield KeyCell(copy, prepared.tenants)
    finally:
        World.drop_database(copy.stack, copy.service.database)


def copy_of(world: World, root: Path, port_base: int, *, keys: bool = True) -> World:
    """Another database with the same content; nobody may be connected to the first. `keys`: copy those, too."""
    name = f"{world.service.database[:40]}_{next(_numbers)}"
    world.sql(f'CREATE DATABASE "{name}" TEMPLATE "{world.service.database}"', database="postgres")
    if keys:
        shutil.copytree(world.service.root / "keys", root / "keys")
    service = Service(root, world.stack.endpoints, Ports.from_base(port_base), database=name)
    return World(world.stack, service)
