"""WhatsApp: META.md sections 5.2, 8, 9 and 13."""

from __future__ import annotations

import pytest

from contracts.control import IdKind
from contracts.pseudonyms import Domain
from router.split import AccountKey, BadItem, Item, split
from tests.fixtures.meta.bodies import (
    BSUID,
    CUSTOMER,
    NOW_S,
    PARENT_BSUID,
    PHONE_NUMBER_ID,
    WABA,
    contact,
    delivery,
    message,
    status,
    value,
    whatsapp,
)

WITHOUT_NINE = "553188887777"


def items(body: bytes) -> list[Item]:
    found = split(body)
    assert not [each for each in found if isinstance(each, BadItem)]
    return [each for each in found if isinstance(each, Item)]


def only(body: bytes) -> Item:
    (found,) = items(body)
    return found


def aliases(item: Item) -> list[tuple[Domain, str]]:
    return [(alias.domain, alias.value) for alias in item.aliases]


def test_a_text_becomes_a_received_message_of_its_sender() -> None:
    item = only(whatsapp(value(contacts=[contact()], messages=[message()])))
    assert (item.event_type, item.direction) == ("message.received", "inbound")
    assert item.account == AccountKey(IdKind.PHONE_NUMBER, PHONE_NUMBER_ID, WABA)
    assert (item.native_id, item.message_id, item.discriminator) == ("wamid.A", "wamid.A", ())
    assert item.occurred_at_ms == NOW_S * 1000
    assert item.data["message"]["text"] == "Oi"
    assert item.data["person"] == {"phone": CUSTOMER, "name": "Ana"}
    assert item.data["fragment"] == message()
    assert item.data["envelope"]["contacts"] == [contact()]


def test_each_phone_number_of_a_delivery_is_its_own_account() -> None:
    entries = [
        {"id": waba, "changes": [{"field": "messages", "value": value(number, messages=[message(wamid)])}]}
        for waba, number, wamid in (("w1", "p1", "wamid.1"), ("w1", "p2", "wamid.2"), ("w2", "p3", "wamid.3"))
    ]
    found = items(delivery("whatsapp_business_account", *entries))
    assert [item.account for item in found] == [
        AccountKey(IdKind.PHONE_NUMBER, "p1", "w1"),
        AccountKey(IdKind.PHONE_NUMBER, "p2", "w1"),
        AccountKey(IdKind.PHONE_NUMBER, "p3", "w2"),
    ]


def test_an_account_level_field_belongs_to_the_waba() -> None:
    item = only(whatsapp({"event": "DISABLED_UPDATE"}, "account_update", time=NOW_S))
    assert item.account == AccountKey(IdKind.WABA, WABA)
    assert (item.event_type, item.direction, item.conversation) == (
        "account.ban_changed",
        "system",
        None,
    )
    assert item.occurred_at_ms is None
    assert str(NOW_S) in item.discriminator


@pytest.mark.parametrize("event", ["PARTNER_ADDED", "PARTNER_REMOVED", "AD_ACCOUNT_LINKED"])
def test_a_partner_update_belongs_to_the_customers_waba_and_not_to_the_partners(event: str) -> None:
    item = only(whatsapp({"event": event, "waba_info": {"waba_id": "777"}}, "account_update"))
    assert item.account == AccountKey(IdKind.WABA, "777")


def test_a_brazilian_mobile_without_the_nine_has_both_forms_and_the_same_conversation() -> None:
    old = only(whatsapp(value(messages=[message(sender=WITHOUT_NINE)])))
    new = only(whatsapp(value(messages=[message(sender=CUSTOMER)])))
    assert aliases(old) == aliases(new) == [(Domain.PHONE, CUSTOMER), (Domain.PHONE, WITHOUT_NINE)]
    assert old.conversation == new.conversation == CUSTOMER


def test_aliases_stand_in_order_and_a_contact_adds_what_the_message_left_out() -> None:
    known = contact(user_id=BSUID, parent_user_id=PARENT_BSUID)
    item = only(whatsapp(value(contacts=[known], messages=[message()])))
    assert [domain for domain, _ in aliases(item)] == [
        Domain.BSUID,
        Domain.PARENT_BSUID,
        Domain.PHONE,
        Domain.PHONE,
    ]
    assert item.conversation == BSUID


