"""What an item asks for beyond being stored: an erasure, a withdrawal, a consent. META.md section 13, PRIVACY.md section 3."""

from __future__ import annotations

from typing import Final

from contracts.events.registry import EVENT_TYPES, UNKNOWN, Scope
from router.split.item import Item
from router.split.page import PUBLICATIONS
from router.split.reading import as_object

_ACCOUNT_LEFT: Final = frozenset(
    {"ACCOUNT_DELETED", "ACCOUNT_OFFBOARDED", "PARTNER_REMOVED", "PARTNER_APP_UNINSTALLED"}
)
_REVOKED: Final = frozenset({"revoked", "removed", "remove", "delete", "deleted"})
_UNSENT: Final = frozenset({"message.unsent", "comment.removed"})

_TAKEN_BACK_IN: Final = frozenset({"feed", "mention", "ratings"})
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
    if item.event_type != UNKNOWN:
        return False
    fragment = as_object(item.data["fragment"])
    value = as_object(fragment.get("value"))
    if item.provider_object == "whatsapp_business_account":
        return item.data["field"] == "account_update" and value.get("event") in _ACCOUNT_LEFT
    if item.provider_object == "permissions":
        return _is_in(fragment.get("verb"), _REVOKED) or _is_in(value.get("verb"), _REVOKED)
    return False


def unsends(item: Item) -> bool:
    """Whether `message_id` must be erased everywhere: an unsend, a removed comment, a removed post.

    Hiding is not removing: the author still sees what was hidden, and it can be shown again. A removed reaction is not
    either: its ids are those of the post or comment that stays.
    """
    if item.message_id is None:
        return False
    if item.event_type in _UNSENT:
        return True
    if (
        item.event_type != UNKNOWN
        or item.provider_object != "page"
        or item.data["field"] not in _TAKEN_BACK_IN
    ):
        return False
    value = as_object(as_object(item.data["fragment"]).get("value"))
    return value.get("verb") == "remove" and _is_in(value.get("item"), PUBLICATIONS | {"comment"})


def scope_of(item: Item) -> str:
    """The consent scope that covers the item: its type's, or for an unknown one that of the field it came in."""
    if item.event_type != UNKNOWN:
        return EVENT_TYPES[item.event_type].scope
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


def _is_in(value: object, words: frozenset[str]) -> bool:
    return isinstance(value, str) and value.lower() in words
