"""Every kind beside messages, reactions and receipts has its type, its part, and the right person. META.md sections 6 to 8."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.events.registry import EVENT_TYPES
from contracts.pseudonyms import Domain
from router.split import Item, split
from tests.fixtures.meta import bodies as meta
from tests.unit.router_split.notices import GROUP, in_group, of_number, only, part


@pytest.mark.parametrize(
    ("kind", "content", "event_type", "expected"),
    [
        ("optin", {"ref": "R", "user_ref": 7}, "optin.received", {"ref": "R", "user_ref": "7"}),
        (
            "optin",
            {"type": "notification_messages", "notification_messages_token": "T", "token_expiry_timestamp": 1},
            "optin.received",
            {"type": "notification_messages", "token": "T", "token_until_ms": 1000},
        ),
        (
            "referral",
            {"ref": "R", "source": "ADS", "type": "OPEN_THREAD", "ad_id": 7},
            "referral.received",
            {"ref": "R", "source": "ADS", "type": "OPEN_THREAD", "source_id": "7"},
        ),
        ("account_linking", {"status": "linked"}, "account_link.changed", {"status": "linked"}),
        (
            "policy-enforcement",
            {"action": "block", "reason": "R"},
            "policy.enforced",
            {"action": "block", "reason": "R"},
        ),
        ("policy_enforcement", {"action": "unblock"}, "policy.enforced", {"action": "unblock"}),
        ("pass_thread_control", {"new_owner_app_id": 7}, "handover.passed", {"new_owner": "7"}),
        (
            "take_thread_control",
            {"previous_owner_app_id": "7", "metadata": "M"},
            "handover.taken",
            {"previous_owner": "7", "metadata": "M"},
        ),
        (
            "request_thread_control",
            {"requested_owner_app_id": "7"},
            "handover.requested",
            {"requested_owner": "7"},
        ),
        ("app_roles", {"7": ["owner"]}, "handover.roles_changed", {"apps": {"7": ["owner"]}}),
        ("game_play", {"game_id": "G", "score": 9}, "game.played", {"game": "G", "score": 9}),
        ("branded_camera", {"event": "dismiss", "content_ids": [1]}, "camera.used", {"event": "dismiss", "effects": ["1"]}),
        ("messaging_feedback", {"feedback_screens": [{"q": 1}]}, "feedback.received", {"screens": [{"q": 1}]}),
        (
            "response_feedback",
            {"mid": "m", "feedback": "Good response"},
            "feedback.received",
            {"message_id": "m", "verdict": "Good response"},
        ),
        (
            "send_cart",
            {"note": "N", "product_items": [{"product_id": 7}, "?"]},
            "cart.sent",
            {"note": "N", "products": ["7"]},
        ),
        (
            "payment",
            {"payload": "P", "amount": {"currency": "USD", "amount": 29.5}},
            "payment.received",
            {"reference": "P", "total": {"amount": "29.5", "currency": "USD"}},
        ),
        (
            "pre_checkout",
            {"requested_user_info": {"contact_name": "Ana"}},
            "checkout.started",
            {"contact_name": "Ana"},
        ),
        (
            "checkout_update",
            {"shipping_address": {"city": "Recife"}},
            "checkout.updated",
            {"address": {"city": "Recife"}},
        ),
        ("messenger_template_status_update", {"event": "APPROVED"}, "template.status_changed", {"status": "APPROVED"}),
    ],
)  # fmt: skip
def test_a_messaging_item_is_named_after_what_happened(
    kind: str, content: object, event_type: str, expected: dict[str, Any]
) -> None:
    for of, account_id in (("page", meta.PAGE), ("instagram", meta.INSTAGRAM)):
        found = only(meta.messaging(meta.item(**{kind: content}), of=of, account=account_id))
        assert (found.event_type, part(found)) == (event_type, expected)
        assert found.occurred_at_ms == meta.NOW_MS
        assert found.conversation == meta.PSID
        assert found.direction in EVENT_TYPES[event_type].directions


@pytest.mark.parametrize(
    ("field", "kind", "more", "event_type"),
    [
        ("group_lifecycle_update", "group_create", {"subject": "S"}, "group.created"),
        ("group_lifecycle_update", "group_delete", {}, "group.deleted"),
        ("group_settings_update", "group_settings_update", {}, "group.settings_changed"),
        ("group_status_update", "group_suspend", {}, "group.suspended"),
        ("group_status_update", "group_suspend_cleared", {}, "group.reinstated"),
        ("group_status_update", "seen_never", {}, "group.changed"),
    ],
)
def test_a_change_of_a_group_belongs_to_the_group(
    field: str, kind: str, more: dict[str, Any], event_type: str
) -> None:
    found = only(in_group(field, kind, **more))
    assert (found.event_type, found.conversation, part(found)["id"]) == (event_type, GROUP, GROUP)


@pytest.mark.parametrize(
    ("kind", "key", "event_type"),
    [
        ("group_participants_add", "added_participants", "group.participant_joined"),
        ("group_participants_remove", "removed_participants", "group.participant_left"),
        ("group_participants_remove", "failed_participants", "group.participant_failed"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_each_participant_of_a_group_is_an_event_about_them(
    kind: str, key: str, event_type: str, count: int
) -> None:
    people = [{"wa_id": f"1415555010{n}"} for n in range(count)]
    found = split(in_group("group_participants_update", kind, **{key: people}))
    events = [each for each in found if isinstance(each, Item)]
    assert [each.event_type for each in events] == [event_type] * count
    assert [each.aliases[0].value for each in events] == [person["wa_id"] for person in people]


def test_a_person_who_asks_to_join_is_the_one_it_is_about() -> None:
    for kind, event_type in (
        ("group_join_request_created", "group.join_requested"),
        ("group_join_request_revoked", "group.join_withdrawn"),
    ):
        found = only(in_group("group_participants_update", kind, wa_id="14155550100", join_request_id="J"))
        assert (found.event_type, part(found)["join_request"]) == (event_type, "J")
        assert [alias.value for alias in found.aliases] == ["14155550100"]


@pytest.mark.parametrize(
    ("event", "event_type", "direction"),
    [
        ("connect", "call.started", "inbound"),
        ("terminate", "call.ended", "inbound"),
        ("CALL_STATUS", "call.status_changed", "system"),
        ("call_recording_available", "call.recorded", "system"),
        ("call_transcription_available", "call.transcribed", "system"),
        ("seen_never", "call.changed", "inbound"),
    ],
)
def test_a_call_is_named_after_what_happened(event: str, event_type: str, direction: str) -> None:
    raw = {
        "id": "wacid.1",
        "event": event,
        "direction": "USER_INITIATED",
        "from": meta.CUSTOMER,
        "timestamp": str(meta.NOW_S),
        "session": {"sdp_type": "offer", "sdp": "v=0"},
        "duration": 5,
    }
    found = only(of_number("calls", "calls", raw))
    assert (found.event_type, found.direction, found.native_id) == (event_type, direction, "wacid.1")
    assert part(found) == {
        "id": "wacid.1",
        "initiated_by": "person",
        "duration_s": 5,
        "session_type": "offer",
        "session": "v=0",
    }


def test_two_changes_of_one_call_are_two_events() -> None:
    first, second = (
        only(of_number("calls", "calls", {"id": "w", "event": "seen_never", "timestamp": "5", "n": n}))
        for n in (1, 2)
    )
    assert (first.native_id, first.discriminator) != (second.native_id, second.discriminator)


def test_a_changed_key_of_a_device_is_no_change_of_the_person() -> None:
    raw = meta.message(
        type="system",
        system={"type": "customer_identity_changed", "body": "B"},
        identity={"hash": "H", "acknowledged": True, "created_timestamp": "5"},
    )
    found = only(meta.whatsapp(meta.value(messages=[raw])))
    assert found.event_type == "identity.key_changed"
    assert part(found)["key"] == {"hash": "H", "acknowledged": True, "created_at_ms": 5000}


def test_old_and_new_ids_of_a_person_stand_in_the_event_and_among_its_aliases() -> None:
    update = {"user_id": {"previous": "BR.1", "current": "BR.2"}, "wa_id": "14155550100", "timestamp": "5"}
    found = only(of_number("user_id_update", "user_id_update", update))
    assert part(found) == {
        "change": "user_id",
        "previous_bsuid": "BR.1",
        "bsuid": "BR.2",
        "phone": "14155550100",
    }
    assert [(alias.domain, alias.value) for alias in found.aliases] == [
        (Domain.BSUID, "BR.2"),
        (Domain.BSUID, "BR.1"),
        (Domain.PHONE, "14155550100"),
    ]


def test_any_other_notice_of_whatsapps_is_a_notice() -> None:
    raw = meta.message(type="system", system={"type": "seen_never", "body": "B"})
    found = only(meta.whatsapp(meta.value(messages=[raw])))
    assert (found.event_type, part(found)) == (
        "system_notice.received",
        {"type": "seen_never", "notice": "B"},
    )


def test_a_declined_import_is_named_so_wherever_the_error_stands() -> None:
    error = {"code": 2593109, "title": "T", "message": "M", "error_data": {"details": "D"}}
    in_chunk = only(of_number("history", "history", {"errors": [error]}))
    in_value = only(of_number("history", "errors", error))
    assert in_chunk.event_type == in_value.event_type == "history.declined"
    assert part(in_chunk) == part(in_value) == {"errors": [{"code": 2593109, "title": "T", "details": "D"}]}


def test_an_imported_message_says_where_in_the_import_it_stood() -> None:
    thread = {"id": meta.CUSTOMER, "messages": [meta.message() | {"history_context": {"status": "READ"}}]}
    chunk = {"metadata": {"phase": 1, "chunk_order": 2, "progress": 55}, "threads": [thread]}
    found = only(of_number("history", "history", chunk))
    assert found.event_type == "history.imported"
    assert part(found) == {
        "message": {"id": "wamid.A", "type": "text", "text": "Oi"},
        "phase": 1,
        "chunk": 2,
        "progress": 55,
        "status": "READ",
    }


def test_an_error_of_a_whole_value_is_an_event_without_a_person() -> None:
    found = only(of_number("messages", "errors", {"code": 131000, "title": "T", "href": "https://e.example"}))
    assert (found.event_type, found.aliases) == ("error.reported", ())
    assert part(found) == {
        "error": {"code": 131000, "title": "T", "help_url": "https://e.example"},
        "concerns": "messages",
    }


def test_a_status_of_a_payment_is_about_money_and_not_about_a_message() -> None:
    raw = meta.status(
        "captured",
        type="payment",
        payment={
            "reference_id": "R",
            "amount": {"value": 21000, "offset": 100, "currency": "BRL"},
            "transaction": {"id": "T", "type": "pix"},
        },
    )
    found = only(meta.whatsapp(meta.value(statuses=[raw])))
    assert found.event_type == "payment.status_changed"
    assert part(found)["total"] == {"amount": "21000", "offset": 100, "currency": "BRL"}


@pytest.mark.parametrize("setting", ["group_subject", "group_description", "profile_picture"])
def test_why_a_setting_of_a_group_did_not_change_is_said_whichever_it_is(setting: str) -> None:
    failed = {"update_successful": False, "errors": [{"code": 131009, "title": "T"}]}
    found = only(in_group("group_settings_update", "group_settings_update", **{setting: failed}))
    assert part(found)["errors"] == [{"code": 131009, "title": "T"}]
