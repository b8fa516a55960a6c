"""Old outcome lines become one a lane; what they add up to stays, and young ones are left alone."""

from datetime import timedelta

import pytest

from store.custody.fold import FOLDED_AFTER, fold_outcomes
from tests.integration.custody.conftest import Cell

pytestmark = [pytest.mark.postgres, pytest.mark.kafka]

LINES = [(0, 0, 3, 2, 1), (0, 3, 10, 7, 0), (0, 10, 11, 0, 1), (0, 11, 20, 9, 0), (1, 0, 4, 4, 0)]
"""Partition, first and next offset, stored, duplicate; the fourth is young."""


async def test_old_lines_are_folded_and_the_sums_stay(cell: Cell) -> None:
    async with cell.custodian() as custodian:
        await custodian.prepare()
        tenant = await custodian.add_tenant()
        schema = await custodian.schema(tenant)
        now = custodian.tools.clock.now()
        async with custodian.connection.transaction():
            await custodian.connection.execute("SET LOCAL ROLE mk_owner")
            for partition, first, after, stored, duplicate in LINES:
                age = timedelta(0) if first == 11 else FOLDED_AFTER + timedelta(hours=1)
                await custodian.connection.execute(
                    f"INSERT INTO {schema}.lane_outcome (partition, first_offset, next_offset, stored, duplicate, ended_at)"
                    " VALUES ($1, $2, $3, $4, $5, $6)",
                    partition, first, after, stored, duplicate, now - age,
                )  # fmt: skip
        assert await fold_outcomes(custodian.connection, now) == 2
        assert await fold_outcomes(custodian.connection, now) == 0
        async with custodian.connection.transaction():
            await custodian.connection.execute("SET LOCAL ROLE mk_owner")
            rows = await custodian.connection.fetch(
                "SELECT partition, first_offset, next_offset, stored, duplicate"
                f" FROM {schema}.lane_outcome ORDER BY partition, first_offset"
            )
        assert [tuple(row) for row in rows] == [(0, 0, 11, 9, 2), (0, 11, 20, 9, 0), (1, 0, 4, 4, 0)]
