"""Public posts, reactions to them, mentions, ratings, leads and figures of stories. META.md section 7."""

from __future__ import annotations

from typing import Annotated

from contracts.events.comment import MODERATING
from contracts.events.declaration import Family, Moment, RetentionClass, Scope, Subject
from contracts.events.event import (
    HIDDEN,
    PERSONAL,
    Event,
    PersonalText,
    PersonalTexts,
    PublicFlag,
    PublicNumber,
    PublicText,
    Value,
)


class Post(Value):
    """Something on a Page, as far as the notice tells."""

    id: PersonalText = None
    kind: PublicText = None
    """Meta's word: post, status, photo, video, album, share, event, note, link, …"""
    verb: PublicText = None
    """Meta's own word for what happened."""
    text: PersonalText = None
    link: PersonalText = None
    media_id: PersonalText = None
    """Of the photo, video, album, share or event."""
    photos: PersonalTexts = ()
    published: PublicFlag = None


class _Posted(Event):
    post: Post


class PostPublished(_Posted):
    """Something was posted on the Page, by the Page or a visitor."""


class PostEdited(_Posted):
    """The text or media of a post changed."""


class PostRemoved(_Posted):
    """A post is gone: every copy must go. META.md section 13."""


class PostHidden(_Posted):
    """The Page hid a post."""


class PostUnhidden(_Posted):
    """The Page showed a post again."""


class PostChanged(_Posted):
    """Something else was done to a post (mute, block, …); `verb` says what."""


class PostReaction(Value):
    """Who likes what is in `person`."""

    post_id: PersonalText = None
    comment_id: PersonalText = None
    """Set if it is a comment that is reacted to."""
    parent_id: PersonalText = None
    reaction: PersonalText = None
    """like, love, wow, haha, sad, angry, care."""
    verb: PublicText = None
    """add, edit, remove."""


class PostReactionChanged(Event):
    """A reaction to a post or comment was set, replaced or removed."""

    post_reaction: PostReaction


class Mention(Value):
    """Where the account is mentioned."""

    post_id: PersonalText = None
    """The post or Instagram media object."""
    comment_id: PersonalText = None
    kind: PublicText = None
    verb: PublicText = None
    text: PersonalText = None


class _Mentioned(Event):
    mention: Mention


class MentionReceived(_Mentioned):
    """Somebody mentioned the account in a post, media object or comment."""


class MentionEdited(_Mentioned):
    """A text with a mention changed."""


class MentionRemoved(_Mentioned):
    """A text with a mention is gone: every copy must go. META.md section 13."""


class Rating(Value):
    """A review of the Page."""

    id: PersonalText = None
    """Of its story."""
    stars: Annotated[int | None, HIDDEN, PERSONAL] = None
    """1 to 5; older reviews only."""
    recommendation: PersonalText = None
    """POSITIVE or NEGATIVE."""
    text: PersonalText = None


class _Rated(Event):
    rating: Rating


class RatingCreated(_Rated):
    """Somebody reviewed the Page."""


class RatingEdited(_Rated):
    """A review changed."""


class RatingRemoved(_Rated):
    """A review is gone: every copy must go. META.md section 13."""


class Insights(Value):
    """Figures of a story at its end. Below 5 people Meta says -1."""

    media_id: PublicText = None
    impressions: PublicNumber = None
    reach: PublicNumber = None
    replies: PublicNumber = None
    exits: PublicNumber = None
    taps_forward: PublicNumber = None
    taps_back: PublicNumber = None


class StoryInsightsReported(Event):
    """The figures of a story that expired."""

    insights: Insights


class Lead(Value):
    """Which form was filled in; what it says must be fetched from Meta."""

    id: PersonalText = None
    form_id: PublicText = None
    ad_id: PublicText = None
    ad_group_id: PublicText = None
    page_id: PublicText = None


class LeadReceived(Event):
    """Somebody filled in a form of the company's ad."""

    lead: Lead


_ITEMS = "page `feed`: item post, status, photo, video, album, share, event, …"
_INSIGHT = Family(
    "show the company how what it published did",
    RetentionClass.PUBLIC_COMMENT,
    Scope.COMMENTS,
    subject=Subject.NOBODY,
    occurred_at=Moment.VALUE,
    directions=("system",),
)
_LEADING = Family(
    "let the company answer people who asked it for contact",
    RetentionClass.ACCOUNT,
    Scope.ACCOUNT,
    subject=Subject.AUTHOR,
    occurred_at=Moment.NEW_ONLY,
    directions=("inbound", "outbound", "system"),
)

TYPES = (
    MODERATING.declare("post.published", PostPublished, f"{_ITEMS}, verb add", opens=True),
    MODERATING.declare("post.edited", PostEdited, f"{_ITEMS}, verb edit, edited"),
    MODERATING.declare("post.removed", PostRemoved, f"{_ITEMS}, verb remove"),
    MODERATING.declare("post.hidden", PostHidden, f"{_ITEMS}, verb hide"),
    MODERATING.declare("post.unhidden", PostUnhidden, f"{_ITEMS}, verb unhide"),
    MODERATING.declare("post.changed", PostChanged, f"{_ITEMS}, any other verb"),
    MODERATING.declare(
        "post.reaction_changed", PostReactionChanged, "page `feed`, `ratings`: item reaction, like"
    ),
    MODERATING.declare(
        "mention.received",
        MentionReceived,
        "page: `mention`, verb add; instagram: `mentions`",
        opens=True,
    ),
    MODERATING.declare("mention.edited", MentionEdited, "page: `mention`, verb edit, edited"),
    MODERATING.declare("mention.removed", MentionRemoved, "page: `mention`, verb remove"),
    MODERATING.declare("rating.created", RatingCreated, "page `ratings`: item rating, verb add", opens=True),
    MODERATING.declare("rating.edited", RatingEdited, "page `ratings`: item rating, verb edit, edited"),
    MODERATING.declare("rating.removed", RatingRemoved, "page `ratings`: item rating, verb remove"),
    _INSIGHT.declare("story.insights_reported", StoryInsightsReported, "instagram: `story_insights`"),
    _LEADING.declare("lead.received", LeadReceived, "page: `leadgen`"),
)
