"""What Pages send in `changes`: the feed with its comments, mentions, ratings, leads. META.md section 7."""

from __future__ import annotations

from typing import Any, Final

from contracts.pseudonyms import Domain
from router.split.compose import Place, compose, unknown
from router.split.identity import NOBODY, Person, person_by
from router.split.item import Direction, Item
from router.split.messaging import messaging_item
from router.split.reading import Json, as_id, as_object, as_text, as_word, content_hash
from router.split.times import time_ms

_COMMENT_EVENTS: Final = {
    "add": "comment.created",
    "edit": "comment.edited",
    "edited": "comment.edited",
    "remove": "comment.removed",
    "hide": "comment.hidden",
    "unhide": "comment.unhidden",
}
PUBLICATIONS: Final = frozenset(
    {"post", "status", "photo", "video", "share", "album", "event", "note", "link", "rating"}
)
"""Feed items that are a publication with an id of its own; a reaction or like has none, its ids are its target's."""
_OWN_IDS: Final = (
    "post_id",
    "photo_id",
    "video_id",
    "album_id",
    "share_id",
    "event_id",
    "open_graph_story_id",
)


def page_change(place: Place, change: Json, own: str | None) -> Item:
    """One entry of `changes`."""
    value = as_object(change.get("value"))
    if "sender" in value or "recipient" in value:  # The dashboard's test events (META.md section 5.1).
        return messaging_item(place, value, own)
    person, direction = author(value, own)
    verb = as_text(value.get("verb"))
    if place.field == "feed" and value.get("item") == "comment" and verb in _COMMENT_EVENTS:
        return _comment(place, value, verb, person, direction)
    item = as_text(value.get("item"))
    published = item in PUBLICATIONS
    target = _first_id(value, _OWN_IDS if published else ("comment_id", *_OWN_IDS))
    return unknown(
        place,
        person=person,
        direction="system" if person is NOBODY and direction == "inbound" else direction,
        occurred_at_ms=_own_time(value, verb),
        native_id=target if published or item == "comment" else as_id(value.get("leadgen_id")),
        message_id=target,
    )


def author(value: Json, own: str | None) -> tuple[Person, Direction]:
    """Who did it: `from`, in older values `sender_id`, in ratings `reviewer_id`. The Page itself is nobody."""
    source = as_object(value.get("from"))
    identifier = as_id(source.get("id"))
    profile: Json = source
    for prefix in ("sender", "reviewer"):
        if identifier is None:
            identifier = as_id(value.get(f"{prefix}_id"))
            profile = {"name": value.get(f"{prefix}_name")}
    if identifier is not None and identifier == own:
        return NOBODY, "outbound"
    return person_by(Domain.PSID, identifier, own=own, profile=profile), "inbound"


def _comment(place: Place, value: Json, verb: str, person: Person, direction: Direction) -> Item:
    comment = as_id(value.get("comment_id"))
    discriminator: tuple[str, ...] = ("comment", verb, as_word(value.get("created_time")))
    if verb != "add" or comment is None:
        discriminator += (content_hash(value),)
    part: dict[str, Any] = {
        "id": comment,
        "text": as_text(value.get("message")),
        "post_id": as_id(value.get("post_id")),
        "parent_id": as_id(value.get("parent_id")),
    }
    return compose(
        place,
        _COMMENT_EVENTS[verb],
        part,
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
