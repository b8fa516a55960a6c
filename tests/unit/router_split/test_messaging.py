"""Items of Pages and Instagram accounts. META.md sections 5.1, 6 and 12."""

from __future__ import annotations

import pytest

from contracts.control import IdKind
from contracts.pseudonyms import Alias, Domain
from router.split import AccountKey, BadItem, Item, split
from tests.fixtures.meta.bodies import INSTAGRAM, NOW_MS, PAGE, PSID, change, delivery, item, messaging


def items(body: bytes) -> list[Item]:
    found = split(body)
    assert not [each for each in found if isinstance(each, BadItem)]
    return [each for each in found if isinstance(each, Item)]


def only(body: bytes) -> Item:
    (found,) = items(body)
    return found


def instagram(*raw: object) -> bytes:
    return messaging(*raw, account=INSTAGRAM, of="instagram")


def test_a_message_is_received_from_its_sender() -> None:
    found = only(messaging(item(message={"mid": "m_1", "text": "Oi"})))
    assert (found.event_type, found.direction) == ("message.received", "inbound")
    assert found.account == AccountKey(IdKind.PAGE, PAGE)
    assert found.aliases == (Alias(Domain.PSID, PSID),)
    assert (found.conversation, found.native_id, found.message_id) == (PSID, "m_1", "m_1")
    assert found.occurred_at_ms == NOW_MS
    assert found.data["message"]["text"] == "Oi"


def test_an_echo_swaps_the_parties() -> None:
    found = only(messaging(item(PAGE, PSID, message={"mid": "m_1", "text": "Oi", "is_echo": True})))
    assert (found.event_type, found.direction, found.conversation) == ("message.sent", "outbound", PSID)


def test_an_echo_whose_parties_were_not_swapped_still_is_about_the_customer() -> None:
    found = only(messaging(item(PSID, PAGE, message={"mid": "m_1", "is_echo": True})))
    assert (found.event_type, found.conversation) == ("message.sent", PSID)


def test_a_message_of_the_account_to_itself_is_about_nobody() -> None:
    found = only(messaging(item(PAGE, PAGE, message={"mid": "m_1", "is_echo": True})))
    assert (found.event_type, found.aliases) == ("message.sent", ())


def test_an_instagram_person_is_another_kind_of_person_than_a_pages() -> None:
    found = only(instagram(item(PSID, INSTAGRAM, message={"mid": "x"})))
    assert found.account == AccountKey(IdKind.INSTAGRAM, INSTAGRAM)
    assert found.aliases == (Alias(Domain.IGSID, PSID),)


def test_ids_that_arrive_as_numbers_are_the_same_as_strings() -> None:
    numbers = only(messaging(item(int(PSID), int(PAGE), message={"mid": "m"}), account=int(PAGE)))
    strings = only(messaging(item(message={"mid": "m"})))
    assert (numbers.account, numbers.aliases, numbers.conversation) == (
        strings.account,
        strings.aliases,
        strings.conversation,
    )


def test_a_deleted_message_is_an_unsend() -> None:
    found = only(instagram(item(PSID, INSTAGRAM, message={"mid": "x", "is_deleted": True})))
    assert (found.event_type, found.message_id) == ("message.unsent", "x")


def test_instagrams_edit_number_zero_without_sender_edits_nothing() -> None:
    raw = {"timestamp": NOW_MS, "message_edit": {"mid": "x", "num_edit": 0}}
    found = only(instagram(raw))
    assert (found.event_type, found.message_id, found.aliases) == ("message.announced", "x", ())
    assert found.data["announcement"] == {"message_id": "x"}


def test_an_edit_has_the_text_and_its_number_even_as_a_string() -> None:
    first = only(messaging(item(message_edit={"mid": "x", "text": "a", "num_edit": "1"})))
    second = only(messaging(item(message_edit={"mid": "x", "text": "b", "num_edit": "2"})))
    assert (first.event_type, first.message_id) == ("message.edited", "x")
    assert first.data["edit"] == {"message_id": "x", "number": 1, "text": "a"}
    assert first.discriminator != second.discriminator


def test_react_unreact_and_react_again_are_three_events() -> None:
    keys = set()
    for action, at in (("react", 1), ("unreact", 2), ("react", 3)):
        raw = item(reaction={"mid": "x", "action": action, "emoji": "❤"}) | {"timestamp": NOW_MS + at}
        found = only(messaging(raw))
        assert (found.event_type, found.native_id, found.message_id) == ("reaction.changed", "x", "x")
        keys.add(found.discriminator)
    assert len(keys) == 3


def test_a_reaction_of_the_account_itself_is_outbound_and_about_the_customer() -> None:
    found = only(messaging(item(PAGE, PSID, reaction={"mid": "x", "action": "react", "emoji": "❤"})))
    assert (found.direction, found.conversation) == ("outbound", PSID)


def test_a_page_reads_by_watermark() -> None:
    found = only(messaging(item(read={"watermark": NOW_MS - 1})))
    assert (found.event_type, found.message_id) == ("message.read", None)
    assert found.discriminator == (PSID, str(NOW_MS - 1))
    assert found.data["receipt"]["watermark_ms"] == NOW_MS - 1


def test_what_the_account_reads_with_two_people_at_once_is_two_events() -> None:
    first = only(messaging(item(PAGE, PSID, read={"watermark": NOW_MS})))
    second = only(messaging(item(PAGE, PSID + "0", read={"watermark": NOW_MS})))
    assert (first.direction, first.conversation) == ("outbound", PSID)
    assert first.discriminator != second.discriminator


