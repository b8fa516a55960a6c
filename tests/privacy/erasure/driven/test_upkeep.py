"""What erasure does by itself goes tenant by tenant: one whose schema is not as this version needs it holds up nobody."""

import pytest

from store.database import connected
from store.erasure.upkeep import Upkeep
from tests.integration.store.cell import Cell, alias
from tests.support.eraser import Eraser
from tests.support.world import Tenant

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

OVER = (
    "INSERT INTO {}.tombstone (kind, ref, expires_at) VALUES ('r', $1, clock_timestamp() - interval '1 day')"
)


async def test_a_tenant_whose_schema_is_not_migrated_yet_is_tended_next_time_and_the_others_now(
    cell: Cell, eraser: Eraser
) -> None:
    tenants = sorted((cell.new_tenant() for _ in range(3)), key=lambda one: one.tenant)
    behind = tenants[1]
    for one in tenants:
        cell.world.sql(OVER.format(one.schema), alias("old"))
    cell.world.sql(f"ALTER TABLE {behind.schema}.subject RENAME COLUMN key_lost_at TO not_yet")
    upkeep = Upkeep(lambda _: None, eraser.tools)

    def left(one: Tenant) -> int:
        return int(cell.world.sql(f"SELECT count(*) FROM {one.schema}.tombstone")[0][0])

    async with connected(cell.dsn("mk_erasure"), "test-upkeep") as connection:
        await upkeep._pass_over_all(connection, expires=True)
        assert [left(tenants[0]), left(tenants[2])] == [0, 0]
        cell.world.sql(f"ALTER TABLE {behind.schema}.subject RENAME COLUMN not_yet TO key_lost_at")
        await upkeep._pass_over_all(connection, expires=True)
        assert left(behind) == 0