@pytest.mark.parametrize("missing", [None, ""])
def test_a_person_known_by_bsuid_only_is_found_with_phone_absent_or_empty(missing: str | None) -> None:
    body = {"from_user_id": BSUID, "type": "text", "text": {"body": "Oi"}}
    known = contact(missing, user_id=BSUID)
    item = only(whatsapp(value(contacts=[known], messages=[message(sender=missing, **body)])))
    assert aliases(item) == [(Domain.BSUID, BSUID)]
    assert item.conversation == BSUID


@pytest.mark.parametrize(("inside", "domain"), [(BSUID, Domain.BSUID), (PARENT_BSUID, Domain.PARENT_BSUID)])
def test_a_bsuid_inside_from_is_recognised(inside: str, domain: Domain) -> None:
    assert aliases(only(whatsapp(value(messages=[message(sender=inside)])))) == [(domain, inside)]


def test_the_businesss_own_number_is_nobodys_alias() -> None:
    item = only(whatsapp(value(messages=[message(sender="553133334444")])))
    assert item.aliases == ()


def test_a_contact_of_somebody_else_becomes_an_item_of_its_own() -> None:
    other = contact("14155550100", "Bob")
    found = items(whatsapp(value(contacts=[contact(), other], messages=[message(), message("wamid.B")])))
    assert [item.event_type for item in found] == ["message.received", "message.received", "contact.reported"]
    assert aliases(found[2]) == [(Domain.PHONE, "14155550100")]
    assert found[2].data["fragment"] == other
    assert all("Bob" not in str(item.data) for item in found[:2])


def test_the_only_contact_of_the_only_message_is_its_sender_even_under_another_number() -> None:
    known = contact("541155550100", user_id="AR.1")
    item = only(whatsapp(value(contacts=[known], messages=[message(sender="5491155550100")])))
    assert [alias.value for alias in item.aliases] == ["AR.1", "5491155550100", "541155550100"]


def test_contacts_with_other_bsuids_are_never_joined_to_a_message() -> None:
    body = {"from_user_id": BSUID, "type": "text", "text": {"body": "Oi"}}
    known = contact("14155550100", user_id="US.2")
    found = items(whatsapp(value(contacts=[known], messages=[message(sender=None, **body)])))
    assert [[alias.value for alias in item.aliases] for item in found] == [[BSUID], ["US.2", "14155550100"]]


def test_a_revoke_unsends_the_original_message() -> None:
    raw = message("wamid.R", type="revoke", revoke={"original_message_id": "wamid.A"})
    item = only(whatsapp(value(messages=[raw])))
    assert (item.event_type, item.native_id, item.message_id) == ("message.unsent", "wamid.R", "wamid.A")
    assert item.data["unsend"] == {"message_id": "wamid.A"}


def test_an_edit_names_the_original_and_brings_the_new_text() -> None:
    edit = {"original_message_id": "wamid.A", "message": {"type": "text", "text": {"body": "Olá"}}}
    item = only(whatsapp(value(messages=[message("wamid.E", type="edit", edit=edit)])))
    assert (item.event_type, item.message_id) == ("message.edited", "wamid.A")
    assert item.data["edit"]["text"] == "Olá"


@pytest.mark.parametrize(
    ("kind", "content", "event_type"),
    [
        ("text", {"body": "Oi"}, "message.sent"),
        ("revoke", {"original_message_id": "wamid.A"}, "message.unsent"),
        ("edit", {"original_message_id": "wamid.A", "message": {"type": "text"}}, "message.edited"),
    ],
)
def test_what_the_business_does_in_its_own_app_is_outbound_and_about_the_recipient(
    kind: str, content: object, event_type: str
) -> None:
    raw = message("wamid.B", sender="553133334444", type=kind, **{kind: content}) | {"to": CUSTOMER}
    item = only(whatsapp(value(message_echoes=[raw]), "smb_message_echoes"))
    assert (item.event_type, item.direction, item.conversation) == (event_type, "outbound", CUSTOMER)
    assert item.message_id == ("wamid.B" if kind == "text" else "wamid.A")


def test_a_reaction_is_about_its_target_and_without_emoji_it_is_a_removal() -> None:
    for given, action in (({"emoji": "👍"}, "react"), ({"emoji": ""}, "unreact"), ({}, "unreact")):
        raw = message("wamid.R", type="reaction", reaction={"message_id": "wamid.A", **given})
        item = only(whatsapp(value(messages=[raw])))
        assert (item.event_type, item.native_id, item.message_id) == (
            "reaction.changed",
            "wamid.R",
            "wamid.A",
        )
        assert item.data["reaction"]["action"] == action
        assert str(NOW_S) in item.discriminator


