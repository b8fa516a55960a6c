"""Items of `messaging[]` and `standby[]` beside messages, reactions and receipts, read by tables. META.md section 6."""

from __future__ import annotations

from typing import Any, Final

from router.split.compose import Place, compose
from router.split.identity import Person
from router.split.item import Direction, Item
from router.split.plan import Plan, inside, plan, read
from router.split.reading import (
    Json,
    as_id,
    as_ids,
    as_list,
    as_plain,
    as_text,
    as_whole,
)
from router.split.times import time_ms

REFERRAL: Final = plan(
    ref=(as_text, "ref"),
    source=(as_text, "source"),
    type=(as_text, "type"),
    source_id=(as_id, "ad_id", "ads_context_data.post_id"),
    headline=(as_text, "ads_context_data.ad_title"),
    media_url=(as_text, "ads_context_data.photo_url", "ads_context_data.video_url"),
    origin=(as_text, "referer_uri", "origin_domain"),
)
_HANDOVER: Final = plan(
    new_owner=(as_id, "new_owner_app_id"),
    previous_owner=(as_id, "previous_owner_app_id"),
    requested_owner=(as_id, "requested_owner_app_id"),
    metadata=(as_text, "metadata"),
)
_ADDRESS: Final = plan(
    name=(as_text, "name"),
    street=(as_text, "street1", "street_1"),
    street2=(as_text, "street2", "street_2"),
    city=(as_text, "city"),
    state=(as_text, "state"),
    postal_code=(as_plain, "postal_code"),
    country=(as_text, "country"),
)
_PAYMENT: Final = plan(
    reference=(as_text, "payload"),
    transaction=(as_id, "payment_credential.charge_id", "payment_credential.fb_payment_id"),
    provider=(as_text, "payment_credential.provider_type"),
    total=(inside(plan(amount=(as_plain, "amount"), currency=(as_text, "currency"))), "amount"),
    contact_name=(as_text, "requested_user_info.contact_name"),
    contact_email=(as_text, "requested_user_info.contact_email"),
    contact_phone=(as_text, "requested_user_info.contact_phone"),
    address=(inside(_ADDRESS), "requested_user_info.shipping_address", "shipping_address"),
    shipping_option=(as_id, "shipping_option_id"),
)
_TEMPLATE: Final = plan(
    id=(as_id, "template_id", "message_template_id"),
    name=(as_text, "template_name", "message_template_name"),
    language=(as_text, "language", "message_template_language"),
    status=(as_text, "status", "event"),
    reason=(as_text, "reason"),
)
_POLICY: Final = plan(action=(as_text, "action"), reason=(as_text, "reason"))


def _survey(value: object) -> object:
    return as_list(value) or None


_NOTICES: Final[dict[str, tuple[str, Plan, Direction | None]]] = {
    "optin": (
        "optin.received",
        plan(
            ref=(as_text, "ref"),
            user_ref=(as_id, "user_ref"),
            type=(as_text, "type"),
            payload=(as_text, "payload"),
            title=(as_text, "title"),
            token=(as_text, "notification_messages_token", "one_time_notif_token"),
            token_until_ms=(time_ms, "token_expiry_timestamp"),
            frequency=(as_text, "notification_messages_frequency"),
            timezone=(as_text, "notification_messages_timezone"),
            status=(as_text, "notification_messages_status"),
        ),
        None,
    ),
    "referral": ("referral.received", REFERRAL, None),
    "account_linking": (
        "account_link.changed",
        plan(status=(as_text, "status"), authorization_code=(as_text, "authorization_code")),
        None,
    ),
    "policy-enforcement": ("policy.enforced", _POLICY, "system"),
    "policy_enforcement": ("policy.enforced", _POLICY, "system"),
    "pass_thread_control": ("handover.passed", _HANDOVER, "system"),
    "take_thread_control": ("handover.taken", _HANDOVER, "system"),
    "request_thread_control": ("handover.requested", _HANDOVER, "system"),
    "game_play": (
        "game.played",
        plan(
            game=(as_id, "game_id"),
            player=(as_id, "player_id"),
            context=(as_id, "context_id"),
            context_type=(as_text, "context_type"),
            score=(as_whole, "score"),
            payload=(as_text, "payload"),
        ),
        None,
    ),
    "branded_camera": (
        "camera.used",
        plan(event=(as_text, "event"), effects=(as_ids, "content_ids")),
        None,
    ),
    "messaging_feedback": (
        "feedback.received",
        plan(screens=(_survey, "feedback_screens")),
        None,
    ),
    "response_feedback": (
        "feedback.received",
        plan(message_id=(as_id, "mid"), verdict=(as_text, "feedback")),
        None,
    ),
    "send_cart": (
        "cart.sent",
        plan(
            note=(as_text, "note"),
            source=(as_text, "source"),
            version=(as_whole, "version"),
        ),
        None,
    ),
    "payment": ("payment.received", _PAYMENT, None),
    "pre_checkout": ("checkout.started", _PAYMENT, None),
    "checkout_update": ("checkout.updated", _PAYMENT, None),
    "messenger_template_status_update": ("template.status_changed", _TEMPLATE, "system"),
}
KINDS: Final = (*_NOTICES, "app_roles")
"""The keys that say what such an item is."""


def notice_item(place: Place, raw: Json, kind: str, part: Json, person: Person, direction: Direction) -> Item:
    """One such item. `part`: the object under `kind`."""
    values: dict[str, Any]
    fixed: Direction
    if kind == "app_roles":
        event_type, fixed = "handover.roles_changed", "system"
        values = {"apps": {app: as_ids(roles) or [] for app, roles in part.items()}}
    else:
        event_type, table, chosen = _NOTICES[kind]
        # A checkbox names nobody, only a `user_ref`: a person acted all the same.
        fixed = chosen or ("inbound" if direction == "system" else direction)
        values = read(table, part)
        if kind == "send_cart":
            values["products"] = [
                product
                for product in (
                    as_id(each.get("product_id") or each.get("id"))
                    for each in as_list(part.get("product_items"))
                    if isinstance(each, dict)
                )
                if product is not None
            ]
    return compose(
        place,
        event_type,
        values,
        person=person,
        direction=fixed,
        occurred_at_ms=time_ms(raw.get("timestamp")),
        message_id=values.get("message_id"),
    )
