"""The same event has the same identity in whatever batch it comes. META.md section 12."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.split import split
from tests.fixtures.meta import bodies as meta
from tests.support.items import corpus, found, identity, needs_corpus


def rebatched(body: bytes, chance: random.Random) -> list[bytes]:
    """The same items: entries and their items shuffled, spread over deliveries, object names reordered."""
    delivery = json.loads(body)
    single: list[object] = []
    for entry in delivery["entry"]:
        lists = [name for name in ("messaging", "standby", "changes") if isinstance(entry.get(name), list)]
        around = {name: value for name, value in entry.items() if name not in lists}
        single += [{**around, name: [part]} for name in lists for part in entry[name]]
        if not lists:
            single.append(around)
    chance.shuffle(single)
    cut = chance.randint(1, len(single))
    return [
        json.dumps({"entry": part, "object": delivery["object"]}, sort_keys=True).encode()
        for part in (single[:cut], single[cut:])
        if part
    ]


@needs_corpus
@pytest.mark.corpus
def test_a_redelivery_in_other_batches_gives_the_same_identities() -> None:
    chance = random.Random(7)
    for name, body in corpus():
        before = sorted(repr(identity(item)) for item in found(body))
        if before:
            again = [item for part in rebatched(body, chance) for item in found(part)]
            assert sorted(repr(identity(item)) for item in again) == before, name


@st.composite
def values(draw: st.DrawFn) -> dict[str, Any]:
    people = st.sampled_from(["5531988887777", "14155550100", "BR.1350"])
    ids = st.integers(0, 5).map(lambda n: f"wamid.{n}")
    messages = draw(st.lists(st.builds(meta.message, ids, people), max_size=4))
    words = st.sampled_from(["sent", "delivered", "read"])
    statuses = draw(st.lists(st.builds(meta.status, words, ids), max_size=4))
    return meta.value(messages=messages, statuses=statuses)


@settings(max_examples=100, deadline=None)
@given(st.lists(values(), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_messages_of_a_value_keep_their_identity_when_sent_one_by_one(
    whole: list[dict[str, Any]], chance: random.Random
) -> None:
    together = meta.delivery(
        "whatsapp_business_account",
        {"id": meta.WABA, "changes": [{"field": "messages", "value": value} for value in whole]},
    )
    alone = [
        meta.whatsapp(meta.value(**{name: [part]}), time=chance.randint(1, 9))
        for value in whole
        for name in ("messages", "statuses")
        for part in value[name]
    ]
    chance.shuffle(alone)
    one_by_one = {identity(item) for body in alone for item in found(body)}
    expected = {identity(item) for item in found(together) if item.native_id is not None}
    assert one_by_one == expected


def test_the_same_body_gives_the_same_items() -> None:
    body = meta.whatsapp(meta.value(contacts=[meta.contact()], messages=[meta.message()]))
    for first, second in pairwise([split(body) for _ in range(3)]):
        assert first == second
