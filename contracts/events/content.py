"""What a message can hold beside text and files. META.md sections 6, 8 and 10."""

from __future__ import annotations

from typing import Annotated

from contracts.events.event import (
    HIDDEN,
    PERSONAL,
    PersonalText,
    PersonalTexts,
    PersonalTime,
    PublicFlag,
    PublicNumber,
    PublicText,
    Value,
)


class Location(Value):
    """A place."""

    latitude: Annotated[float | None, HIDDEN, PERSONAL] = None
    """Degrees."""
    longitude: Annotated[float | None, HIDDEN, PERSONAL] = None
    """Degrees."""
    name: PersonalText = None
    address: PersonalText = None
    url: PersonalText = None


class ContactCard(Value):
    """A card that the person passed on: somebody else's data (META.md section 10). The whole card is in the fragment."""

    name: PersonalText = None
    phones: PersonalTexts = ()
    whatsapp_ids: PersonalTexts = ()
    emails: PersonalTexts = ()
    organisation: PersonalText = None
    birthday: PersonalText = None
    vcard: PersonalText = None


class InteractiveReply(Value):
    """What the person chose or filled in."""

    type: PublicText = None
    """Meta's word: button_reply, list_reply, nfm_reply, call_permission_reply, payment_method, …"""
    id: PersonalText = None
    title: PersonalText = None
    description: PersonalText = None
    form: PersonalText = None
    """The filled form as JSON in a string: anything the business asked (META.md section 10)."""
    form_name: PublicText = None
    permission: PublicText = None
    """The answer to a request to call: accept, reject."""
    permission_until_ms: PersonalTime = None
    """Until when the business may call (Unix milliseconds)."""
    permission_is_permanent: PublicFlag = None
    permission_by: PublicText = None
    """user_action, or automatic."""
    payment_method: PersonalText = None
    payment_status: PublicText = None
    reference: PersonalText = None


class OrderLine(Value):
    """One line of an order."""

    product: PersonalText = None
    quantity: Annotated[float | None, HIDDEN, PERSONAL] = None
    price: Annotated[float | None, HIDDEN, PERSONAL] = None
    """Of one, in units of the currency."""
    currency: PublicText = None


class Order(Value):
    """What the person wants to buy from the business's catalogue."""

    catalogue: PublicText = None
    text: PersonalText = None
    lines: tuple[OrderLine, ...] = ()


class Product(Value):
    """A product of the business's catalogue."""

    catalogue: PublicText = None
    product: PersonalText = None


class Story(Value):
    """An Instagram story. The link dies with it: META.md sections 13 and 14."""

    id: PersonalText = None
    url: PersonalText = None


class IdentityKey(Value):
    """WhatsApp's key of the person's device, for businesses that check it."""

    hash: PersonalText = None
    acknowledged: PublicFlag = None
    created_at_ms: PersonalTime = None
    """Unix milliseconds."""


class Money(Value):
    """An amount."""

    amount: Annotated[str | None, HIDDEN, PERSONAL] = None
    """As Meta wrote it, in units of the currency unless there is an offset."""
    offset: PublicNumber = None
    """The amount is to be divided by this."""
    currency: PublicText = None
