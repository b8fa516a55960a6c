"""Any JSON that can be written, and much of it: nothing crashes, and twice as much costs twice as much. DESIGN.md section 4.5.

Bodies are made as text, since a JSON library would not write what is meant here: a name twice in one object, halves of
surrogate pairs, numbers beyond any type. What costs is counted, not timed, or compared with the same of a tenth of the size.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.events.words import in_words
from contracts.meta_fields import LABELS, MESSAGING
from contracts.reader.parse import parse
from router.split import BadItem, Item, data_json, split
from router.split.guard import MOST_REPEATED
from tests.fixtures.meta import bodies as meta

NAMES = st.sampled_from(
    ["id", "object", "entry", "messaging", "changes", "value", "field", "messages", "statuses", "contacts", "sender",
     "recipient", "timestamp", "message", "mid", "text", "from", "wa_id", "metadata", "phone_number_id", "type", "history",
     "threads", "groups", "added_participants", "errors", "\\u0000", "\\ud800", "\\u0069d", "", *LABELS, *MESSAGING]
)  # fmt: skip
SCALARS = st.one_of(
    st.sampled_from(
        ["null", "true", "false", '""', '"\\u0000"', '"\\ud800"', '"\\udc00\\ud800"', '"\\uD83D\\uDE00"', '"\x7f"', '"\u2028"',
         "-0", "-0.0", "1e999", "-1E+999", "1e-999", "0.1e1", "18446744073709551616", "-9223372036854775809", "9" * 5_000,
         "0." + "1" * 5_000, '"' + "9" * 5_000 + '"', '"5531987650001"', '"1772456400"', "1772456400000"]
    ),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text(max_size=12).map(json.dumps),
)  # fmt: skip


def an_object(pairs: list[tuple[str, str]]) -> str:
    """An object with these names in this order: a name may stand twice."""
    return "{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}"


def a_list(values: list[str]) -> str:
    return "[" + ",".join(values) + "]"


def nested(depth: int, name: str | None, inner: str) -> str:
    """`inner` under so many levels, of lists or of objects."""
    opening, closing = ("[", "]") if name is None else (f'{{"{name}":', "}")
    return opening * depth + inner + closing * depth


DEEP = st.builds(
    nested, st.sampled_from([1, 150, 199, 201, 253, 254, 255, 1_100, 5_000]), st.none() | NAMES, SCALARS
)
VALUES = st.recursive(
    SCALARS | DEEP,
    lambda inner: (
        st.lists(inner, max_size=4).map(a_list) | st.lists(st.tuples(NAMES, inner), max_size=5).map(an_object)
    ),
    max_leaves=14,
)
OBJECTS = st.lists(st.tuples(NAMES, VALUES), max_size=5).map(an_object)
LISTS = st.lists(OBJECTS | VALUES, max_size=3).map(a_list)


def delivery(word: str, channel: str, parts: str, around: list[tuple[str, str]]) -> str:
    """`parts` in the place of Meta's items."""
    entry = an_object([("id", '"1"'), ("time", "1772456400"), *around, (channel, parts)])
    return an_object([("object", f'"{word}"'), ("entry", a_list([entry])), *around])


CHANGES = st.builds(
    lambda field, name, parts, around: a_list(
        [an_object([("field", f'"{field}"'), ("value", an_object([*around, (name, parts)]))])]
    ),
    st.sampled_from(LABELS),
    NAMES,
    LISTS,
    st.lists(st.tuples(NAMES, VALUES), max_size=2),
)
DELIVERIES = st.builds(
    delivery,
    st.sampled_from(["page", "instagram", "whatsapp_business_account", "permissions", "user"]),
    st.sampled_from(["messaging", "standby", "changes"]),
    LISTS | CHANGES,
    st.lists(st.tuples(NAMES, VALUES), max_size=2),
)


@settings(max_examples=250, deadline=None)
@given(DELIVERIES | VALUES)
@example('{"object":"page","entry":[],"entry":[{"id":"1","id":"2","messaging":[{"a":1,"a":2}]}]}')
@example('{"object":"page","entry":[{"id":"1","messaging":[' + nested(190, "a", "1") + "]}]}")
@example(
    '{"object":"page","entry":[{"id":"1","time":' + "9" * 5_000 + ',"messaging":[{"timestamp":1e999}]}]}'
)
def test_any_json_becomes_items_that_any_reader_reads_or_is_set_aside(text: str) -> None:
    parts = split(text.encode("utf-8", "surrogatepass"))
    assert parts
    for part in parts:
        if isinstance(part, BadItem):
            assert part.reason in ("not_json", "contract_violation", "unknown_object")
            continue
        plaintext = data_json(part)
        value = parse(plaintext)
        assert value == json.loads(plaintext)
        assert all(line.isprintable() for line in in_words(part.event_type, value))


# What much of it costs.


def whatsapp(field: str, **lists: object) -> bytes:
    return meta.whatsapp({"metadata": {"phone_number_id": "5001"}, **lists}, field)


def messages(n: int) -> list[dict[str, str]]:
    return [{"id": str(at), "from": str(10**10 + at)} for at in range(n)]


def people(n: int) -> list[dict[str, str]]:
    return [{"wa_id": str(10**10 + at)} for at in range(n)]


