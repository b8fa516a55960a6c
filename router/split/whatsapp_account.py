"""WhatsApp's account-level fields: the change is the item, and it is about the company. META.md sections 5.2, 8 and 13.

Read by tables. None but `conversion.detected` names a customer.
"""

from __future__ import annotations

from typing import Any, Final

from router.split.compose import Place, compose, unknown
from router.split.identity import NOBODY, Person
from router.split.item import Item
from router.split.plan import Plan, each, plan, read
from router.split.reading import (
    Json,
    as_id,
    as_ids,
    as_list,
    as_number,
    as_object,
    as_plain,
    as_text,
    as_whole,
)
from router.split.times import time_ms
from router.split.whatsapp_person import identity_of
from router.split.whatsapp_value import ValueContext

_CHANGE: Final = plan(
    phone=(as_id, "phone_number", "display_phone_number"),
    restrictions=(
        each(plan(type=(as_text, "restriction_type"), until_ms=(time_ms, "expiration"))),
        "restriction_info",
    ),
    violation=(as_text, "violation_info.violation_type"),
    ban_state=(as_text, "ban_info.waba_ban_state"),
    ban_date=(as_plain, "ban_info.waba_ban_date"),
    ad_account=(as_id, "waba_info.ad_account_linked"),
    business=(as_id, "waba_info.owner_business_id"),
    country=(as_text, "country"),
    tier=(as_text, "volume_tier_info.tier"),
    tier_category=(as_text, "volume_tier_info.pricing_category"),
    tier_region=(as_text, "volume_tier_info.region"),
    tier_month=(as_text, "volume_tier_info.effective_month"),
    eligible_from_ms=(time_ms, "auth_international_rate_eligibility.start_time"),
    decision=(as_text, "decision"),
    severity=(as_text, "alert_severity", "alert_info.alert_severity"),
    alert_type=(as_text, "alert_type", "alert_info.alert_type"),
    alert_status=(as_text, "alert_status", "alert_info.alert_status"),
    alert_text=(as_text, "alert_description", "alert_info.alert_description"),
    entity_type=(as_text, "entity_type"),
    entity_id=(as_id, "entity_id"),
    setting=(as_text, "type"),
    calling=(as_text, "phone_number_settings.calling.status"),
    conversations_per_day=(
        as_whole,
        "max_daily_conversation_per_phone",
        "max_daily_conversations_per_business",
    ),
    messaging_limit=(as_plain, "max_daily_conversations_per_business"),
    phone_numbers=(as_whole, "max_phone_numbers_per_business", "max_phone_numbers_per_waba"),
    event=(as_text, "event"),
)
_PARTNER: Final = plan(
    waba=(as_id, "waba_info.waba_id"),
    business=(
        as_id,
        "waba_info.owner_business_id",
        "partner_client_certification_info.client_business_id",
    ),
    app=(as_id, "waba_info.partner_app_id"),
    solution=(as_id, "waba_info.solution_id", "solution_id"),
    partners=(as_ids, "waba_info.solution_partner_business_ids"),
    reason=(as_text, "disconnection_info.reason"),
    initiated_by=(as_text, "disconnection_info.initiated_by"),
    status=(as_text, "partner_client_certification_info.status", "solution_status"),
    rejection_reasons=(as_ids, "partner_client_certification_info.rejection_reasons"),
    event=(as_text, "event"),
)
_NUMBER: Final = plan(
    phone=(as_id, "display_phone_number"),
    decision=(as_text, "decision"),
    name=(as_text, "requested_verified_name"),
    reason=(as_text, "rejection_reason"),
    event=(as_text, "event"),
    limit=(as_text, "current_limit", "max_daily_conversations_per_business"),
    previous_limit=(as_text, "old_limit"),
    username=(as_text, "username"),
    status=(as_text, "status"),
)
_TEMPLATE: Final = plan(
    id=(as_id, "message_template_id"),
    name=(as_text, "message_template_name"),
    language=(as_text, "message_template_language"),
    status=(as_text, "event"),
    reason=(as_text, "rejection_info.reason", "reason"),
    recommendation=(as_text, "rejection_info.recommendation"),
    category=(as_text, "new_category", "correct_category", "message_template_category"),
    previous_category=(as_text, "previous_category"),
    quality=(as_text, "new_quality_score"),
    previous_quality=(as_text, "previous_quality_score"),
    disable_date=(as_plain, "disable_info.disable_date"),
    title=(as_text, "message_template_title"),
    body=(as_text, "message_template_element"),
    footer=(as_text, "message_template_footer"),
    buttons=(lambda value: as_list(value) or None, "message_template_buttons"),
)
_SECURITY: Final = plan(
    phone=(as_id, "display_phone_number"), event=(as_text, "event"), requester=(as_id, "requester")
)
_CONFIGURATION: Final = plan(
    name=(as_text, "configuration_name"),
    provider=(as_text, "provider_name"),
    provider_account=(as_id, "provider_mid"),
    status=(as_text, "status"),
)
_FLOW: Final = plan(
    id=(as_id, "flow_id"),
    event=(as_text, "event"),
    text=(as_text, "message"),
    previous_status=(as_text, "old_status"),
    status=(as_text, "new_status"),
    alert_state=(as_text, "alert_state"),
    error_rate=(as_number, "error_rate"),
    latency_ms=(as_whole, "p90_latency", "p50_latency"),
    requests=(as_whole, "requests_count"),
    availability=(as_number, "availability"),
    threshold=(as_whole, "threshold"),
    warning=(as_text, "warning"),
)
_CONVERSION: Final = plan(
    event=(as_text, "event", "event_name"),
    name=(as_text, "event_name", "details.event_name"),
    message_id=(as_id, "id", "message_id"),
    click_id=(as_text, "ctwa_clid"),
    currency=(as_text, "custom_data.currency"),
    value=(as_number, "custom_data.value"),
)
_ACCOUNT_EVENTS: Final = {
    "ACCOUNT_DELETED": "account.deleted",
    "ACCOUNT_OFFBOARDED": "account.offboarded",
    "ACCOUNT_RECONNECTED": "account.reconnected",
    "ACCOUNT_RESTRICTION": "account.restricted",
    "ACCOUNT_VIOLATION": "account.violation_reported",
    "DISABLED_UPDATE": "account.ban_changed",
    "VERIFIED_ACCOUNT": "account.verified",
    "AD_ACCOUNT_LINKED": "account.ad_account_linked",
    "MM_LITE_TERMS_SIGNED": "account.terms_signed",
    "VOLUME_BASED_PRICING_TIER_UPDATE": "account.pricing_tier_changed",
    "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE": "account.price_eligibility_changed",
    "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE": "account.country_changed",
}
_PARTNER_EVENTS: Final = {
    "PARTNER_ADDED": "partner.added",
    "PARTNER_REMOVED": "partner.removed",
    "PARTNER_APP_INSTALLED": "partner.app_installed",
    "PARTNER_APP_UNINSTALLED": "partner.app_uninstalled",
    "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE": "partner.certification_changed",
}
_FLOW_EVENTS: Final = {
    "FLOW_STATUS_CHANGE": "flow.status_changed",
    "CLIENT_ERROR_RATE": "flow.health_reported",
    "ENDPOINT_ERROR_RATE": "flow.health_reported",
    "ENDPOINT_LATENCY": "flow.health_reported",
    "ENDPOINT_AVAILABILITY": "flow.health_reported",
    "FLOW_VERSION_EXPIRY_WARNING": "flow.version_expiring",
    "FLOW_VERSION_FREEZE_WARNING": "flow.version_expiring",
}
_FIELDS: Final[dict[str, tuple[str, Plan]]] = {
    "account_alerts": ("account.alerted", _CHANGE),
    "account_review_update": ("account.reviewed", _CHANGE),
    "account_settings_update": ("account.settings_changed", _CHANGE),
    "business_capability_update": ("account.limits_changed", _CHANGE),
    "business_status_update": ("account.status_changed", _CHANGE),
    "partner_solutions": ("partner.solution_changed", _PARTNER),
    "phone_number_name_update": ("phone_number.name_reviewed", _NUMBER),
    "phone_number_quality_update": ("phone_number.quality_changed", _NUMBER),
    "phone_number_username_update": ("phone_number.username_changed", _NUMBER),
    "business_username_update": ("phone_number.username_changed", _NUMBER),
    "business_username_updates": ("phone_number.username_changed", _NUMBER),
    "message_template_status_update": ("template.status_changed", _TEMPLATE),
    "message_template_quality_update": ("template.quality_changed", _TEMPLATE),
    "message_template_components_update": ("template.components_changed", _TEMPLATE),
    "template_category_update": ("template.category_changed", _TEMPLATE),
    "security": ("security.changed", _SECURITY),
    "payment_configuration_update": ("payment.configuration_changed", _CONFIGURATION),
    "automatic_events": ("conversion.detected", _CONVERSION),
    "tracking_events": ("conversion.detected", _CONVERSION),
}


