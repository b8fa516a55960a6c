"""What every event's `data` says beside its typed part: who, which account, and what Meta really sent.

The value is sealed, so ids stand plain here; headers and keys carry pseudonyms only. Never used for routing.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Value(BaseModel):
    """A frozen value of an event. Unknown names are ignored, so that readers survive additions."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Account(Value):
    """The connected account by the id that Meta used. META.md section 5.2."""

    kind: Literal["page", "instagram", "waba", "phone_number_id", "app_scoped_user"]
    id: str
    waba: str | None = None
    """For a phone number: the WhatsApp Business Account that the delivery named as its owner."""


class Person(Value):
    """The one person whom the event is about, by every id that the delivery gave. META.md section 9."""

    bsuid: str | None = Field(default=None, repr=False)
    parent_bsuid: str | None = Field(default=None, repr=False)
    phone: str | None = Field(default=None, repr=False)
    """Digits only; a Brazilian mobile in its form with the ninth digit."""
    psid: str | None = Field(default=None, repr=False)
    igsid: str | None = Field(default=None, repr=False)
    name: str | None = Field(default=None, repr=False)
    username: str | None = Field(default=None, repr=False)


class Event(Value):
    """The root of every event's `data`."""

    direction: Literal["inbound", "outbound", "system"]
    """Who acted: the person, the business, or Meta."""
    account: Account | None
    person: Person | None
    """None: the event names nobody, or several people."""
    fragment: Any = Field(repr=False)
    """The item of the delivery exactly as Meta sent it. No field is ever lost (DESIGN.md section 5)."""
    envelope: dict[str, Any] = Field(repr=False)
    """What surrounded the fragment: `object`, `entry` (id, time), `channel`, `field`, `value`, `contacts`, …"""


class Attachment(Value):
    """A file, link, sticker or place. URLs are bearer links that expire: never logged (META.md section 14)."""

    type: str | None = None
    """Meta's own word: image, video, audio, file, document, sticker, location, story_mention, …"""
    id: str | None = Field(default=None, repr=False)
    url: str | None = Field(default=None, repr=False)
    mime_type: str | None = None
    name: str | None = Field(default=None, repr=False)