def words(n: int) -> dict[str, str]:
    """Much that stands around many items, if one is so careless as to repeat it in each."""
    return {f"word{at}": "w" * 12 for at in range(n)}


MANY: dict[str, Callable[[int], bytes]] = {
    "entries": lambda n: meta.delivery("page", *[{"id": "1", "messaging": [meta.item()]}] * n),
    "entries without anything": lambda n: meta.delivery("page", *[{}] * n),
    "messages of a page": lambda n: meta.messaging(*[meta.item(message={"mid": str(at)}) for at in range(n)]),
    "messages of a number": lambda n: whatsapp("messages", messages=messages(n)),
    "contacts": lambda n: whatsapp("messages", contacts=people(n), messages=messages(n)),
    "one contact of many messages": lambda n: whatsapp(
        "messages", contacts=[{"wa_id": "10000000000", **words(n)}], messages=[{"from": "10000000000", "id": str(at)} for at in range(n)]
    ),
    "participants": lambda n: whatsapp("group_participants_update", groups=[{"group_id": "g", "added_participants": people(n)}]),
    "participants and what surrounds them": lambda n: whatsapp(
        "group_participants_update", groups=[{"group_id": "g", "errors": [{"code": at} for at in range(n)], "added_participants": people(n)}]
    ),
    "an import": lambda n: whatsapp("history", history=[{"threads": [{"id": "14155550100", "messages": messages(n)}]}]),
    "an import and what surrounds it": lambda n: whatsapp(
        "history", history=[{"metadata": words(n), "threads": [{"id": "14155550100", "messages": messages(n)}]}]
    ),
    "lists that nobody knows": lambda n: whatsapp("messages", messages=[], **{str(at): [at] for at in range(n)}),
    "message ids": lambda n: meta.messaging(meta.item(delivery={"mids": [str(at) for at in range(n)]})),
    "levels": lambda n: meta.messaging(meta.item()).replace(b'"timestamp"', b'"deep":' + b"[" * n + b"]" * n + b',"timestamp"'),
    "names around entries": lambda n: json.dumps({"object": "page", "entry": [{"id": "1", "messaging": [{}]}] * n, **words(n)}).encode(),
    "names around items": lambda n: meta.delivery("page", {"id": "1", "time": words(n), "messaging": [{}] * n}),
    "names of the value": lambda n: whatsapp("messages", messaging_product=words(n), messages=messages(n)),
    "a long name of a field": lambda n: whatsapp("w" * 12 * n, messages=messages(n)),
    "digits": lambda n: b'{"object":"page","entry":[{"id":"1","messaging":[{"a":' + b"9" * 40 * n + b"}]}]}",
}  # fmt: skip


def calls(body: bytes) -> int:
    """How many functions are called to split it: the same on any machine."""
    count = 0

    def see(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        split(body)
    finally:
        sys.setprofile(before)
    return count


def cpu_s(body: bytes) -> float:
    """The lesser of two: what calls hide, such as looking through a list for each of its elements."""

    def once() -> float:
        started = time.thread_time()
        split(body)
        return time.thread_time() - started

    return min(once(), once())


@pytest.mark.parametrize("many", MANY.values(), ids=MANY)
def test_ten_times_as_much_takes_ten_times_as_many_calls_and_about_ten_times_the_time(
    many: Callable[[int], bytes],
) -> None:
    split(many(10))  # What is looked up once only is known now.
    assert calls(many(2_000)) < 12 * calls(many(200)) + 1_000
    # A collection or a neighbour may disturb one measurement; a square is a hundred times as much in each of them.
    assert any(cpu_s(many(10_000)) < 40 * max(cpu_s(many(1_000)), 0.001) for _ in range(5))


@pytest.mark.parametrize("many", MANY.values(), ids=MANY)
def test_what_comes_out_is_bounded_by_what_came_in(many: Callable[[int], bytes]) -> None:
    for n in (700, 7_000):
        body = many(n)
        items = [part for part in split(body) if isinstance(part, Item)]
        written = sum(len(data_json(item)) for item in items)
        assert written < 6 * len(body) + 1_024 * len(items) + 3 * MOST_REPEATED


def test_a_hundred_thousand_entries_are_as_many_items() -> None:
    assert len(split(MANY["entries"](100_000))) == 100_000


def test_what_surrounds_too_many_items_is_set_aside_with_them_and_its_neighbours_are_not() -> None:
    around = {"id": "1", "time": words(2_000)}
    body = meta.delivery(
        "page",
        {**around, "messaging": [{"a": at} for at in range(2_000)]},
        {**around, "messaging": [{"a": 1}]},
        {"id": "1", "messaging": [{"a": at} for at in range(2_000)]},
    )
    first, *others = split(body)
    assert isinstance(first, BadItem)
    assert (first.path, first.reason) == ("entry[0]", "contract_violation")
    assert len(others) == 2_001
    assert all(isinstance(part, Item) for part in others)


def test_the_largest_delivery_of_metas_repeats_its_surroundings_in_full() -> None:
    one = len(json.dumps(meta.message("wamid.10000")))
    some = [meta.message(f"wamid.{at}") for at in range(4 * 1_048_576 // one)]
    body = meta.whatsapp(meta.value(contacts=[meta.contact()], messages=some))
    assert len(body) > 3.5 * 1_048_576
    assert all(isinstance(part, Item) for part in split(body))
