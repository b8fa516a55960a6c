"""The storm of `make storm-erasure` in its short form, and that its checker finds what is planted."""

from collections.abc import Iterator

import pytest

from deploy.local.stack import LocalStack
from tests.drills.storm_erasure import Plan, prepared, rage
from tests.support.resurrection import check
from tests.support.world import World

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.slow]

SHORT = Plan(
    erasures=40, rate=5.0, people=24, pause_s=0.05, kill_every_s=2.5, cut_every_s=1.0, rotate_every_s=3.0
)


@pytest.fixture
def stormy(servers: tuple[LocalStack, int]) -> Iterator[World]:
    """A fresh service, every process up."""
    stack, port_base = servers
    with World.on(stack, port_base) as world:
        world.start()
        yield world


def test_nobody_comes_back_and_nothing_live_is_lost_and_planted_faults_are_found(stormy: World) -> None:
    tenant = prepared(stormy)
    result = rage(stormy, tenant, SHORT)
    assert result.counts.wrong == 0, result.counts
    assert min(result.kills, result.cuts, result.rotations, result.repeated, *result.posted.values()) > 0
    assert result.counts.requests > SHORT.erasures, "unsends are requests too"

    s = tenant.schema
    # A row of an erased generation is back, under an id that no live event explains.
    stormy.sql(
        f"INSERT INTO {s}.message SELECT (overlay(m.id::text placing 'ffff' from 33 for 4))::uuid, e.subject_id,"
        " e.erased_through_gen, m.event_type, m.schema_version, m.account_id, m.class, m.direction, m.conversation, NULL,"
        f" m.received_at, m.stored_at, m.body FROM (SELECT * FROM {s}.message WHERE event_type = 'message.received' LIMIT 1) m,"
        f" (SELECT * FROM {s}.subject WHERE erased_through_gen > 0 LIMIT 1) e"
    )
    found = check(stormy, tenant)
    assert (found.resurrected_rows, found.rows_of_erased_generations, found.lost_live_rows) == (1, 1, 0)
    # A live row is gone.
    stormy.sql(
        f"DELETE FROM {s}.message WHERE id = (SELECT id FROM {s}.message JOIN {s}.subject USING (subject_id)"
        " WHERE event_type = 'message.received' AND message.generation > erased_through_gen LIMIT 1)"
    )
    assert check(stormy, tenant).lost_live_rows == 1
    # A key that belongs to an erased generation is back; the table's own constraint has to be broken for it.
    stormy.sql(f"ALTER TABLE {s}.subject DROP CONSTRAINT subject_check")
    stormy.sql(
        f"UPDATE {s}.subject SET wrapped_dek = '\\x00', dek_epoch = 1, generation = erased_through_gen"
        f" WHERE subject_id = (SELECT subject_id FROM {s}.subject WHERE erased_through_gen > 0 AND wrapped_dek IS NULL LIMIT 1)"
    )
    assert check(stormy, tenant).keys_brought_back == 1
    # A request that never came to its end: nobody is left who would bring it there.
    stormy.stop("erasure")
    stormy.sql(
        "UPDATE mk.erasure_request SET state = 'executing' WHERE request_id = (SELECT min(request_id::text)::uuid FROM mk.erasure_request)"
    )
    assert check(stormy, tenant).requests_without_an_end == 1
