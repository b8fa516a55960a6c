"""Partners with access to the company's accounts, its own numbers, their security. META.md sections 5.2, 8 and 13."""

from __future__ import annotations

from contracts.events.account import CONNECTING
from contracts.events.event import Event, PersonalText, PublicText, PublicTexts, Value


class Partner(Value):
    """A solution partner or its app, and the customer's account."""

    waba: PublicText = None
    """The customer's account, which this event belongs to."""
    business: PublicText = None
    app: PublicText = None
    solution: PublicText = None
    partners: PublicTexts = ()
    """Business ids of the solution's partners."""
    reason: PublicText = None
    """Why it was disconnected."""
    initiated_by: PublicText = None
    status: PublicText = None
    rejection_reasons: PublicTexts = ()
    event: PublicText = None


class _PartnerChanged(Event):
    partner: Partner


class PartnerAdded(_PartnerChanged):
    """The business gave a partner access to its account."""


class PartnerRemoved(_PartnerChanged):
    """A partner lost access: the company's deletion clock starts. META.md section 13."""


class PartnerAppInstalled(_PartnerChanged):
    """A partner's app was installed for the account."""


class PartnerAppUninstalled(_PartnerChanged):
    """A partner's app was removed: the company's deletion clock starts. META.md section 13."""


class PartnerCertificationChanged(_PartnerChanged):
    """Meta decided on a client's certification."""


class PartnerSolutionChanged(_PartnerChanged):
    """A partners' solution was created or changed."""


class PhoneNumber(Value):
    """One of the business's own numbers."""

    phone: PublicText = None
    decision: PublicText = None
    name: PublicText = None
    """The name that was asked for."""
    reason: PublicText = None
    event: PublicText = None
    limit: PublicText = None
    """How many people the number may write to in a day, as a tier."""
    previous_limit: PublicText = None
    username: PublicText = None
    status: PublicText = None


class _NumberChanged(Event):
    number: PhoneNumber


class PhoneNumberNameReviewed(_NumberChanged):
    """Meta decided on the name that a number shows."""


class PhoneNumberQualityChanged(_NumberChanged):
    """The quality or the limit of a number changed."""


class PhoneNumberUsernameChanged(_NumberChanged):
    """The business's username was reserved, approved or taken away."""


class Security(Value):
    """What was done to the number's PIN."""

    phone: PublicText = None
    event: PublicText = None
    requester: PersonalText = None
    """The administrator who asked for it."""


class SecurityChanged(Event):
    """The two-step verification of a number changed, or a change was asked for."""

    security: Security


TYPES = (
    CONNECTING.declare("partner.added", PartnerAdded, "whatsapp: `account_update` PARTNER_ADDED"),
    CONNECTING.declare("partner.removed", PartnerRemoved, "whatsapp: `account_update` PARTNER_REMOVED"),
    CONNECTING.declare(
        "partner.app_installed", PartnerAppInstalled, "whatsapp: `account_update` PARTNER_APP_INSTALLED"
    ),
    CONNECTING.declare(
        "partner.app_uninstalled", PartnerAppUninstalled, "whatsapp: `account_update` PARTNER_APP_UNINSTALLED"
    ),
    CONNECTING.declare(
        "partner.certification_changed",
        PartnerCertificationChanged,
        "whatsapp: `account_update` PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE",
    ),
    CONNECTING.declare("partner.solution_changed", PartnerSolutionChanged, "whatsapp: `partner_solutions`"),
    CONNECTING.declare(
        "phone_number.name_reviewed", PhoneNumberNameReviewed, "whatsapp: `phone_number_name_update`"
    ),
    CONNECTING.declare(
        "phone_number.quality_changed", PhoneNumberQualityChanged, "whatsapp: `phone_number_quality_update`"
    ),
    CONNECTING.declare(
        "phone_number.username_changed",
        PhoneNumberUsernameChanged,
        "whatsapp: `business_username_update`, `business_username_updates`, `phone_number_username_update`",
    ),
    CONNECTING.declare("security.changed", SecurityChanged, "whatsapp: `security`"),
)
