"""Deliveries of any JSON at all, in the places where Meta puts things."""

from __future__ import annotations

from hypothesis import strategies as st

from contracts.meta_fields import LABELS, MESSAGING

NAMES = st.sampled_from(
    [
        "id",
        "uid",
        "time",
        "field",
        "value",
        "verb",
        "sender",
        "recipient",
        "timestamp",
        "message",
        "message_edit",
        "reaction",
        "read",
        "delivery",
        "postback",
        "mid",
        "mids",
        "text",
        "attachments",
        "type",
        "payload",
        "num_edit",
        "action",
        "emoji",
        "watermark",
        "is_echo",
        "is_deleted",
        "metadata",
        "phone_number_id",
        "display_phone_number",
        "messages",
        "statuses",
        "errors",
        "contacts",
        "calls",
        "groups",
        "history",
        "threads",
        "state_sync",
        "user_id_update",
        "user_preferences",
        "wa_id",
        "user_id",
        "from",
        "to",
        "group_id",
        "status",
        "recipient_id",
        "added_participants",
        "revoke",
        "edit",
        "original_message_id",
        "item",
        "comment_id",
        "post_id",
        "created_time",
        "context",
        "profile",
        "name",
        "novelty",
        "changed_fields",
        "messaging_product",
        "waba_info",
        "system",
        "image",
        "event",
        "verb",
        "code",
        "reason",
        "error_data",
        "details",
        "referral",
        "pricing",
        "conversation",
        "origin",
        "expiration_timestamp",
        "identity",
        "hash",
        "interactive",
        "button_reply",
        "order",
        "product_items",
        "quantity",
        "item_price",
        "location",
        "latitude",
        "restriction_info",
        "expiration",
        "ban_info",
        "metadata",
        "phase",
        "new_owner_app_id",
        "amount",
        "media",
        "media_id",
        "rating",
        "published",
        "photo_ids",
        "target_ids",
        "payment",
        "duration",
        "session",
        "removed_participants",
        "failed_participants",
    ]
)
FIELDS = st.sampled_from([*LABELS, "email", "parking"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=9),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, ANYTHING, max_size=5)
NOTICES = st.builds(
    lambda around, kind, part: {**around, kind: part}, OBJECTS, st.sampled_from(MESSAGING), OBJECTS | ANYTHING
)
PARTS = st.lists(OBJECTS | NOTICES | ANYTHING, max_size=3)
LISTS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            "messages",
            "message_echoes",
            "statuses",
            "contacts",
            "history",
            "groups",
            "calls",
            "errors",
            "state_sync",
            "user_id_update",
            "user_preferences",
            "novelty",
        ),
        PARTS | ANYTHING,
    ),
)
CHANGES = st.fixed_dictionaries(
    {}, optional={"field": FIELDS | NAMES | SCALARS, "value": LISTS | OBJECTS, "verb": SCALARS}
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["1", 1, "0", None]),
        "uid": SCALARS,
        "time": SCALARS,
        "messaging": PARTS | ANYTHING,
        "standby": PARTS,
        "changes": st.lists(CHANGES | OBJECTS, max_size=3) | ANYTHING,
        "novelty": ANYTHING,
    },
)
WORDS = st.sampled_from(["page", "instagram", "whatsapp_business_account", "permissions", "user", "Page"])
DELIVERIES = st.fixed_dictionaries(
    {"object": WORDS, "entry": st.lists(ENTRIES | ANYTHING, min_size=1, max_size=3)},
    optional={"novelty": ANYTHING},
)
