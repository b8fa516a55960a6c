"""What nobody at Meta would send: every body of the public JSON parsing suite, signed, and fields that nobody knows yet."""

import http.client
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contracts import metrics as declared
from tests.support.bodies import delivery, encode
from tests.support.world import Tenant, World

SUITE = Path(__file__).parents[3] / "shared" / "vectors" / "json" / "test_parsing"
PAGE = "830000000000001"
POSTERS = 8

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]
needs_suite = pytest.mark.skipif(not SUITE.is_dir(), reason="there is no ../shared/vectors/json here")


@pytest.fixture(scope="module")
def tenant(world: World) -> Tenant:
    """A tenant with a Page; every process runs."""
    world.start()
    tenant = world.add_tenant("papelaria")
    world.connect(tenant, "messenger", {"page": PAGE})
    return tenant


def suite(prefix: str) -> list[Path]:
    """The bodies that a parser must accept (`y_`), must refuse (`n_`) or may treat as it likes (`i_`)."""
    return sorted(SUITE.glob(f"{prefix}_*.json"))


def post_all(world: World, files: list[Path]) -> Counter[int]:
    """Sign and post them, several at a time; how often each status was the answer."""

    def post(mine: list[Path]) -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", world.service.ports.receiver, timeout=10)
        try:
            return [world.post_on(connection, path.read_bytes()) for path in mine]
        finally:
            connection.close()

    with ThreadPoolExecutor(POSTERS) as pool:
        found = pool.map(post, [files[at::POSTERS] for at in range(POSTERS)])
        return Counter(status for some in found for status in some)


def ends(world: World) -> Counter[str]:
    """How many deliveries the router is done with, items by how they ended, and unknown ones by object and field."""
    names = {
        declared.ROUTER_DELIVERIES.name,
        declared.ROUTER_EVENTS.name,
        declared.ROUTER_QUARANTINED.name,
        declared.ROUTER_REFUSED.name,
        declared.ROUTER_UNKNOWN.name,
    }
    return Counter(
        {
            name: int(value)
            for name, value in world.metrics("router").items()
            if name.partition("{")[0] in names and value
        }
    )


def ended(world: World, before: Counter[str], deliveries: int) -> Counter[str]:
    """What so many more deliveries have become, once all of them have ended."""
    done = declared.ROUTER_DELIVERIES.name
    world.wait_until(lambda: ends(world)[done] >= before[done] + deliveries, 15, "the deliveries to end")
    since = ends(world) - before
    del since[done]
    return since


def set_aside(reason: str) -> str:
    """The sample of items in quarantine for this reason."""
    return f'{declared.ROUTER_QUARANTINED.name}{{reason="{reason}"}}'


@needs_suite
@pytest.mark.parametrize(
    ("prefix", "count", "reasons"),
    [
        ("n", 188, {"not_json"}),
        ("y", 95, {"contract_violation"}),  # read as JSON, and no delivery of Meta's
        ("i", 35, {"not_json", "contract_violation"}),
    ],
)
def test_every_body_of_the_suite_is_answered_200_and_ends_as_its_prefix_says(
    world: World, tenant: Tenant, prefix: str, count: int, reasons: set[str]
) -> None:
    files = suite(prefix)
    assert len(files) == count
    before = ends(world)
    assert post_all(world, files) == {200: count}
    # A body of the suite is one item: if the counts agree, each of them ended so.
    became = ended(world, before, count)
    assert set(became) <= {set_aside(reason) for reason in reasons}
    assert became.total() == count
    assert world.dead() == set()
    ledger = world.wait_balanced()
    assert ledger["deliveries"] == ends(world)[declared.ROUTER_DELIVERIES.name]


@needs_suite
def test_what_the_suite_calls_json_is_carried_whole_when_it_stands_inside_a_delivery(
    world: World, tenant: Tenant
) -> None:
    rows = world.row_count(tenant)
    before = ends(world)
    files = suite("y")
    for path in files:
        item = b'{"timestamp": null, "novelty": [' + path.read_bytes() + b"]}"
        body = b'{"object":"page","entry":[{"id":"%s","messaging":[%s]}]}' % (PAGE.encode(), item)
        assert world.post(body) == 200, path.name
    became = ended(world, before, len(files))
    assert set_aside("not_json") not in became
    assert became[declared.ROUTER_EVENTS.name] == len(files)
    world.wait_balanced()
    # Some of the suite differ in spaces or in how a letter is escaped only: the same event.
    assert len(files) * 0.8 < world.row_count(tenant) - rows <= len(files)
    assert world.dead() == set()


def test_a_field_that_nobody_knows_is_counted_by_object_and_reads_in_words_and_no_word_of_a_stranger_is_a_label(
    world: World, tenant: Tenant
) -> None:
    before = ends(world)
    entry = {
        "id": PAGE,
        "time": 1,
        "changes": [{"field": field, "value": {"of": field}} for field in ("holograms", "ana@example.com")],
        "messaging": [{"hologram": {"from": "ana@example.com"}}],
    }
    assert world.post(encode(delivery("page", [entry]))) == 200
    became = ended(world, before, 1)
    unknown = declared.ROUTER_UNKNOWN.name
    assert became == {
        declared.ROUTER_EVENTS.name: 3,
        f'{unknown}{{field="other",object="page"}}': 3,
    }
    assert not any("ana" in name or "hologram" in name for name in world.metrics("router"))
    world.wait_balanced()
    # Nobody without a purpose on record reads what was sent; whoever has one reads it as words.
    closed = world.mkc_raw("events", tenant.name, "--limit", "3")[1]
    assert "unknown.received" in closed
    assert "hologram" not in closed
    opened = world.mkc_raw("events", tenant.name, "--open", "--purpose", "ticket", "--limit", "3")[1]
    assert "hologram.from: ana@example.com" in opened
    assert "field: holograms" in opened
