"""The envelope, isolation of items, and oddities of JSON. META.md section 5.1, DESIGN.md section 4.5."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest

from contracts.control import IdKind
from router.split import AccountKey, BadItem, Item, data_json, delivery, split
from router.split.compose import Place
from router.split.guard import Parts
from router.split.json_body import nests_deeper_than
from router.split.messaging import messaging_item
from tests.fixtures.meta.bodies import PAGE, change, encode, item, message, messaging, value, whatsapp
from tests.fixtures.meta.bodies import delivery as body_of

PARSING = Path(__file__).parents[4] / "shared" / "vectors" / "json" / "test_parsing"


def kinds(body: bytes) -> list[str]:
    return [each.reason if isinstance(each, BadItem) else each.event_type for each in split(body)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"\xff", "not_json"),
        (b"{", "not_json"),
        (b'{"object":NaN}', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"a":' * 100_000, "not_json"),
        (b"[]", "contract_violation"),
        (b"7", "contract_violation"),
        (b"{}", "contract_violation"),
        (b'{"errors":[{"code":2593109}]}', "contract_violation"),
        (b'{"object":7,"entry":[]}', "contract_violation"),
        (b'{"object":"page"}', "contract_violation"),
        (b'{"object":"page","entry":[]}', "contract_violation"),
        (b'{"object":"page","entry":{}}', "contract_violation"),
        (b'{"object":"novelty","entry":[{}]}', "unknown_object"),
    ],
)
def test_a_body_that_is_no_delivery_is_set_aside_as_a_whole(body: bytes, reason: str) -> None:
    assert split(body) == [BadItem("", reason)]


def test_a_broken_entry_is_set_aside_and_its_neighbours_are_not() -> None:
    good = {"id": PAGE, "messaging": [item(message={"mid": "x"})]}
    found = split(body_of("page", "?", {}, good, {"id": "2", "messaging": {}}, {"id": "3", "changes": [7]}))
    assert [each.path for each in found] == [
        "entry[0]",
        "entry[1]",
        "entry[2].messaging[0]",
        "entry[3].messaging",
        "entry[4].changes[0]",
    ]
    assert [type(each) for each in found] == [BadItem, BadItem, Item, BadItem, BadItem]
    assert found[4].account == AccountKey(IdKind.PAGE, "3")


def test_an_exception_in_one_item_sets_aside_that_item_with_frames_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = messaging_item

    def failing(place: Place, raw: dict[str, object], own: str | None, kinds: tuple[str, ...]) -> Item:
        if raw.get("referral"):
            raise ZeroDivisionError("a secret")
        return real(place, raw, own, kinds)

    monkeypatch.setattr(delivery, "messaging_item", failing)
    found = split(
        messaging(item(message={"mid": "a"}), item(referral={"ref": "r"}), item(message={"mid": "b"}))
    )
    assert [isinstance(each, Item) for each in found] == [True, False, True]
    defect = found[1]
    assert isinstance(defect, BadItem)
    assert (defect.reason, defect.path) == ("defect", "entry[0].messaging[1]")
    assert defect.frames[0] == "ZeroDivisionError"
    assert all(frame.count(":") == 2 for frame in defect.frames[1:])
    assert "router.split.delivery:_item:" in "".join(defect.frames)
    assert "secret" not in repr(defect)


def test_an_exception_while_walking_keeps_what_was_found_before() -> None:
    def visit(parts: Parts) -> None:
        parts.bad("first")
        raise KeyError("a secret")

    parts = Parts(doubts_depth=False)
    parts.walk("whole", None, visit)
    assert [(each.path, getattr(each, "reason", "")) for each in parts.found] == [
        ("first", "contract_violation"),
        ("whole", "defect"),
    ]


def test_what_stands_beside_the_entries_goes_with_their_first_items() -> None:
    entry = {"id": PAGE, "version": 3, "messaging": [item(message={"mid": "a"}), item(message={"mid": "b"})]}
    first, second = split(encode({"object": "page", "entry": [entry], "trace": {"a": 1}}))
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert first.data["envelope"]["left_over"] == {
        "delivery": {"trace": {"a": 1}},
        "entry": {"version": 3},
    }
    assert "left_over" not in second.data["envelope"]


def test_what_could_be_about_any_of_several_accounts_goes_to_none() -> None:
    entries = [{"id": str(n), "messaging": [item(message={"mid": "a"})]} for n in (1, 2)]
    found = split(encode({"object": "page", "entry": entries, "trace": [1], "version": 3}))
    assert [each.path for each in found] == ["trace", "entry[0].messaging[0]", "entry[1].messaging[0]"]
    assert isinstance(found[0], BadItem)


def test_an_unknown_list_of_an_entry_is_carried_as_unknown() -> None:
    (found,) = split(body_of("page", {"id": PAGE, "other": [{"sender": {"id": "1"}}]}))
    assert isinstance(found, Item)
    assert (found.event_type, found.data["field"]) == ("unknown.received", "other")
    assert found.data["fragment"] == {"other": [{"sender": {"id": "1"}}]}


def test_a_path_never_shows_a_name_that_is_no_plain_word() -> None:
    entry = {"id": PAGE, "5531988887777": ["x"], "messaging": [7]}
    paths = [
        part.path for part in split(encode({"object": "page", "5531988887777": [], "entry": [entry, entry]}))
    ]
    assert "55319" not in "".join(paths)
    assert paths[0] == "~1"
    assert "entry[0].~1" in paths


def test_the_objects_name_is_read_in_any_case_and_carried_as_sent() -> None:
    (found,) = split(body_of("Page", {"id": PAGE, "messaging": [item(message={"mid": "a"})]}))
    assert isinstance(found, Item)
    assert (found.provider_object, found.data["envelope"]["object"]) == ("page", "Page")


@pytest.mark.parametrize("text", ["\\u0000", "\\ud83d", "\\ud83d\\ude00", "a\\udc00b"])
def test_odd_characters_in_a_text_neither_crash_nor_lose_the_message(text: str) -> None:
    body = messaging(item(message={"mid": "x", "text": "TEXT"})).replace(b"TEXT", text.encode())
    (found,) = split(body)
    assert isinstance(found, Item)
    assert found.event_type == "message.received"
    again = orjson.loads(data_json(found))
    assert again["message"]["text"] == json.loads(f'"{text}"').encode("utf-16", "surrogatepass").decode(
        "utf-16", "replace"
    )


@pytest.mark.parametrize("digits", [str(2**63), str(2**64), "-1" + "0" * 30, "1" * 4000, "1" * 5000])
def test_a_number_of_any_size_is_carried_to_the_last_digit(digits: str) -> None:
    body = messaging(item(novelty={"n": 0})).replace(b'{"n":0}', b'{"n":' + digits.encode() + b"}")
    (found,) = split(body)
    assert isinstance(found, Item)
    assert digits.encode() in data_json(found)


def test_a_number_beyond_a_double_is_carried_by_its_digits() -> None:
    (found,) = split(messaging(item(novelty={"n": 0})).replace(b'{"n":0}', b'{"n":1e999}'))
    assert isinstance(found, Item)
    assert found.data["fragment"]["novelty"] == {"n": "1e999"}


def test_an_item_nested_too_deep_is_set_aside_and_its_neighbours_are_not() -> None:
    deep: object = "x"
    for _ in range(400):
        deep = [deep]
    body = encode(
        {
            "object": "page",
            "entry": [{"id": "1", "messaging": [item(novelty=deep), item(message={"mid": "x"})]}],
        }
    )
    found = split(body)
    assert [each.path for each in found] == ["entry[0].messaging[0]", "entry[0].messaging[1]"]
    assert found[0] == BadItem("entry[0].messaging[0]", "contract_violation", AccountKey(IdKind.PAGE, "1"))
    assert isinstance(found[1], Item)


def test_depth_is_measured_without_recursion() -> None:
    value: object = []
    for _ in range(100_000):
        value = [value]
    assert nests_deeper_than(value, 200)
    assert not nests_deeper_than([[["x"]]], 3)
    assert nests_deeper_than([[["x"]]], 2)


def test_nothing_personal_is_in_the_repr_of_an_item() -> None:
    (found,) = split(whatsapp(value(messages=[message("wamid.SECRET")])))
    for secret in ("wamid", "55319", "Oi"):
        assert secret not in repr(found)


def test_the_account_may_be_missing() -> None:
    (found,) = split(change("feed", {"item": "post"}, account=None))
    assert isinstance(found, Item)
    assert found.account is None


@pytest.mark.skipif(not PARSING.is_dir(), reason="needs ../shared/vectors/json")
def test_no_vector_of_the_json_parsing_suite_crashes_it_and_none_that_is_not_json_passes() -> None:
    vectors = sorted(PARSING.iterdir())
    assert len(vectors) == 318
    for vector in vectors:
        text = vector.read_bytes()
        (whole,) = split(text)
        assert isinstance(whole, BadItem)
        if vector.name.startswith("n_"):
            assert whole.reason == "not_json", vector.name
        if vector.name.startswith("y_"):
            assert whole.reason == "contract_violation", vector.name
        inside = split(b'{"object":"page","entry":[{"id":"1","messaging":[{"novelty":' + text + b"}]}]}")
        assert inside
        if vector.name.startswith("y_"):
            (carried,) = inside
            assert isinstance(carried, Item), vector.name
            json.loads(data_json(carried))
