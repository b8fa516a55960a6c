"""What every event's `data` says beside its typed part: who, which account, and what Meta really sent.

The value is sealed, so ids stand plain here; headers and keys carry pseudonyms only. Never used for routing.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field


class Privacy(Enum):
    """Every field of an event says which it is, or names a model whose fields do; else the build fails.

    Personal is what can name, locate or quote a person, or is a bearer secret (a link, a token). It covers everything
    under it and never stands in a repr.
    """

    PERSONAL = "personal"
    PUBLIC = "public"


PERSONAL: Final = Privacy.PERSONAL
PUBLIC: Final = Privacy.PUBLIC
HIDDEN: Final = Field(repr=False)
"""Goes with PERSONAL."""

PersonalText = Annotated[str | None, HIDDEN, PERSONAL]
PersonalTexts = Annotated[tuple[str, ...], HIDDEN, PERSONAL]
PersonalTime = Annotated[int | None, HIDDEN, PERSONAL]
"""Unix milliseconds of something in a person's life."""
PublicText = Annotated[str | None, PUBLIC]
PublicTexts = Annotated[tuple[str, ...], PUBLIC]
PublicNumber = Annotated[int | None, PUBLIC]
PublicFlag = Annotated[bool | None, PUBLIC]
PublicTime = Annotated[int | None, PUBLIC]
"""Unix milliseconds."""


class Value(BaseModel):
    """A frozen value of an event. Unknown names are ignored, so that readers survive additions."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Account(Value):
    """The connected account by the id that Meta used. META.md section 5.2."""

    kind: Annotated[Literal["page", "instagram", "waba", "phone_number_id", "app_scoped_user"], PUBLIC]
    id: Annotated[str, PUBLIC]
    waba: PublicText = None
    """For a phone number: the WhatsApp Business Account that the delivery named as its owner."""


class Person(Value):
    """The one person whom the event is about, by every id that the delivery gave. META.md section 9."""

    bsuid: PersonalText = None
    parent_bsuid: PersonalText = None
    phone: PersonalText = None
    """Digits only; a Brazilian mobile in its form with the ninth digit."""
    psid: PersonalText = None
    igsid: PersonalText = None
    name: PersonalText = None
    username: PersonalText = None


class Event(Value):
    """The root of every event's `data`."""

    direction: Annotated[Literal["inbound", "outbound", "system"], PUBLIC]
    """Who acted: the person, the business, or Meta; `system` also where Meta does not say."""
    account: Account | None
    person: Annotated[Person | None, HIDDEN, PERSONAL]
    """None: the event names nobody, or several people."""
    standby: Annotated[bool, PUBLIC] = False
    """Another app owns the conversation: this account only listens (META.md section 6)."""
    fragment: Annotated[Any, HIDDEN, PERSONAL]
    """The item of the delivery exactly as Meta sent it. No field is ever lost (DESIGN.md section 5)."""
    envelope: Annotated[dict[str, Any], HIDDEN, PERSONAL]
    """What surrounded the fragment: `object`, `entry` (id, time), `channel`, `field`, `value`, `contacts`, …"""


class Attachment(Value):
    """A file, link, sticker or place. URLs are bearer links that expire: never logged (META.md section 14)."""

    type: PublicText = None
    """Meta's own word: image, video, audio, file, document, sticker, location, story_mention, …"""
    id: PersonalText = None
    url: PersonalText = None
    mime_type: PublicText = None
    name: PersonalText = None
    caption: PersonalText = None
    sha256: PersonalText = None
    """Of the file, base64, where Meta sends it: the same file can be recognised by it."""
    voice: PublicFlag = None
    """A recording made in the chat."""
    animated: PublicFlag = None


class ProviderError(Value):
    """What Meta says went wrong."""

    code: PublicNumber = None
    title: PublicText = None
    details: PersonalText = None
    """Free text: it may quote what was sent."""
    help_url: PublicText = None


class Referral(Value):
    """The ad, link, post or search that brought the person. META.md sections 6 and 8."""

    ref: PersonalText = None
    """What the business put into its own link."""
    source: PublicText = None
    """Meta's word: ADS, SHORTLINK, CUSTOMER_CHAT_PLUGIN, … or for WhatsApp ad, post."""
    type: PublicText = None
    source_id: PersonalText = None
    """The ad or post."""
    source_url: PersonalText = None
    headline: PersonalText = None
    body: PersonalText = None
    media_type: PublicText = None
    media_url: PersonalText = None
    click_id: PersonalText = None
    """Names this person's click (`ctwa_clid`): personal (META.md section 10)."""
    origin: PersonalText = None
    """The page or domain where the chat was opened."""
