"""What Instagram accounts send in `changes`: comments, live comments, mentions, story insights. META.md section 7."""

from __future__ import annotations

from typing import Final

from contracts.pseudonyms import Domain
from router.split.compose import Place, compose, unknown
from router.split.identity import NOBODY, Person, person_by
from router.split.item import Direction, Item
from router.split.messaging import kinds_in, messaging_item
from router.split.plan import plan, read
from router.split.reading import Json, as_id, as_object, as_text, as_whole
from router.split.times import time_ms

_COMMENT: Final = plan(
    id=(as_id, "id"),
    text=(as_text, "text"),
    post_id=(as_id, "media.id"),
    parent_id=(as_id, "parent_id"),
    media_type=(as_text, "media.media_product_type"),
    ad_id=(as_id, "media.ad_id"),
    ad_title=(as_text, "media.ad_title"),
    original_media_id=(as_id, "media.original_media_id"),
)
_MENTION: Final = plan(post_id=(as_id, "media_id"), comment_id=(as_id, "comment_id"))
_INSIGHTS: Final = plan(
    media_id=(as_id, "media_id"),
    impressions=(as_whole, "impressions"),
    reach=(as_whole, "reach"),
    replies=(as_whole, "replies"),
    exits=(as_whole, "exits"),
    taps_forward=(as_whole, "taps_forward"),
    taps_back=(as_whole, "taps_back"),
)


def instagram_change(place: Place, change: Json, own: str | None) -> Item:
    """One entry of `changes`."""
    value = as_object(change.get("value"))
    if "sender" in value or "recipient" in value:  # The dashboard's test events (META.md section 5.1).
        return messaging_item(place, value, own, kinds_in(value))
    person, direction = _author(value, own)
    occurred_at_ms = time_ms(value.get("timestamp", value.get("created_time")))
    if place.field in ("comments", "live_comments"):
        comment = as_id(value.get("id"))
        part = read(_COMMENT, value)
        part["live"] = place.field == "live_comments"
        return compose(
            place,
            "comment.created",
            part,
            person=person,
            direction=direction,
            occurred_at_ms=occurred_at_ms,
            native_id=comment,
            discriminator=(),
            message_id=comment,
        )
    comment = as_id(value.get("comment_id"))
    if person is NOBODY and direction == "inbound":
        direction = "system"
    if place.field == "mentions" and value:
        return compose(
            place,
            "mention.received",
            read(_MENTION, value),
            person=person,
            direction=direction,
            occurred_at_ms=occurred_at_ms,
            native_id=comment,
            message_id=comment,
        )
    if place.field == "story_insights" and value:
        return compose(
            place,
            "story.insights_reported",
            read(_INSIGHTS, value),
            person=NOBODY,
            direction="system",
            occurred_at_ms=occurred_at_ms,
        )
    return unknown(
        place,
        person=person,
        direction=direction,
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
