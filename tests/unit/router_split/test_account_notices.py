"""What WhatsApp says of an account, a number, a template or a flow is named after what happened. META.md section 8."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.control import IdKind
from router.split import Item, split
from tests.fixtures.meta import bodies as meta
from tests.unit.router_split.notices import account, only, part


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


def test_each_conversion_that_meta_detected_in_a_chat_is_an_event_of_its_message() -> None:
    lead = {"id": "wamid.A", "event_name": "LeadSubmitted", "timestamp": meta.NOW_S, "ctwa_clid": "C"}
    bought = lead | {
        "id": "wamid.B",
        "event_name": "Purchase",
        "custom_data": {"currency": "BRL", "value": 2.5},
    }
    found = split(meta.whatsapp(meta.value(automatic_events=[lead, bought]), "automatic_events"))
    first, second = (each for each in found if isinstance(each, Item))
    assert (first.event_type, first.message_id) == ("conversion.detected", "wamid.A")
    assert (first.occurred_at_ms, first.aliases) == (meta.NOW_S * 1000, ())
    assert first.account is not None
    assert first.account.kind is IdKind.PHONE_NUMBER
    assert part(first)["click_id"] == "C"
    assert {name: part(second)[name] for name in ("name", "currency", "value")} == {
        "name": "Purchase",
        "currency": "BRL",
        "value": 2.5,
    }


def test_a_conversion_is_about_the_one_person_whom_meta_names_beside_it() -> None:
    event = {"id": "wamid.A", "event_name": "LeadSubmitted", "timestamp": meta.NOW_S}
    value = meta.value(automatic_events=[event], contacts=[meta.contact()])
    (found,) = split(meta.whatsapp(value, "automatic_events"))
    assert isinstance(found, Item)
    assert found.event_type == "conversion.detected"
    assert found.aliases
