"""What Meta decides about the company's accounts. META.md sections 5.2, 8 and 13. About nobody outside the company."""

from __future__ import annotations

from contracts.events.declaration import Family, Moment, RetentionClass, Scope, Subject
from contracts.events.event import Event, PublicNumber, PublicText, PublicTime, Value


class Restriction(Value):
    """One thing that the account may not do."""

    type: PublicText = None
    until_ms: PublicTime = None
    """Unix milliseconds; None: not said."""


class AccountChange(Value):
    """What changed; which fields are set depends on what happened."""

    phone: PublicText = None
    """The business's own number, where Meta names one."""
    restrictions: tuple[Restriction, ...] = ()
    violation: PublicText = None
    ban_state: PublicText = None
    ban_date: PublicText = None
    """As Meta writes it."""
    ad_account: PublicText = None
    business: PublicText = None
    """The id of the business that owns the account."""
    country: PublicText = None
    tier: PublicText = None
    """A range of messages, with the fields below."""
    tier_category: PublicText = None
    tier_region: PublicText = None
    tier_month: PublicText = None
    eligible_from_ms: PublicTime = None
    """For international authentication prices."""
    decision: PublicText = None
    """Of a review."""
    severity: PublicText = None
    alert_type: PublicText = None
    alert_status: PublicText = None
    alert_text: PublicText = None
    entity_type: PublicText = None
    entity_id: PublicText = None
    setting: PublicText = None
    """What kind of setting changed; the settings themselves are in the fragment."""
    calling: PublicText = None
    """Whether calls are on: ENABLED or DISABLED."""
    conversations_per_day: PublicNumber = None
    messaging_limit: PublicText = None
    phone_numbers: PublicNumber = None
    """How many numbers the account may have."""
    event: PublicText = None
    """Meta's own word."""


class _AccountChanged(Event):
    change: AccountChange


class AccountDeleted(_AccountChanged):
    """The account is gone: the company's deletion clock starts. META.md section 13."""


class AccountOffboarded(_AccountChanged):
    """The account left this platform: the company's deletion clock starts. META.md section 13."""


class AccountReconnected(_AccountChanged):
    """The account came back to this platform."""


class AccountRestricted(_AccountChanged):
    """Meta forbids the account something for a while."""


class AccountViolationReported(_AccountChanged):
    """Meta found that the account broke a policy."""


class AccountBanChanged(_AccountChanged):
    """Meta disabled the account, will do so, or reinstated it."""


class AccountVerified(_AccountChanged):
    """The account is verified."""


class AccountAdAccountLinked(_AccountChanged):
    """An ad account was linked."""


class AccountTermsSigned(_AccountChanged):
    """The business signed the terms for marketing messages."""


class AccountPricingTierChanged(_AccountChanged):
    """The account reached another price tier by volume."""


class AccountPriceEligibilityChanged(_AccountChanged):
    """International authentication prices apply to the account from a date on."""


class AccountCountryChanged(_AccountChanged):
    """The country of the business's primary location changed."""


class AccountAlerted(_AccountChanged):
    """Meta alerts the business."""


class AccountReviewed(_AccountChanged):
    """Meta decided on the review of the account."""


class AccountSettingsChanged(_AccountChanged):
    """Settings of a number or account changed, such as calling."""


class AccountLimitsChanged(_AccountChanged):
    """How much the business may do changed."""


class AccountStatusChanged(_AccountChanged):
    """The status of the business changed."""


class AccountUpdated(_AccountChanged):
    """Something else about the account; `event` says what."""


CONNECTING = Family(
    "keep the company's account working and tell the company what Meta decides about it",
    RetentionClass.ACCOUNT,
    Scope.ACCOUNT,
    subject=Subject.NOBODY,
    occurred_at=Moment.VALUE,
    directions=("system",),
)

TYPES = (
    CONNECTING.declare("account.deleted", AccountDeleted, "whatsapp: `account_update` ACCOUNT_DELETED"),
    CONNECTING.declare(
        "account.offboarded", AccountOffboarded, "whatsapp: `account_update` ACCOUNT_OFFBOARDED"
    ),
    CONNECTING.declare(
        "account.reconnected", AccountReconnected, "whatsapp: `account_update` ACCOUNT_RECONNECTED"
    ),
    CONNECTING.declare(
        "account.restricted", AccountRestricted, "whatsapp: `account_update` ACCOUNT_RESTRICTION"
    ),
    CONNECTING.declare(
        "account.violation_reported", AccountViolationReported, "whatsapp: `account_update` ACCOUNT_VIOLATION"
    ),
    CONNECTING.declare(
        "account.ban_changed", AccountBanChanged, "whatsapp: `account_update` DISABLED_UPDATE"
    ),
    CONNECTING.declare("account.verified", AccountVerified, "whatsapp: `account_update` VERIFIED_ACCOUNT"),
    CONNECTING.declare(
        "account.ad_account_linked", AccountAdAccountLinked, "whatsapp: `account_update` AD_ACCOUNT_LINKED"
    ),
    CONNECTING.declare(
        "account.terms_signed", AccountTermsSigned, "whatsapp: `account_update` MM_LITE_TERMS_SIGNED"
    ),
    CONNECTING.declare(
        "account.pricing_tier_changed",
        AccountPricingTierChanged,
        "whatsapp: `account_update` VOLUME_BASED_PRICING_TIER_UPDATE",
    ),
    CONNECTING.declare(
        "account.price_eligibility_changed",
        AccountPriceEligibilityChanged,
        "whatsapp: `account_update` AUTH_INTL_PRICE_ELIGIBILITY_UPDATE",
    ),
    CONNECTING.declare(
        "account.country_changed",
        AccountCountryChanged,
        "whatsapp: `account_update` BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE",
    ),
    CONNECTING.declare("account.alerted", AccountAlerted, "whatsapp: `account_alerts`"),
    CONNECTING.declare("account.reviewed", AccountReviewed, "whatsapp: `account_review_update`"),
    CONNECTING.declare(
        "account.settings_changed",
        AccountSettingsChanged,
        "whatsapp: `account_settings_update`",
    ),
    CONNECTING.declare(
        "account.limits_changed", AccountLimitsChanged, "whatsapp: `business_capability_update`"
    ),
    CONNECTING.declare("account.status_changed", AccountStatusChanged, "whatsapp: `business_status_update`"),
    CONNECTING.declare(
        "account.updated",
        AccountUpdated,
        "whatsapp: `account_update` with any other event",
    ),
)
