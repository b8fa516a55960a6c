"""The custodian's own process: asked by `mkc keys`, killed in the middle of rotations, and what it shows of them."""

import asyncio
import time
from functools import partial

import pytest

from deploy.local.stack import LocalStack
from tests.integration.store.cell import Cell, event
from tests.security.keys.cell import KeyCell
from tests.support.world import World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


def newest_is(cell: KeyCell, epoch: int) -> bool:
    """Whether that root epoch has begun."""
    return max(cell.roots()) == epoch


def test_rotations_on_request_and_through_kills(servers: tuple[LocalStack, int]) -> None:
    stack, port_base = servers
    with World.on(stack, port_base) as world:
        world.start(["custodian"])
        plain = Cell(world)
        tenant = plain.new_tenant()
        cell = KeyCell(world, (tenant, tenant))
        asyncio.run(plain.write(tenant, *(event(f"p{number}") for number in range(300))))

        says = world.mkc("keys", "rotate", "--timeout-s", "20")
        assert [(epoch["epoch"], epoch["state"]) for epoch in says["epochs"]] == [
            (1, "destroyed"),
            (2, "current"),
        ]
        assert says["tenants_left"] == 0
        assert says["requests"] == []
        assert says["exports"][0]["cells_read"] == 1
        metrics = world.metrics("custodian")
        assert metrics["mk_custodian_rewrapped_keys_total"] == 300
        assert metrics["mk_custodian_root_epochs_retiring"] == 0
        assert 0 <= metrics["mk_custodian_key_export_age_seconds"] < 30
        assert metrics["mk_custodian_key_provider_up"] == 1
        before = len(says["exports"])
        assert len(world.mkc("keys", "export", "--timeout-s", "20")["exports"]) == before + 1
        assert world.mkc("keys", "destroy-due")["tenants_left"] == 0

        for number in (1, 2):
            cell.ask()
            world.sql("SELECT pg_notify('mk_custodian', '')")
            world.wait_until(partial(newest_is, cell, 2 + number), 10, "the flip")
            time.sleep(0.01 * number)
            world.kill("custodian")
            world.restart("custodian")
        world.wait_until(
            lambda: "retiring" not in cell.roots().values(), 20, "the old epochs to be destroyed"
        )
        newest = max(cell.roots())
        assert cell.root_files() == [f"root-{newest}"] * 2
        read = asyncio.run(cell.read(tenant))
        assert (len(read), read.count(None)) == (300, 0)
        code, text, _ = world.mkc_raw("keys", "status")
        assert code == 0
        assert "0 tenants have keys of an old epoch" in text