def test_instagram_reads_by_mid() -> None:
    found = only(instagram(item(PSID, INSTAGRAM, read={"mid": "x"})))
    assert (found.event_type, found.message_id) == ("message.read", "x")
    assert found.data["receipt"]["message_ids"] == ["x"]


def test_a_delivery_names_its_messages_or_only_a_watermark() -> None:
    named = only(messaging(item(delivery={"mids": ["x", "y"], "watermark": NOW_MS})))
    unnamed = only(messaging(item(delivery={"watermark": NOW_MS})))
    assert {named.event_type, unnamed.event_type} == {"message.delivered"}
    assert named.data["receipt"]["message_ids"] == ["x", "y"]
    assert named.discriminator != unnamed.discriminator


def test_a_postback_has_its_own_message_id() -> None:
    raw = item(postback={"mid": "x", "title": "T", "payload": "P", "referral": {"ref": "R"}})
    found = only(messaging(raw))
    assert found.event_type == "postback.received"
    assert found.data["postback"] == {
        "message_id": "x",
        "title": "T",
        "payload": "P",
        "ref": "R",
        "referral": {"ref": "R"},
    }


def test_a_postback_without_mid_is_told_from_others_by_its_content() -> None:
    first = only(messaging(item(postback={"payload": "P"})))
    second = only(messaging(item(postback={"payload": "Q"})))
    assert first.native_id is None
    assert first.discriminator != second.discriminator


def test_what_has_no_type_is_carried_whole() -> None:
    raw = {"recipient": {"id": PAGE}, "timestamp": NOW_MS, "novelty": {"a": [1]}}
    found = only(messaging(raw))
    assert (found.event_type, found.data["field"], found.data["fragment"]) == (
        "unknown.received",
        "novelty",
        raw,
    )
    assert found.direction == "system"


def test_an_empty_item_is_kept_and_told_apart_by_the_entrys_time() -> None:
    found = only(messaging({}))
    assert found.event_type == "unknown.received"
    assert str(NOW_MS + 500) in found.discriminator


def test_standby_carries_the_same_items() -> None:
    raw = item(message={"mid": "m_1", "text": "Oi"})
    standing_by, active = only(messaging(raw, channel="standby")), only(messaging(raw))
    assert standing_by.data["envelope"]["channel"] == "standby"
    assert (standing_by.data["standby"], "standby" in active.data) == (True, False)
    assert (standing_by.event_type, standing_by.native_id) == (active.event_type, active.native_id)


def test_an_entry_without_id_takes_the_account_from_the_parties() -> None:
    received = delivery("page", {"messaging": [item(message={"mid": "x"})]})
    echoed = delivery("page", {"messaging": [item(PAGE, PSID, message={"mid": "y", "is_echo": True})]})
    assert only(received).account == only(echoed).account == AccountKey(IdKind.PAGE, PAGE)


def test_a_dashboard_test_keeps_the_id_zero_for_the_router_to_refuse() -> None:
    value = {
        "sender": {"id": "1"},
        "recipient": {"id": "2"},
        "timestamp": "1790000000",
        "message": {"mid": "x"},
    }
    found = only(change("messages", value, account="0"))
    assert found.account == AccountKey(IdKind.PAGE, "0")
    assert (found.event_type, found.occurred_at_ms) == ("message.received", 1_790_000_000_000)


def test_seconds_are_taken_for_seconds() -> None:
    found = only(messaging(item(message={"mid": "x"}) | {"timestamp": NOW_MS // 1000}))
    assert found.occurred_at_ms == NOW_MS // 1000 * 1000


@pytest.mark.parametrize(
    "time",
    [NOW_MS, str(NOW_MS), float(NOW_MS), "2026-09-21T14:13:20.123Z", "2026-09-21T11:13:20.123-0300"],
)
def test_a_time_is_read_as_number_digits_or_iso_8601(time: object) -> None:
    assert only(messaging(item(message={"mid": "x"}) | {"timestamp": time})).occurred_at_ms == NOW_MS


@pytest.mark.parametrize(
    "time",
    [
        None,
        "soon",
        "2026-01-01T00:00:00",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+23:00",
        -5,
        0,
        True,
        [],
        10**18,
    ],
)
def test_a_message_without_a_usable_time_is_undated(time: object) -> None:
    assert only(messaging(item(message={"mid": "x"}) | {"timestamp": time})).occurred_at_ms is None


@pytest.mark.parametrize(
    "message",
    [
        {
            "mid": "x",
            "attachments": [{"type": "fallback", "payload": None, "title": "t", "URL": "https://e.example"}],
        },
        {"mid": "x", "attachments": ["?", {"type": 7, "payload": []}], "text": 7, "quick_reply": "?"},
        {"mid": "x", "reply_to": {"story": {"id": "1", "url": "https://e.example"}}, "is_unsupported": True},
    ],
)
def test_odd_messages_are_messages(message: object) -> None:
    found = only(messaging(item(message=message)))
    assert found.event_type == "message.received"
    assert found.data["fragment"]["message"] == message


@pytest.mark.parametrize("kind", ["postback", "optin"])
def test_a_guest_without_id_acted_all_the_same(kind: str) -> None:
    raw = {
        "sender": {"user_ref": "R"},
        "recipient": {"id": PAGE},
        "timestamp": NOW_MS,
        kind: {"payload": "P"},
    }
    found = only(messaging(raw))
    assert (found.direction, found.aliases) == ("inbound", ())


def test_a_delivery_is_reported_by_meta_and_a_read_is_an_act() -> None:
    assert only(messaging(item(delivery={"watermark": NOW_MS}))).direction == "system"
    assert only(messaging(item(read={"watermark": NOW_MS}))).direction == "inbound"
