"""What Pages send in `changes`: the feed, mentions, ratings, leads, the profile. META.md section 7."""

from __future__ import annotations

from typing import Any, Final

from contracts.meta_fields import PAGE_PROFILE
from contracts.pseudonyms import Domain
from router.split.account import page_profile
from router.split.compose import Place, compose, unknown
from router.split.identity import NOBODY, Person, person_by
from router.split.item import Direction, Item
from router.split.messaging import kinds_in, messaging_item
from router.split.plan import plan, read
from router.split.reading import Json, as_id, as_ids, as_object, as_text, as_whole, as_word, content_hash
from router.split.times import time_ms

PUBLICATIONS: Final = frozenset(
    {"post", "status", "photo", "video", "share", "album", "event", "note", "link", "rating"}
)
"""Feed items that are a publication with an id of its own; a reaction or like has none, its ids are its target's."""
_REACTIONS: Final = frozenset({"reaction", "like"})
_OWN_IDS: Final = (
    "post_id",
    "photo_id",
    "video_id",
    "album_id",
    "share_id",
    "event_id",
    "open_graph_story_id",
)
_VERBS: Final = {
    "add": "created",
    "edit": "edited",
    "edited": "edited",
    "remove": "removed",
    "hide": "hidden",
    "unhide": "unhidden",
}
_BY_PAGE: Final = ("hide", "unhide")
_MENTION_EVENTS: Final = {
    "created": "mention.received",
    "edited": "mention.edited",
    "removed": "mention.removed",
}
_RATING_EVENTS: Final = {"created": "rating.created", "edited": "rating.edited", "removed": "rating.removed"}


def _published(value: object) -> bool | None:
    return {"0": False, "1": True}.get(as_word(value)) if not isinstance(value, bool) else value


_COMMENT: Final = plan(
    id=(as_id, "comment_id"),
    text=(as_text, "message"),
    post_id=(as_id, "post_id"),
    parent_id=(as_id, "parent_id"),
    verb=(as_text, "verb"),
)
_POST: Final = plan(
    id=(as_id, "post_id"),
    kind=(as_text, "item"),
    verb=(as_text, "verb"),
    text=(as_text, "message", "story"),
    link=(as_text, "link"),
    photos=(as_ids, "photos", "photo_ids"),
    published=(_published, "published"),
)
_REACTION: Final = plan(
    post_id=(as_id, "post_id"),
    comment_id=(as_id, "comment_id"),
    parent_id=(as_id, "parent_id"),
    reaction=(as_text, "reaction_type", "item"),
    verb=(as_text, "verb"),
)
_MENTION: Final = plan(
    post_id=(as_id, "post_id"),
    comment_id=(as_id, "comment_id"),
    kind=(as_text, "item"),
    verb=(as_text, "verb"),
    text=(as_text, "message"),
)
_RATING: Final = plan(
    id=(as_id, "open_graph_story_id", "post_id"),
    stars=(as_whole, "rating"),
    recommendation=(as_text, "recommendation_type"),
    text=(as_text, "review_text"),
)
_LEAD: Final = plan(
    id=(as_id, "leadgen_id"),
    form_id=(as_id, "form_id"),
    ad_id=(as_id, "ad_id"),
    ad_group_id=(as_id, "adgroup_id"),
    page_id=(as_id, "page_id"),
)


def page_change(place: Place, change: Json, own: str | None) -> Item:
    """One entry of `changes`."""
    value = as_object(change.get("value"))
    if "sender" in value or "recipient" in value:  # The dashboard's test events (META.md section 5.1).
        return messaging_item(place, value, own, kinds_in(value))
    person, direction = author(value, own)
    verb = as_text(value.get("verb"))
    item = as_text(value.get("item"))
    if item == "comment" and place.field in ("feed", "ratings"):
        return _comment(place, value, verb, person, direction)
    if place.field in PAGE_PROFILE:
        return page_profile(place)
    published = item in PUBLICATIONS
    target = _first_id(value, _OWN_IDS if published else ("comment_id", *_OWN_IDS))
    about: dict[str, Any] = {
        "person": person,
        "direction": "system" if person is NOBODY and direction == "inbound" else direction,
        "occurred_at_ms": _own_time(value, verb),
        "native_id": target if published or item == "comment" else as_id(value.get("leadgen_id")),
        "message_id": target,
    }
    typed = _typed(place.field, item, verb, value)
    if typed is None:
        return unknown(place, **about)
    return compose(place, *typed, **about)


def _typed(field: str, item: str | None, verb: str | None, value: Json) -> tuple[str, dict[str, Any]] | None:
    """Event type and part; None if nobody knows what it is."""
    happened = _VERBS.get(verb or "", "changed")
    if field == "leadgen" and value:
        return "lead.received", read(_LEAD, value)
    if field == "mention" and verb is not None:
        event_type = _MENTION_EVENTS.get(happened)
        return None if event_type is None else (event_type, read(_MENTION, value))
    if field not in ("feed", "ratings") or verb is None:
        return None
    if item in _REACTIONS:
        return "post.reaction_changed", read(_REACTION, value)
    if item == "rating":
        event_type = _RATING_EVENTS.get(happened)
        return None if event_type is None else (event_type, read(_RATING, value))
    if item in PUBLICATIONS:
        part = read(_POST, value)
        media = as_id(value.get(f"{item}_id"))
        if media is not None and item != "post":
            part["media_id"] = media
        return "post.published" if happened == "created" else f"post.{happened}", part
    return None


def author(value: Json, own: str | None) -> tuple[Person, Direction]:
    """The author (`from`, in older values `sender_id`, in ratings `reviewer_id`), and who acted. The Page itself is nobody.

    Only the Page hides and unhides: the person is then the author of what was hidden.
    """
    source = as_object(value.get("from"))
    identifier = as_id(source.get("id"))
    profile: Json = source
    for prefix in ("sender", "reviewer"):
        if identifier is None:
            identifier = as_id(value.get(f"{prefix}_id"))
            profile = {"name": value.get(f"{prefix}_name")}
    if identifier is None:  # Who likes the Page itself.
        identifier, profile = as_id(value.get("user_id")), {}
    if identifier is not None and identifier == own:
        return NOBODY, "outbound"
    person = person_by(Domain.PSID, identifier, own=own, profile=profile)
    return person, "outbound" if value.get("verb") in _BY_PAGE else "inbound"


def _comment(place: Place, value: Json, verb: str | None, person: Person, direction: Direction) -> Item:
    comment = as_id(value.get("comment_id"))
    discriminator: tuple[str, ...] = ("comment", verb or "", as_word(value.get("created_time")))
    if verb != "add" or comment is None:
        discriminator += (content_hash(value),)
    return compose(
        place,
        f"comment.{_VERBS.get(verb or '', 'changed')}",
        read(_COMMENT, value),
        person=person,
        direction=direction,
        occurred_at_ms=_own_time(value, verb),
        native_id=comment,
        discriminator=discriminator,
        message_id=comment,
    )


def _own_time(value: Json, verb: str | None) -> int | None:
    """`created_time` is the time of the *thing*; only for a new thing is it the time of what happened.

    An edit or removal of an old post may repeat it (META.md section 12): dated by it, the removal would fall outside the
    accepted window and be set aside instead of honoured.
    """
    if verb is None or verb == "add":
        return time_ms(value.get("created_time"))
    return None


def _first_id(value: Json, names: tuple[str, ...]) -> str | None:
    for name in names:
        identifier = as_id(value.get(name))
        if identifier is not None:
            return identifier
    return None
