"""Reactions to messages. META.md sections 6 and 8."""

from __future__ import annotations

from typing import Annotated, Literal

from contracts.events.declaration import Family, RetentionClass, Scope
from contracts.events.event import HIDDEN, PERSONAL, PUBLIC, Event, PersonalText, Value


class Reaction(Value):
    """What was done to which message."""

    message_id: Annotated[str, HIDDEN, PERSONAL]
    """Of the message that is reacted to."""
    action: Annotated[Literal["react", "unreact"], PUBLIC]
    emoji: PersonalText = None
    name: PersonalText = None
    """Meta's word for the reaction (love, sad, other, …)."""
    group: PersonalText = None


class ReactionChanged(Event):
    """A reaction to a message was set, replaced or removed."""

    reaction: Reaction


_ANSWERING = Family(
    "answer the person on behalf of the company they wrote to",
    RetentionClass.CONVERSATION,
    Scope.MESSAGING,
    directions=("inbound", "outbound", "system"),
)

TYPES = (
    _ANSWERING.declare(
        "reaction.changed",
        ReactionChanged,
        "page, instagram: `reaction`; whatsapp: `messages[]` and `message_echoes[]` of type `reaction`",
    ),
)
