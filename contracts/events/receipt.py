"""What became of the business's messages: dispatched, delivered, read, played, failed. META.md sections 6 and 8.

WhatsApp's status `sent` is `message.dispatched` (Meta's network has it), since `message.sent` says that the business
wrote. `deleted`, `warning` and words not seen yet are `message.status_changed`, with Meta's word in `status`.
"""

from __future__ import annotations

from pydantic import Field

from contracts.events.event import Event, Value


class ProviderError(Value):
    """Why Meta could not deliver."""

    code: int | None = None
    title: str | None = None


class Receipt(Value):
    """Which messages, and what about them. Either ids or a watermark, or both."""

    message_ids: tuple[str, ...] = Field(default=(), repr=False)
    watermark_ms: int | None = None
    """Everything sent up to this time (Unix milliseconds)."""
    status: str | None = None
    """WhatsApp's own word."""
    errors: tuple[ProviderError, ...] = ()
    group: str | None = Field(default=None, repr=False)
    """The group the message went to; the person is then the participant."""


class _Reported(Event):
    receipt: Receipt


class MessageDispatched(_Reported):
    """Meta's network accepted the message (WhatsApp `sent`)."""


class MessageDelivered(_Reported):
    """It reached the person's device."""


class MessageRead(_Reported):
    """It was read."""


class MessagePlayed(_Reported):
    """A voice message was played."""


class MessageFailed(_Reported):
    """It will not arrive; `errors` say why."""


class MessageStatusChanged(_Reported):
    """Any other status of WhatsApp's."""
