"""What an item asks for beyond being stored: an erasure, a withdrawal, a consent. META.md section 13, PRIVACY.md section 3."""

from __future__ import annotations

from typing import Final

from contracts.events.registry import EVENT_TYPES, UNKNOWN, Scope
from contracts.meta_fields import field_label
from router.split.item import Item

_ACCOUNT_LEFT: Final = frozenset(
    {
        "account.deleted",
        "account.offboarded",
        "partner.removed",
        "partner.app_uninstalled",
        "permission.revoked",
    }
)
_TAKEN_BACK: Final = frozenset(
    {"message.unsent", "comment.removed", "post.removed", "mention.removed", "rating.removed"}
)
ASKING: Final = _ACCOUNT_LEFT | _TAKEN_BACK
"""Types that may ask for an erasure: few."""
_SCOPES: Final = {name: kind.scope for name, kind in EVENT_TYPES.items()}
_COMMENT_FIELDS: Final = frozenset({"feed", "mention", "mentions", "ratings", "story_insights"})
_CHAT_FIELDS: Final = frozenset(
    {
        "messages",
        "calls",
        "history",
        "smb_app_state_sync",
        "smb_message_echoes",
        "user_id_update",
        "user_preferences",
        "group_lifecycle_update",
        "group_participants_update",
        "group_settings_update",
        "group_status_update",
    }
)


def removes_account(item: Item) -> bool:
    """Whether Meta says that the account is gone or the app's access to it: starts the deletion clock (META.md section 13)."""
    return item.event_type in _ACCOUNT_LEFT


def unsends(item: Item) -> bool:
    """Whether `message_id` must be erased everywhere: an unsend, a removed comment, post, mention or rating.

    Hiding is not removing: the author still sees what was hidden, and it can be shown again. A removed reaction is not
    either: its ids are those of the post or comment that stays.
    """
    return item.event_type in _TAKEN_BACK and item.message_id is not None


def unknown_label(item: Item) -> tuple[str, str]:
    """Object and field of an unknown item as a metric may say them: names of Meta's that we know, else `other`."""
    return item.provider_object, field_label(item.data["field"])


def scope_of(item: Item) -> str:
    """The consent scope that covers the item: its type's, or for an unknown one that of the field it came in."""
    if item.event_type != UNKNOWN:
        return _SCOPES[item.event_type]
    channel = item.data["envelope"].get("channel")
    field = item.data["field"]
    if channel in ("messaging", "standby") or (
        item.provider_object.startswith("whatsapp") and field in _CHAT_FIELDS
    ):
        return Scope.MESSAGING
    if item.provider_object in ("page", "instagram") and field in _COMMENT_FIELDS:
        return Scope.COMMENTS
    if item.aliases:  # Unknown, but about a person: the scope that asks for most.
        return Scope.MESSAGING
    return Scope.ACCOUNT
