"""Postbacks: a person tapped a button, a menu entry or an ice-breaker. META.md section 6."""

from __future__ import annotations

from pydantic import Field

from contracts.events.event import Event, Value


class Postback(Value):
    """What was tapped."""

    message_id: str | None = Field(default=None, repr=False)
    """Of the postback itself; Meta sends it since v11."""
    title: str | None = Field(default=None, repr=False)
    payload: str | None = Field(default=None, repr=False)
    ref: str | None = Field(default=None, repr=False)
    """The `ref` of the link or ad that brought the person."""


class PostbackReceived(Event):
    """A person tapped something the business offered."""

    postback: Postback
