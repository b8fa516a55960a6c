"""What happens on a page, in its feed and in profiles is named after what happened. META.md section 7."""

from __future__ import annotations

import pytest

from contracts.events.registry import UNKNOWN
from router.split.requests import unknown_label
from tests.fixtures.meta import bodies as meta
from tests.unit.router_split.notices import only, part


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
