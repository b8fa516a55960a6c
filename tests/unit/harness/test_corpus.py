"""The corpus harness: shifting keeps distances, re-batching keeps items."""

from tests.support.corpus import Body, accounts, rebatched, shifted

NOW_S = 1_800_000_000


def test_all_times_of_a_body_move_by_one_offset_so_that_the_latest_is_an_hour_old() -> None:
    body = Body(
        "x",
        {
            "entry": [{"time": 1_500_000_100, "messaging": [{"timestamp": 1_500_000_000_500}]}],
            "at": "1500000000",
        },
    )
    moved = shifted(body, NOW_S).content
    offset = NOW_S - 3600 - 1_500_000_100
    assert moved["entry"][0]["time"] == NOW_S - 3600
    assert moved["entry"][0]["messaging"][0]["timestamp"] == 1_500_000_000_500 + offset * 1000
    assert moved["at"] == "1500000000"


def test_a_time_that_is_text_stays_text() -> None:
    moved = shifted(Body("x", {"timestamp": "1500000000", "time": "soon"}), NOW_S).content
    assert moved == {"timestamp": str(NOW_S - 3600), "time": "soon"}


def test_a_body_without_times_is_as_it_was() -> None:
    body = Body("x", {"entry": []})
    assert shifted(body, NOW_S) is body


def test_re_batching_gives_each_item_a_delivery_of_its_own_and_loses_none() -> None:
    value = {
        "metadata": {"phone_number_id": "2"},
        "messages": [{"id": "a"}, {"id": "b"}],
        "statuses": [{"id": "c"}],
    }
    entries = [
        {"id": "1", "changes": [{"field": "messages", "value": value}, {"field": "flows", "value": {}}]},
        {"id": "9", "messaging": [{"x": 1}, {"x": 2}], "time": 5},
        {},
    ]
    parts = [part.content["entry"] for part in rebatched(Body("x", {"object": "o", "entry": entries}))]
    assert all(len(entry) == 1 for entry in parts)
    assert len(parts) == 7
    assert parts[0] == [{}]
    assert parts[1] == [{"id": "9", "time": 5, "messaging": [{"x": 2}]}]
    assert parts[-1][0]["changes"][0]["value"] == {
        "metadata": {"phone_number_id": "2"},
        "messages": [{"id": "a"}],
    }


def test_accounts_are_collected_by_product_and_a_number_belongs_to_one_waba() -> None:
    def whatsapp(waba: str) -> Body:
        change = {"value": {"metadata": {"phone_number_id": 77}}}
        return Body(
            "x", {"object": "whatsapp_business_account", "entry": [{"id": waba, "changes": [change]}]}
        )

    named = accounts(
        [whatsapp("1"), whatsapp("2"), Body("x", {"object": "page", "entry": [{"id": 5}, {"id": "0"}, None]})]
    )
    assert named.wabas == {"1": {"77"}, "2": set()}
    assert named.pages == {"5"}
