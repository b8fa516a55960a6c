"""What Instagram accounts send in `changes`: comments, live comments, mentions, story insights. META.md section 7."""

from __future__ import annotations

from typing import Final

from contracts.pseudonyms import Domain
from router.split.compose import Place, compose, unknown
from router.split.identity import NOBODY, Person, person_by
from router.split.item import Direction, Item
from router.split.messaging import messaging_item
from router.split.reading import Json, as_id, as_object, as_text
from router.split.times import time_ms

_COMMENT_FIELDS: Final = frozenset({"comments", "live_comments"})


def instagram_change(place: Place, change: Json, own: str | None) -> Item:
    """One entry of `changes`."""
    value = as_object(change.get("value"))
    if "sender" in value or "recipient" in value:  # The dashboard's test events (META.md section 5.1).
        return messaging_item(place, value, own)
    person, direction = _author(value, own)
    occurred_at_ms = time_ms(value.get("timestamp", value.get("created_time")))
    if place.field in _COMMENT_FIELDS:
        comment = as_id(value.get("id"))
        return compose(
            place,
            "comment.created",
            {
                "id": comment,
                "text": as_text(value.get("text")),
                "post_id": as_id(as_object(value.get("media")).get("id")),
                "parent_id": as_id(value.get("parent_id")),
                "live": place.field == "live_comments",
            },
            person=person,
            direction=direction,
            occurred_at_ms=occurred_at_ms,
            native_id=comment,
            message_id=comment,
        )
    comment = as_id(value.get("comment_id"))
    return unknown(
        place,
        person=person,
        direction="system" if person is NOBODY else direction,
        occurred_at_ms=occurred_at_ms,
        native_id=comment,
        message_id=comment,
    )


def _author(value: Json, own: str | None) -> tuple[Person, Direction]:
    """`from`; the account's own comments are flagged by `self_ig_scoped_id` or have its id. META.md section 9.1."""
    source = as_object(value.get("from"))
    identifier = as_id(source.get("id"))
    if as_id(source.get("self_ig_scoped_id")) is not None or (identifier is not None and identifier == own):
        return NOBODY, "outbound"
    return person_by(Domain.IGSID, identifier, own=own, profile=source), "inbound"
