"""WhatsApp calls. META.md section 8."""

from __future__ import annotations

from typing import Annotated

from contracts.events.declaration import Family, RetentionClass, Scope
from contracts.events.event import (
    HIDDEN,
    PERSONAL,
    Attachment,
    Event,
    PersonalText,
    PersonalTime,
    ProviderError,
    PublicText,
    Value,
)


class Call(Value):
    """One call, as far as the notice tells."""

    id: PersonalText = None
    initiated_by: PublicText = None
    """person or business; None if the notice does not say."""
    status: PublicText = None
    """Meta's word: RINGING, ACCEPTED, REJECTED, COMPLETED, FAILED, …"""
    started_at_ms: PersonalTime = None
    ended_at_ms: PersonalTime = None
    duration_s: Annotated[int | None, HIDDEN, PERSONAL] = None
    session_type: PublicText = None
    """Of the session description: offer or answer."""
    session: PersonalText = None
    """The session description (RFC 8866): it has network addresses."""
    payload: PersonalText = None
    """What stood behind the button or link that began the call."""
    callback_data: PersonalText = None
    recording: Attachment | None = None
    transcript: Attachment | None = None
    errors: tuple[ProviderError, ...] = ()


class _Called(Event):
    call: Call


class CallStarted(_Called):
    """A call is being set up, by either side."""


class CallEnded(_Called):
    """A call is over, or never came about."""


class CallStatusChanged(_Called):
    """The person's phone rings, or they accepted or rejected the call."""


class CallRecorded(_Called):
    """The recording of a call can be fetched."""


class CallTranscribed(_Called):
    """The transcript of a call can be fetched."""


class CallChanged(_Called):
    """Something else about a call."""


_CALLING = Family(
    "let the person and the company talk to each other",
    RetentionClass.CONVERSATION,
    Scope.MESSAGING,
    directions=("inbound", "outbound", "system"),
)

TYPES = (
    _CALLING.declare(
        "call.started",
        CallStarted,
        "whatsapp `calls`: `calls[]` connect",
        opens=True,
        directions=("inbound", "outbound"),
    ),
    _CALLING.declare("call.ended", CallEnded, "whatsapp `calls`: `calls[]` terminate"),
    _CALLING.declare(
        "call.status_changed",
        CallStatusChanged,
        "whatsapp `calls`: `statuses[]`, and `calls[]` CALL_STATUS",
        directions=("system",),
    ),
    _CALLING.declare(
        "call.recorded",
        CallRecorded,
        "whatsapp `calls`: call_recording_available",
        directions=("system",),
    ),
    _CALLING.declare(
        "call.transcribed",
        CallTranscribed,
        "whatsapp `calls`: call_transcription_available",
        directions=("system",),
    ),
    _CALLING.declare("call.changed", CallChanged, "whatsapp `calls`: any other event"),
)
