"""Every body of the recorded corpus through the running service: nothing lost, nobody dies, redelivery stores nothing twice.

The corpus is years old: its times are shifted by one offset a file into the accepted window. Unshifted, whatever is
dated must end in quarantine.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import pytest

from deploy.local.stack import LocalStack
from tests.support import corpus
from tests.support.bodies import delivery
from tests.support.corpus import Body
from tests.support.world import Tenant, World

pytestmark = [pytest.mark.corpus, pytest.mark.kafka, pytest.mark.postgres]

MERGED = 12
"""Entries of so many files in one delivery."""


@pytest.fixture(scope="module")
def bodies() -> list[Body]:
    """All of them; the tests are void without them."""
    found = corpus.bodies()
    assert len(found) > 300
    return found


@pytest.fixture(scope="module")
def tenants(world: World, bodies: list[Body]) -> tuple[Tenant, Tenant]:
    """Two tenants, between which the corpus' accounts are divided by hash; every process runs."""
    world.start()
    pair = (world.add_tenant("corpus-a"), world.add_tenant("corpus-b"))
    named = corpus.accounts(bodies)
    for half, tenant in enumerate(pair):
        pages, instagrams = chosen(named.pages, half), chosen(named.instagrams, half)
        if pages:
            world.connect(tenant, "messenger", {"page": pages})
        if instagrams:
            world.connect(tenant, "instagram", {"instagram": instagrams})
        for waba in chosen(named.wabas, half):
            numbers = usable(named.wabas[waba]) or [f"9{waba}"[:32]]
            world.connect(tenant, "whatsapp", {"waba": waba, "phone-number-id": numbers})
    return pair


def usable(ids: Iterable[str]) -> list[str]:
    """Ids that an account can have: some of the corpus are words."""
    return sorted(one for one in ids if one.isascii() and one.isdigit() and len(one) <= 31)


def chosen(ids: Iterable[str], half: int) -> list[str]:
    """The usable ids of one half."""
    return [one for one in usable(ids) if hashlib.sha256(one.encode()).digest()[0] % 2 == half]


def merged(bodies: list[Body]) -> Iterator[Body]:
    """Entries of several files of one object in one delivery, last first."""

    def plain(body: Body) -> bool:
        return set(body.content) == {"object", "entry"} and isinstance(body.content["entry"], list)

    yield from (body for body in bodies if not plain(body))
    mergeable = sorted((body for body in bodies if plain(body)), key=lambda body: str(body.content["object"]))
    for provider_object, group in groupby(mergeable, key=lambda body: body.content["object"]):
        files = list(group)[::-1]
        for at in range(0, len(files), MERGED):
            entries = [entry for body in files[at : at + MERGED] for entry in body.content["entry"]]
            yield Body("merged", delivery(provider_object, entries))


def post_all(world: World, bodies: Iterable[Body]) -> int:
    """Post them; how many there were. Each must be answered 200."""
    count = 0
    for body in bodies:
        assert world.post(body.raw()) == 200, body.name
        count += 1
    return count


def set_aside(ledger: dict[str, Any]) -> Counter[str]:
    """What the router set aside, by reason, over all tenants."""
    total: Counter[str] = Counter()
    for tenant in ledger["tenants"].values():
        total.update(tenant["quarantined_by_reason"])
    return total


def ids(world: World, tenants: tuple[Tenant, Tenant]) -> list[set[str]]:
    """The ids of each tenant's rows."""
    return [{str(row["id"]) for row in world.rows(tenant)} for tenant in tenants]


def test_unshifted_every_dated_item_ends_in_quarantine(
    world: World, tenants: tuple[Tenant, Tenant], bodies: list[Body]
) -> None:
    assert post_all(world, bodies) == len(bodies)
    ledger = world.wait_balanced(40)
    assert ledger["deliveries"] == len(bodies)
    for rows in ids(world, tenants):
        # UUIDv8 with the item's own time in the first 48 bits: only undated ones are rows.
        assert rows
        assert {one[:8] + one[9:13] for one in rows} == {"0" * 12}
    reasons = set_aside(ledger)
    assert reasons["time_out_of_range"] > 150
    assert reasons["defect"] == 0
    assert world.dead() == set()


def test_shifted_each_item_is_one_row_however_often_and_however_batched_it_comes(
    world: World, tenants: tuple[Tenant, Tenant], bodies: list[Body]
) -> None:
    shifted = [corpus.shifted(body) for body in bodies]
    deliveries = world.ledger()[1]["deliveries"] + post_all(world, shifted)
    ledger = world.wait_balanced(40)
    assert ledger["deliveries"] == deliveries
    first = ids(world, tenants)
    assert all(len(rows) > 20 for rows in first)
    assert set_aside(ledger)["defect"] == 0
    for again in (
        shifted,
        [part for body in shifted for part in corpus.rebatched(body)],
        list(merged(shifted)),
    ):
        deliveries += post_all(world, again)
        ledger = world.wait_balanced(40)
        assert ledger["deliveries"] == deliveries
        assert ids(world, tenants) == first
    assert world.dead() == set()


def test_no_process_said_that_it_failed(
    world: World, tenants: tuple[Tenant, Tenant], stack: LocalStack
) -> None:
    for name in ("ingest", "router", "store", "custodian"):
        assert "process.failed" not in world.log(name)
        assert "lane.faulted" not in world.log(name)