@pytest.mark.parametrize(
    ("word", "event_type"),
    [
        ("sent", "message.dispatched"),
        ("delivered", "message.delivered"),
        ("read", "message.read"),
        ("played", "message.played"),
        ("failed", "message.failed"),
        ("deleted", "message.status_changed"),
        ("not seen yet", "message.status_changed"),
    ],
)
def test_a_status_becomes_a_receipt_of_the_message_with_its_word(word: str, event_type: str) -> None:
    item = only(whatsapp(value(statuses=[status(word, errors=[{"code": 131051, "title": "x"}])])))
    assert (item.event_type, item.message_id, item.discriminator) == (event_type, "wamid.A", (word,))
    assert item.data["receipt"]["status"] == word
    assert item.data["receipt"]["errors"] == [{"code": 131051, "title": "x"}]


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("recipient_participant_id", "14155550100", "14155550101"),
        ("recipient_participant_user_id", "US.1", "US.2"),
        ("recipient_participant_parent_user_id", "US.ENT.1", "US.ENT.2"),
    ],
)
def test_two_participants_of_a_group_read_the_same_message_as_two_events(
    name: str, one: str, other: str
) -> None:
    read = [
        status("read", recipient_id="1203@g.us", recipient_type="group", **{name: participant})
        for participant in (one, other)
    ]
    first, second = items(whatsapp(value(statuses=read)))
    assert first.discriminator != second.discriminator
    assert first.conversation == second.conversation == "1203@g.us"
    assert [alias for _, alias in aliases(first)] == [one]


def test_the_renamed_parent_field_of_a_status_is_read_under_both_names() -> None:
    for name in ("recipient_parent_user_id", "parent_recipient_user_id"):
        item = only(whatsapp(value(statuses=[status("read", **{name: PARENT_BSUID})])))
        assert (Domain.PARENT_BSUID, PARENT_BSUID) in aliases(item)


def test_a_changed_number_joins_the_old_and_the_new_one() -> None:
    for name in ("wa_id", "new_wa_id"):
        raw = message(type="system", system={"type": "user_changed_number", name: "14155550100"})
        item = only(whatsapp(value(messages=[raw])))
        assert item.event_type == "identity.changed"
        assert item.data["identity"]["phone"] == "14155550100"
        assert [alias.value for alias in item.aliases] == [CUSTOMER, WITHOUT_NINE, "14155550100"]


def test_a_changed_bsuid_joins_the_current_and_the_previous_one() -> None:
    update = {
        "user_id": {"previous": "BR.1", "current": "BR.2"},
        "parent_user_id": {"previous": "BR.ENT.1", "current": "BR.ENT.2"},
        "timestamp": str(NOW_S),
    }
    item = only(whatsapp(value(user_id_update=[update]), "user_id_update"))
    assert [alias.value for alias in item.aliases] == ["BR.2", "BR.1", "BR.ENT.2", "BR.ENT.1"]
    assert (item.conversation, item.occurred_at_ms) == ("BR.2", NOW_S * 1000)


def test_every_list_of_a_value_is_split_into_its_elements() -> None:
    body = whatsapp(
        value(
            messages=[message()],
            statuses=[status("sent", "wamid.B")],
            errors=[{"code": 1}],
            calls=[{"id": "wacid.1", "event": "connect", "from": CUSTOMER, "timestamp": str(NOW_S)}],
        )
    )
    assert [item.event_type for item in items(body)] == [
        "message.received",
        "message.dispatched",
        "error.reported",
        "call.started",
    ]


def test_an_import_gives_every_message_an_item_about_the_threads_counterpart() -> None:
    thread = {
        "id": CUSTOMER,
        "messages": [message("wamid.1"), message("wamid.2", sender="553133334444") | {"to": CUSTOMER}],
    }
    chunk = {"metadata": {"phase": 0, "progress": 10}, "threads": [thread]}
    first, second = items(whatsapp(value(history=[chunk]), "history"))
    assert {first.event_type, second.event_type} == {"history.imported"}
    assert (first.direction, second.direction) == ("inbound", "outbound")
    assert first.aliases == second.aliases != ()
    assert first.data["envelope"]["history"] == {"metadata": {"phase": 0, "progress": 10}}
    assert first.message_id == "wamid.1"


