"""What becomes known about a person: changed ids, wishes, the address book. META.md sections 8 and 9."""

from __future__ import annotations

from contracts.events.content import IdentityKey
from contracts.events.declaration import Family, Moment, RetentionClass, Scope, Subject
from contracts.events.event import Event, PersonalText, PublicText, Value


class Identity(Value):
    """Ids of one person, old and new. Which is which is known only where Meta says so."""

    change: PublicText = None
    """phone, user_id, or Meta's own word."""
    previous_bsuid: PersonalText = None
    bsuid: PersonalText = None
    previous_parent_bsuid: PersonalText = None
    parent_bsuid: PersonalText = None
    previous_phone: PersonalText = None
    phone: PersonalText = None
    notice: PersonalText = None
    """Meta's sentence about it: it may name old and new numbers."""


class IdentityChanged(Event):
    """A person has a new number or id: old and new are one person, and erasing by either erases both."""

    identity: Identity


class IdentityKeyChange(Value):
    """The key of the person's device."""

    key: IdentityKey | None = None
    notice: PersonalText = None


class IdentityKeyChanged(Event):
    """A person's device has a new key: it may be another phone, or another person."""

    identity_key: IdentityKeyChange


class Preference(Value):
    """What the person wants."""

    value: PublicText = None
    """stop, resume, signup, …"""
    category: PublicText = None
    """marketing_messages, …"""
    detail: PersonalText = None
    signup: PersonalText = None


class PreferenceChanged(Event):
    """A person stopped or resumed marketing messages: the consent ledger must follow."""

    preference: Preference


class BookEntry(Value):
    """One entry of the address book of the business's phone."""

    action: PublicText = None
    """add, edit, remove."""
    full_name: PersonalText = None
    first_name: PersonalText = None
    phone: PersonalText = None
    username: PersonalText = None


class ContactBookChanged(Event):
    """The business added, changed or removed a person in the address book of its app."""

    entry: BookEntry


class Contact(Value):
    """Who Meta named."""

    name: PersonalText = None
    username: PersonalText = None


class ContactReported(Event):
    """Meta named a person beside items that are not theirs, or without any."""

    contact: Contact


class SystemNotice(Value):
    """What WhatsApp shows in the chat."""

    type: PublicText = None
    notice: PersonalText = None


class SystemNoticeReceived(Event):
    """WhatsApp shows a notice in the chat."""

    system_notice: SystemNotice


_KNOWING = Family(
    "recognise the person under every id, so that they are answered once and erased whole",
    RetentionClass.CONVERSATION,
    Scope.MESSAGING,
    directions=("system",),
)
_RESPECTING = Family(
    "respect what the person agreed to and refused",
    RetentionClass.CONVERSATION,
    Scope.MESSAGING,
    legal_basis=_KNOWING.legal_basis,
)

TYPES = (
    _KNOWING.declare(
        "identity.changed",
        IdentityChanged,
        "whatsapp: `user_id_update[]`; `messages[]` system user_changed_number, user_changed_user_id",
        subject=Subject.CHANGED,
    ),
    _KNOWING.declare(
        "identity.key_changed",
        IdentityKeyChanged,
        "whatsapp: `messages[]` system customer_identity_changed",
    ),
    _RESPECTING.declare(
        "preference.changed", PreferenceChanged, "whatsapp: `user_preferences[]`", opens=True
    ),
    _KNOWING.declare(
        "contact_book.changed",
        ContactBookChanged,
        "whatsapp `smb_app_state_sync`: `state_sync[]`",
        subject=Subject.ENTRY,
    ),
    _KNOWING.declare(
        "contact.reported",
        ContactReported,
        "whatsapp: an entry of `contacts[]` that belongs to no other item",
        occurred_at=Moment.UNDATED,
    ),
    _KNOWING.declare(
        "system_notice.received", SystemNoticeReceived, "whatsapp: `messages[]` system of any other type"
    ),
)
