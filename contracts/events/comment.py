"""Public comments on Instagram media and Page posts. META.md section 7."""

from __future__ import annotations

from pydantic import Field

from contracts.events.event import Event, Value


class Comment(Value):
    """A comment, as far as the notice tells."""

    id: str = Field(repr=False)
    text: str | None = Field(default=None, repr=False)
    post_id: str | None = Field(default=None, repr=False)
    """The post or the media object that it stands under."""
    parent_id: str | None = Field(default=None, repr=False)
    """The comment that it answers, or the post again."""
    live: bool = False
    """Made during a live broadcast on Instagram."""


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
