"""Public comments on Instagram media and Page posts. META.md section 7."""

from __future__ import annotations

from typing import Annotated

from contracts.events.declaration import Family, LegalBasis, Moment, RetentionClass, Scope, Subject
from contracts.events.event import HIDDEN, PERSONAL, PUBLIC, Event, PersonalText, PublicText, Value

MODERATING = Family(
    "let the company answer and moderate comments on what it published",
    RetentionClass.PUBLIC_COMMENT,
    Scope.COMMENTS,
    LegalBasis.LEGITIMATE_INTEREST,
    subject=Subject.AUTHOR,
    occurred_at=Moment.NEW_ONLY,
    directions=("inbound", "outbound", "system"),
)


class Comment(Value):
    """A comment, as far as the notice tells."""

    id: Annotated[str, HIDDEN, PERSONAL]
    text: PersonalText = None
    post_id: PersonalText = None
    """The post or the media object that it stands under."""
    parent_id: PersonalText = None
    """The comment that it answers, or the post again."""
    live: Annotated[bool, PUBLIC] = False
    """Made during a live broadcast on Instagram."""
    verb: PublicText = None
    """Meta's own word for what happened to a Page's comment."""
    media_type: PublicText = None
    """Instagram's product: FEED, REELS, AD, …"""
    ad_id: PublicText = None
    ad_title: PublicText = None
    original_media_id: PublicText = None


class _Commented(Event):
    comment: Comment


class CommentCreated(_Commented):
    """Somebody commented; outbound if it was the account itself."""


class CommentEdited(_Commented):
    """The text changed."""


class CommentRemoved(_Commented):
    """The comment is gone: every copy must go. META.md section 13."""


class CommentHidden(_Commented):
    """The Page hid the comment."""


class CommentUnhidden(_Commented):
    """The Page showed the comment again."""


class CommentChanged(_Commented):
    """Something else was done to a comment; `verb` says what."""


TYPES = (
    MODERATING.declare(
        "comment.created",
        CommentCreated,
        "page `feed`, `ratings`: item comment, verb add; instagram: `comments`, `live_comments`",
        opens=True,
    ),
    MODERATING.declare("comment.edited", CommentEdited, "page: item comment, verb edit, edited"),
    MODERATING.declare("comment.removed", CommentRemoved, "page: item comment, verb remove"),
    MODERATING.declare("comment.hidden", CommentHidden, "page: item comment, verb hide"),
    MODERATING.declare("comment.unhidden", CommentUnhidden, "page: item comment, verb unhide"),
    MODERATING.declare("comment.changed", CommentChanged, "page: item comment, any other verb"),
)
