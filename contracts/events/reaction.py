"""Reactions to messages. META.md sections 6 and 8."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.events.event import Event, Value


class Reaction(Value):
    """What was done to which message."""

    message_id: str = Field(repr=False)
    """Of the message that is reacted to."""
    action: Literal["react", "unreact"]
    emoji: str | None = Field(default=None, repr=False)
    name: str | None = Field(default=None, repr=False)
    """Meta's word for the reaction (love, sad, other, …)."""


class ReactionChanged(Event):
    """A reaction was set, replaced or removed."""

    reaction: Reaction
