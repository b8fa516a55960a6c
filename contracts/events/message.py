"""Messages: received from a person, sent by the business, edited, taken back. META.md sections 6 and 8."""

from __future__ import annotations

from pydantic import Field

from contracts.events.event import Attachment, Event, Value


class Message(Value):
    """The content of one message."""

    id: str | None = Field(default=None, repr=False)
    """Meta's message id: personal data (META.md section 10)."""
    type: str | None = None
    """WhatsApp's `type`; for Messenger and Instagram `text`, `attachment`, `quick_reply` or `unsupported`."""
    text: str | None = Field(default=None, repr=False)
    attachments: tuple[Attachment, ...] = Field(default=(), repr=False)
    payload: str | None = Field(default=None, repr=False)
    """What the business hid behind the button or quick reply that the person tapped."""
    reply_to: str | None = Field(default=None, repr=False)
    """The id of the message that this one answers."""
    group: str | None = Field(default=None, repr=False)


class MessageReceived(Event):
    """A person wrote."""

    message: Message


class MessageSent(Event):
    """The business wrote, here or from another app (an echo)."""

    message: Message


class Edit(Value):
    """The new content; a text that is None was not sent and must not replace a stored one."""

    message_id: str = Field(repr=False)
    """Of the message that was edited."""
    number: int | None = None
    """How often it has been edited, where Meta says so."""
    text: str | None = Field(default=None, repr=False)
    attachments: tuple[Attachment, ...] = Field(default=(), repr=False)


class MessageEdited(Event):
    """A message has new content."""

    edit: Edit


class Unsend(Value):
    """Which message was taken back."""

    message_id: str = Field(repr=False)
    """Of the message that was taken back, not of the notice."""


class MessageUnsent(Event):
    """A message was taken back by its author: every copy must go. META.md section 13."""

    unsend: Unsend