def account_field(place: Place) -> Item:
    """A change without lists: a field about the account, or one that nobody knows yet."""
    value = as_object(place.fragment.get("value"))
    occurred_at_ms = time_ms(value.get("timestamp"))
    typed = _typed(place.field, value)
    if typed is None:
        return unknown(place, person=identity_of(value, None).person(), occurred_at_ms=occurred_at_ms)
    event_type, part = typed
    person: Person = NOBODY
    if event_type == "conversion.detected":
        person = identity_of(value, None).person()
    return compose(
        place,
        event_type,
        part,
        person=person,
        direction="system",
        occurred_at_ms=occurred_at_ms,
        message_id=part.get("message_id"),
    )


def conversion(context: ValueContext, path: str, raw: Json, collection: str) -> Item:
    """An element of `automatic_events`: it names a message, and nobody unless the value's contacts do.

    developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/automatic_events
    """
    place = context.place(path, raw, collection)
    part = read(_CONVERSION, raw)
    return compose(
        place,
        "conversion.detected",
        part,
        person=context.person(identity_of(raw, context.own_phone), place),
        direction="system",
        occurred_at_ms=time_ms(raw.get("timestamp")),
        message_id=part.get("message_id"),
    )


def _typed(field: str, value: Json) -> tuple[str, dict[str, Any]] | None:
    if not value:
        return None
    if field == "account_update":
        event = as_text(value.get("event")) or ""
        if event in _PARTNER_EVENTS:
            return _PARTNER_EVENTS[event], read(_PARTNER, value)
        return _ACCOUNT_EVENTS.get(event, "account.updated"), read(_CHANGE, value)
    if field == "flows":
        return _FLOW_EVENTS.get(as_text(value.get("event")) or "", "flow.changed"), read(_FLOW, value)
    found = _FIELDS.get(field)
    return None if found is None else (found[0], read(found[1], value))
