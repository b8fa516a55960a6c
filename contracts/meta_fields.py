"""Meta's names of what it sends, a closed set: the only such names that may be a metric's label. META.md sections 6 to 8.

A name that is not here counts as `other`; what is sealed and stored keeps the name that arrived.
"""

from __future__ import annotations

from typing import Final

MESSAGING: Final = (
    "message", "message_edit", "reaction", "read", "delivery", "postback", "referral", "optin", "account_linking",
    "policy-enforcement", "policy_enforcement", "pass_thread_control", "take_thread_control", "request_thread_control",
    "app_roles", "game_play", "branded_camera", "messaging_feedback", "response_feedback", "send_cart",
    "messenger_template_status_update", "payment", "pre_checkout", "checkout_update",
)  # fmt: skip
"""Keys of a messaging item."""
SUBSCRIBED: Final = (
    "messages", "message_echoes", "message_edits", "message_reactions", "message_reads", "message_deliveries",
    "messaging_seen", "messaging_postbacks", "messaging_referrals", "messaging_referral", "messaging_optins",
    "messaging_handovers", "messaging_handover", "messaging_policy_enforcement", "messaging_account_linking",
    "messaging_game_plays", "messaging_payments", "messaging_pre_checkouts", "messaging_checkout_updates",
    "standby", "inbox_labels",
)  # fmt: skip
"""Fields of Pages and Instagram accounts whose dashboard tests arrive as changes."""
PUBLIC: Final = (
    "feed", "mention", "ratings", "leadgen", "live_videos", "comments", "live_comments", "mentions", "story_insights",
)  # fmt: skip
PAGE_PROFILE: Final = frozenset(
    {
        "about", "affiliation", "artists_we_like", "attire", "awards", "band_interests", "band_members", "bio",
        "birthday", "booking_agent", "built", "business_hours", "category", "checkins", "company_overview",
        "culinary_team", "current_location", "description", "directed_by", "email", "features", "food_styles",
        "founded", "general_info", "general_manager", "genre", "hometown", "hours", "influences", "is_always_open",
        "location", "members", "mission", "mpg", "name", "network", "parking", "payment_options", "personal_info",
        "personal_interests", "phone", "picture", "plot_outline", "press_contact", "price_range", "produced_by",
        "products", "public_transit", "publisher_subscriptions", "record_label", "release_date",
        "restaurant_services", "restaurant_specialties", "schedule", "screenplay_by", "season", "starring",
        "studio", "website", "written_by",
    }
)  # fmt: skip
"""Fields of a Page's profile: `changes` without an item of the feed."""
WHATSAPP: Final = (
    "account_alerts", "account_review_update", "account_settings_update", "account_update", "automatic_events",
    "business_capability_update", "business_status_update", "business_username_update", "business_username_updates",
    "calls", "flows", "group_lifecycle_update", "group_participants_update", "group_settings_update",
    "group_status_update", "history", "message_template_components_update", "message_template_quality_update",
    "message_template_status_update", "partner_solutions", "payment_configuration_update", "phone_number_name_update",
    "phone_number_quality_update", "phone_number_username_update", "security", "smb_app_state_sync",
    "smb_message_echoes", "template_category_update", "tracking_events", "user_id_update", "user_preferences",
)  # fmt: skip
OTHER: Final = "other"
LABELS: Final = tuple(dict.fromkeys((*MESSAGING, *SUBSCRIBED, *PUBLIC, *WHATSAPP, "profile", "none", OTHER)))
"""What a metric's label may say: `profile` for any field of a Page's profile, `none` for an item without a name."""
_KNOWN: Final = frozenset(LABELS) - {"profile", "none", OTHER}


def field_label(name: str) -> str:
    """The label for the name that Meta gave."""
    if name in _KNOWN:
        return name
    if name == "":
        return "none"
    return "profile" if name in PAGE_PROFILE else OTHER
