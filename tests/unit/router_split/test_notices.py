"""Every kind beside messages, reactions and receipts has its type, its part, and the right person. META.md sections 6 to 8."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.events.registry import EVENT_TYPES, UNKNOWN
from contracts.pseudonyms import Domain
from router.split import Item, split
from router.split.requests import unknown_label
from tests.fixtures.meta import bodies as meta

GROUP = "1203@g.us"


def only(body: bytes) -> Item:
    (found,) = split(body)
    assert isinstance(found, Item)
    return found


def part(item: Item) -> dict[str, Any]:
    name = EVENT_TYPES[item.event_type].part
    assert name is not None
    made: dict[str, Any] = item.data[name]
    EVENT_TYPES[item.event_type].model.model_validate(item.data)
    return made


def account(field: str, **value: object) -> bytes:
    return meta.whatsapp(value, field, time=meta.NOW_S)


def of_number(field: str, name: str, *elements: object) -> bytes:
    return meta.whatsapp(meta.value(**{name: list(elements)}), field)


def in_group(field: str, kind: str, **more: object) -> bytes:
    change = {"group_id": GROUP, "type": kind, "timestamp": str(meta.NOW_S), **more}
    return of_number(field, "groups", change)


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
    ("field", "value", "event_type", "expected"),
    [
        ("account_update", {"event": "ACCOUNT_DELETED"}, "account.deleted", {}),
        ("account_update", {"event": "ACCOUNT_OFFBOARDED"}, "account.offboarded", {}),
        ("account_update", {"event": "ACCOUNT_RECONNECTED"}, "account.reconnected", {}),
        (
            "account_update",
            {"event": "ACCOUNT_RESTRICTION", "restriction_info": [{"restriction_type": "R", "expiration": 5}]},
            "account.restricted",
            {"restrictions": [{"type": "R", "until_ms": 5000}]},
        ),
        (
            "account_update",
            {"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "ADULT"}},
            "account.violation_reported",
            {"violation": "ADULT"},
        ),
        (
            "account_update",
            {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}},
            "account.ban_changed",
            {"ban_state": "DISABLE"},
        ),
        ("account_update", {"event": "VERIFIED_ACCOUNT"}, "account.verified", {}),
        ("account_update", {"event": "MM_LITE_TERMS_SIGNED"}, "account.terms_signed", {}),
        ("account_update", {"event": "AD_ACCOUNT_LINKED"}, "account.ad_account_linked", {}),
        ("account_update", {"event": "VOLUME_BASED_PRICING_TIER_UPDATE"}, "account.pricing_tier_changed", {}),
        ("account_update", {"event": "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE"}, "account.price_eligibility_changed", {}),
        (
            "account_update",
            {"event": "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE", "country": "BR"},
            "account.country_changed",
            {"country": "BR"},
        ),
        ("account_update", {"event": "SEEN_NEVER"}, "account.updated", {}),
        ("account_update", {"event": "PARTNER_ADDED"}, "partner.added", {}),
        (
            "account_update",
            {"event": "PARTNER_REMOVED", "disconnection_info": {"reason": "R", "initiated_by": "USER"}},
            "partner.removed",
            {"reason": "R", "initiated_by": "USER"},
        ),
        ("account_update", {"event": "PARTNER_APP_INSTALLED"}, "partner.app_installed", {}),
        ("account_update", {"event": "PARTNER_APP_UNINSTALLED"}, "partner.app_uninstalled", {}),
        ("account_update", {"event": "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE"}, "partner.certification_changed", {}),
        ("account_alerts", {"entity_type": "BUSINESS"}, "account.alerted", {"entity_type": "BUSINESS"}),
        ("account_review_update", {"decision": "APPROVED"}, "account.reviewed", {"decision": "APPROVED"}),
        ("account_settings_update", {"type": "T"}, "account.settings_changed", {"setting": "T"}),
        (
            "business_capability_update",
            {"max_daily_conversation_per_phone": 100},
            "account.limits_changed",
            {"conversations_per_day": 100},
        ),
        ("business_status_update", {"event": "E"}, "account.status_changed", {}),
        ("partner_solutions", {"solution_id": 7}, "partner.solution_changed", {"solution": "7"}),
        ("payment_configuration_update", {"status": "S"}, "payment.configuration_changed", {"status": "S"}),
        ("security", {"event": "PIN_CHANGED"}, "security.changed", {}),
        ("automatic_events", {"event_name": "Lead"}, "conversion.detected", {"name": "Lead"}),
        ("tracking_events", {"event_name": "Click"}, "conversion.detected", {"name": "Click"}),
        ("phone_number_name_update", {"decision": "APPROVED"}, "phone_number.name_reviewed", {"decision": "APPROVED"}),
        ("phone_number_quality_update", {"current_limit": "TIER_1K"}, "phone_number.quality_changed", {"limit": "TIER_1K"}),
        ("business_username_update", {"username": "acme"}, "phone_number.username_changed", {"username": "acme"}),
        ("business_username_updates", {"username": "acme"}, "phone_number.username_changed", {"username": "acme"}),
        ("phone_number_username_update", {"username": "acme"}, "phone_number.username_changed", {"username": "acme"}),
        (
            "message_template_status_update",
            {"event": "REJECTED", "message_template_id": 7, "reason": "SCAM"},
            "template.status_changed",
            {"id": "7", "status": "REJECTED", "reason": "SCAM"},
        ),
        ("message_template_quality_update", {"new_quality_score": "RED"}, "template.quality_changed", {"quality": "RED"}),
        ("message_template_components_update", {"message_template_element": "B"}, "template.components_changed", {"body": "B"}),
        ("template_category_update", {"new_category": "MARKETING"}, "template.category_changed", {"category": "MARKETING"}),
        ("flows", {"event": "FLOW_STATUS_CHANGE", "flow_id": "7"}, "flow.status_changed", {"id": "7"}),
        ("flows", {"event": "ENDPOINT_ERROR_RATE", "error_rate": 14.28}, "flow.health_reported", {"error_rate": 14.28}),
        ("flows", {"event": "FLOW_VERSION_EXPIRY_WARNING"}, "flow.version_expiring", {}),
        ("flows", {"event": "SEEN_NEVER"}, "flow.changed", {}),
    ],
)  # fmt: skip
def test_an_account_level_field_is_named_after_what_happened_and_is_about_nobody(
    field: str, value: dict[str, Any], event_type: str, expected: dict[str, Any]
) -> None:
    found = only(account(field, **value))
    made = {name: inner for name, inner in part(found).items() if name != "event"}
    assert (found.event_type, made) == (event_type, expected)
    assert (found.direction, found.aliases, found.conversation) == ("system", (), None)
    assert found.occurred_at_ms is None
    assert found.discriminator[-1] == str(meta.NOW_S)


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


@pytest.mark.parametrize(
    ("item", "verb", "event_type"),
    [
        ("post", "add", "post.published"),
        ("status", "edited", "post.edited"),
        ("photo", "remove", "post.removed"),
        ("video", "hide", "post.hidden"),
        ("share", "unhide", "post.unhidden"),
        ("video", "block", "post.changed"),
        ("like", "add", "post.reaction_changed"),
        ("reaction", "remove", "post.reaction_changed"),
        ("rating", "add", "rating.created"),
        ("rating", "edit", "rating.edited"),
        ("rating", "remove", "rating.removed"),
        ("rating", "hide", UNKNOWN),
        ("seen_never", "add", UNKNOWN),
    ],
)
def test_an_item_of_the_feed_is_named_after_what_happened(item: str, verb: str, event_type: str) -> None:
    value = {
        "item": item,
        "verb": verb,
        "post_id": "1",
        "from": {"id": meta.PSID},
        "created_time": meta.NOW_S,
    }
    found = only(meta.change("feed", value))
    assert found.event_type == event_type
    assert [alias.value for alias in found.aliases] == [meta.PSID]
    assert found.occurred_at_ms == (meta.NOW_S * 1000 if verb == "add" else None)


@pytest.mark.parametrize(
    ("verb", "event_type"),
    [("add", "mention.received"), ("edited", "mention.edited"), ("remove", "mention.removed")],
)
def test_a_mention_of_a_page_is_named_after_what_happened(verb: str, event_type: str) -> None:
    found = only(meta.change("mention", {"item": "post", "verb": verb, "post_id": "1", "sender_id": 9}))
    assert (found.event_type, found.message_id, found.aliases[0].value) == (event_type, "1", "9")


def test_changes_without_values_and_changed_profiles_name_their_fields() -> None:
    bare = only(b'{"object":"page","entry":[{"id":"1","time":2,"changed_fields":["feed","name"]}]}')
    profile = only(meta.change("website", {"url": "https://e.example"}))
    user = only(meta.change("email", "a@b.example", of="user", account="77"))
    assert {bare.event_type, profile.event_type, user.event_type} == {"profile.changed"}
    assert part(bare) == {"names": ["feed", "name"]}
    assert part(user) == {"names": ["email"], "value": "a@b.example"}


def test_an_unknown_item_is_counted_under_a_name_of_metas_or_as_other() -> None:
    for body, label in (
        (meta.change("secret name of somebody", 1), ("page", "other")),
        (meta.change("parking", 1, of="instagram"), ("instagram", "profile")),
        (meta.whatsapp({}, "flows"), ("whatsapp_business_account", "flows")),
        (meta.messaging({}), ("page", "none")),
    ):
        found = only(body)
        assert found.event_type == UNKNOWN
        assert unknown_label(found) == label
