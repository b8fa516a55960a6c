"""Whoever acts has brought its database up to the topics first: nothing is read, driven or expired before."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from store.erasure.__main__ import State, _act
from store.lanes.gate import GateClosed
from tests.integration.store.cell import Cell
from tests.support.eraser import Eraser

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


class Closed:
    """The database lacks what the topics have, and cannot be given it."""

    async def admit(self, _connection: Any) -> None:
        raise GateClosed("ahead")


class Trusted:
    """The audit log."""

    async def admit(self, _connection: Any) -> None:
        return


async def test_with_a_closed_gate_nothing_of_the_work_begins(cell: Cell, eraser: Eraser) -> None:
    # Nothing else is there: whatever began would fail otherwise.
    parts = SimpleNamespace(
        dsn=cell.dsn("mk_erasure"), state=State(), tools=eraser.tools, rebuilder=Closed(), sequencer=Trusted()
    )
    with pytest.raises(GateClosed):
        await _act(cast(Any, parts), asyncio.Event())
