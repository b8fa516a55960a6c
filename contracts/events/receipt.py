"""What became of the business's messages: dispatched, delivered, read, played, failed. META.md sections 6 and 8.

WhatsApp's status `sent` is `message.dispatched` (Meta's network has it), since `message.sent` says that the business
wrote. `deleted`, `warning` and words not seen yet are `message.status_changed`, with Meta's word in `status`.
"""

from __future__ import annotations

from contracts.events.declaration import Family, RetentionClass, Scope
from contracts.events.event import (
    Event,
    PersonalText,
    PersonalTexts,
    PersonalTime,
    ProviderError,
    PublicFlag,
    PublicText,
    PublicTime,
    Value,
)


class Pricing(Value):
    """What Meta charges for the message."""

    billable: PublicFlag = None
    model: PublicText = None
    """CBP: by conversation, PMP: by message."""
    type: PublicText = None
    category: PublicText = None
    """marketing, utility, authentication, service, …"""


class BillingWindow(Value):
    """The window of 24 hours or so in which Meta counts messages together; not the conversation of `ce_subject`."""

    id: PersonalText = None
    origin: PublicText = None
    expires_at_ms: PersonalTime = None


class Receipt(Value):
    """Which messages, and what about them. Either ids or a watermark, or both."""

    message_ids: PersonalTexts = ()
    watermark_ms: PublicTime = None
    """Everything sent up to this time (Unix milliseconds)."""
    status: PublicText = None
    """WhatsApp's own word."""
    errors: tuple[ProviderError, ...] = ()
    group: PersonalText = None
    """The group the message went to; the person is then the participant."""
    pricing: Pricing | None = None
    window: BillingWindow | None = None
    callback_data: PersonalText = None
    """What the business attached when it sent the message: could be anything (META.md section 10)."""


class _Reported(Event):
    receipt: Receipt


class MessageDispatched(_Reported):
    """Meta's network accepted the message (WhatsApp `sent`)."""


class MessageDelivered(_Reported):
    """It reached the person's device."""


class MessageRead(_Reported):
    """It was read by the person; outbound: by the business."""


class MessagePlayed(_Reported):
    """A voice message was played."""


class MessageFailed(_Reported):
    """It will not arrive; `errors` say why."""


class MessageStatusChanged(_Reported):
    """Any other status of WhatsApp's."""


class Report(Value):
    """What went wrong."""

    error: ProviderError
    concerns: PublicText = None
    """What it was reported with: messages, calls, history, …"""


class ErrorReported(Event):
    """Meta could not process something for the account as a whole, not one message."""

    report: Report


_DELIVERY = Family(
    "show the company whether its messages arrive and correct those that do not",
    RetentionClass.DELIVERY,
    Scope.MESSAGING,
    directions=("system",),
)

TYPES = (
    _DELIVERY.declare("message.dispatched", MessageDispatched, "whatsapp `messages`: `statuses[]` sent"),
    _DELIVERY.declare(
        "message.delivered",
        MessageDelivered,
        "page: `delivery` by `mids` or `watermark`; whatsapp: `statuses[]` delivered",
    ),
    _DELIVERY.declare(
        "message.read",
        MessageRead,
        "page: `read` by `watermark`; instagram: `read` by `mid`; whatsapp: `statuses[]` read",
        directions=("inbound", "outbound", "system"),
    ),
    _DELIVERY.declare(
        "message.played", MessagePlayed, "whatsapp: `statuses[]` played", directions=("inbound",)
    ),
    _DELIVERY.declare("message.failed", MessageFailed, "whatsapp: `statuses[]` failed"),
    _DELIVERY.declare(
        "message.status_changed", MessageStatusChanged, "whatsapp: `statuses[]` with any other word"
    ),
    _DELIVERY.declare(
        "error.reported", ErrorReported, "whatsapp: `errors[]` of a value of `messages`, `calls`, `groups`"
    ),
)