def test_late_media_of_an_import_is_another_event_than_its_placeholder() -> None:
    chunk = {"threads": [{"id": CUSTOMER, "messages": [message("wamid.1")]}]}
    placeholder = only(whatsapp(value(history=[chunk]), "history"))
    media = only(whatsapp(value(messages=[message("wamid.1")]), "history"))
    assert placeholder.native_id == media.native_id
    assert placeholder.discriminator != media.discriminator


def test_a_declined_import_is_kept() -> None:
    item = only(whatsapp(value(history=[{"errors": [{"code": 2593109}]}]), "history"))
    assert item.data["fragment"] == {"errors": [{"code": 2593109}]}


def test_an_entry_of_the_address_book_is_about_that_person() -> None:
    entry = {"type": "contact", "action": "add", "contact": {"full_name": "Ana", "phone_number": CUSTOMER}}
    item = only(whatsapp(value(state_sync=[entry]), "smb_app_state_sync"))
    assert item.conversation == CUSTOMER


def test_each_of_several_participants_of_a_group_change_gets_an_item() -> None:
    group = {
        "group_id": "1203@g.us",
        "type": "group_participants_add",
        "timestamp": str(NOW_S),
        "added_participants": [{"wa_id": "14155550100"}, {"wa_id": "14155550101"}],
    }
    first, second = items(whatsapp(value(groups=[group]), "group_participants_update"))
    assert [alias.value for alias in (*first.aliases, *second.aliases)] == ["14155550100", "14155550101"]
    assert first.discriminator != second.discriminator
    assert first.conversation == "1203@g.us"
    assert "14155550101" not in str(first.data)


def test_a_user_preference_is_an_act_of_the_person_in_seconds_as_a_number() -> None:
    preference = {"wa_id": CUSTOMER, "value": "stop", "timestamp": NOW_S}
    item = only(whatsapp(value(user_preferences=[preference]), "user_preferences"))
    assert (item.direction, item.occurred_at_ms, item.conversation) == ("inbound", NOW_S * 1000, CUSTOMER)


def test_a_call_of_the_business_is_about_the_person_called() -> None:
    raw = {"id": "wacid.1", "direction": "BUSINESS_INITIATED", "from": "553133334444", "to": CUSTOMER}
    item = only(whatsapp(value(calls=[raw]), "calls"))
    assert (item.direction, item.conversation, item.native_id) == ("outbound", CUSTOMER, "wacid.1")


def test_an_unsupported_message_still_is_a_message_of_its_sender() -> None:
    raw = message(type="unsupported", errors=[{"code": 131060}])
    assert only(whatsapp(value(messages=[raw]))).event_type == "message.received"


def test_a_message_without_type_from_and_contacts_is_kept() -> None:
    item = only(whatsapp(value(messages=[{"id": "wamid.A"}])))
    assert (item.event_type, item.aliases, item.occurred_at_ms) == ("message.received", (), None)


def test_a_wrong_optional_field_never_loses_a_message() -> None:
    raw = message(type="image", image={"id": ["?"], "caption": 7, "url": {}}, context="?")
    item = only(whatsapp(value(messages=[raw])))
    assert item.event_type == "message.received"
    assert item.data["fragment"] == raw


def test_a_revoke_that_names_nothing_is_carried_as_unknown() -> None:
    item = only(whatsapp(value(messages=[message(type="revoke")])))
    assert (item.event_type, item.data["fragment"]["type"]) == ("unknown.received", "revoke")


def test_an_unknown_list_inside_a_value_becomes_an_item_about_nobody() -> None:
    found = items(whatsapp(value(messages=[message()], novelties=[{"a": 1}], version=3)))
    assert [item.event_type for item in found] == ["message.received", "unknown.received"]
    assert found[0].data["envelope"]["left_over"] == {"value": {"version": 3}}
    assert (found[1].data["fragment"], found[1].aliases) == ({"novelties": [{"a": 1}]}, ())


@pytest.mark.parametrize("broken", [{"messages": {}}, {"messages": ["?"]}, {"contacts": "?"}])
def test_a_broken_list_is_set_aside_and_its_neighbours_are_not(broken: dict[str, object]) -> None:
    found = split(whatsapp(value(statuses=[status("sent")], **broken)))
    assert [type(each) for each in found].count(BadItem) == 1
    assert [each.event_type for each in found if isinstance(each, Item)] == ["message.dispatched"]
