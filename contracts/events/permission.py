"""What the administrator who connected an app allowed it, profiles, and what Meta detected by itself. META.md sections 7, 8 and 13.

The administrator stands only as an account, by an app-scoped id: never as a person who writes to the company.
"""

from __future__ import annotations

from typing import Annotated, Any

from contracts.events.account import CONNECTING
from contracts.events.declaration import Family, RetentionClass, Scope
from contracts.events.event import HIDDEN, PERSONAL, Event, PersonalText, PublicText, PublicTexts, Value


class Permission(Value):
    """What the app may do."""

    name: PublicText = None
    verb: PublicText = None
    targets: PublicTexts = ()
    """Pages or accounts that it is about."""


class _PermissionChanged(Event):
    permission: Permission


class PermissionGranted(_PermissionChanged):
    """The administrator allowed the app something."""


class PermissionRevoked(_PermissionChanged):
    """The administrator took back what the app may do: consent is withdrawn. META.md section 13."""


class PermissionChanged(_PermissionChanged):
    """Something else about a permission."""


class Profile(Value):
    """What changed in a profile."""

    names: PublicTexts = ()
    """Meta's names of the fields that changed."""
    verb: PublicText = None
    value: Annotated[Any, HIDDEN, PERSONAL] = None
    """The new value, if Meta sends values."""


class ProfileChanged(Event):
    """The administrator's or the Page's profile changed."""

    profile: Profile


class Conversion(Value):
    """What Meta recognised by itself."""

    event: PublicText = None
    name: PublicText = None
    message_id: PersonalText = None
    click_id: PersonalText = None
    currency: PublicText = None
    value: Annotated[float | None, HIDDEN, PERSONAL] = None


class ConversionDetected(Event):
    """Meta took something in a chat for a lead or a purchase, or tracked a click."""

    conversion: Conversion


_MEASURING = Family(
    "show the company which of its ads and chats led to something",
    RetentionClass.ACCOUNT,
    Scope.ACCOUNT,
    directions=("system",),
)

TYPES = (
    CONNECTING.declare(
        "permission.granted", PermissionGranted, "permissions: verb granted, beside `field` or in `value`"
    ),
    CONNECTING.declare(
        "permission.revoked", PermissionRevoked, "permissions: verb revoked, removed, deleted"
    ),
    CONNECTING.declare("permission.changed", PermissionChanged, "permissions: any other verb"),
    CONNECTING.declare(
        "profile.changed",
        ProfileChanged,
        "user: any field; page: fields of the Page's profile; `changed_fields` of any object",
    ),
    _MEASURING.declare(
        "conversion.detected", ConversionDetected, "whatsapp: `automatic_events`, `tracking_events`"
    ),
)
