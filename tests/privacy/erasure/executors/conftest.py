"""A prepared database: emptied for each test, or copied where epochs move."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.stack import LocalStack
from tests.integration.store.cell import Cell
from tests.privacy.erasure.executors.acting import Acting
from tests.security.keys.cell import KeyCell
from tests.security.keys.conftest import Prepared, copy_of
from tests.support.world import World


@pytest.fixture(scope="package")
def prepared(servers: tuple[LocalStack, int]) -> Iterator[Prepared]:
    """Two tenants, made by a custodian that is gone."""
    stack, port_base = servers
    with World.on(stack, port_base) as world:
        world.start(["custodian"])
        cell = Cell(world)
        tenants = (cell.new_tenant(), cell.new_tenant())
        world.stop("custodian")
        yield Prepared(world, tenants, port_base)


_OF_TENANT = (
    "message, subject, alias, same_person, join_request, tombstone, erasure_step, erasure_wait, lane_outcome"
)


@pytest.fixture
def acting(prepared: Prepared) -> Acting:
    """The first tenant, emptied. Nothing here may move an epoch."""
    acting = Acting(KeyCell(prepared.world, prepared.tenants), prepared.tenants[0])
    names = ", ".join(f"{{s}}.{name}" for name in _OF_TENANT.split(", "))
    acting.sql(f"TRUNCATE {names}, mk.erasure_request, mk.account CASCADE")
    acting.sql("UPDATE {s}.lane SET position = 0")
    return acting


@pytest.fixture
def rotating(prepared: Prepared, tmp_path: Path) -> Iterator[Acting]:
    """The same in a database of its own, with keys of its own."""
    copy = copy_of(prepared.world, tmp_path / "cell", prepared.port_base)
    try:
        yield Acting(KeyCell(copy, prepared.tenants), prepared.tenants[0])
    finally:
        World.drop_database(copy.stack, copy.service.database)
