"""Money: WhatsApp payments, and the payments in Messenger that old pages still send. META.md sections 6 and 8."""

from __future__ import annotations

from contracts.events.content import Money
from contracts.events.declaration import Family, Moment, RetentionClass, Scope, Subject
from contracts.events.event import Event, PersonalText, ProviderError, PublicText, Value


class Address(Value):
    """Where to deliver."""

    name: PersonalText = None
    street: PersonalText = None
    street2: PersonalText = None
    city: PersonalText = None
    state: PersonalText = None
    postal_code: PersonalText = None
    country: PersonalText = None


class Payment(Value):
    """What is paid, by whom, and whereto it is sent."""

    reference: PersonalText = None
    """The business's own reference or payload."""
    status: PublicText = None
    transaction: PersonalText = None
    provider: PublicText = None
    total: Money | None = None
    contact_name: PersonalText = None
    contact_email: PersonalText = None
    contact_phone: PersonalText = None
    address: Address | None = None
    shipping_option: PersonalText = None
    message_id: PersonalText = None
    errors: tuple[ProviderError, ...] = ()


class _Paid(Event):
    payment: Payment


class PaymentReceived(_Paid):
    """A person paid in Messenger."""


class CheckoutStarted(_Paid):
    """A person is about to pay: the business may still refuse."""


class CheckoutUpdated(_Paid):
    """A person chose or changed the address: the business answers with the shipping options."""


class PaymentStatusChanged(_Paid):
    """A WhatsApp payment was captured, is pending or failed."""


class PaymentConfiguration(Value):
    """How the business is paid."""

    name: PublicText = None
    provider: PublicText = None
    provider_account: PublicText = None
    status: PublicText = None


class PaymentConfigurationChanged(Event):
    """The set-up through which the business is paid changed."""

    configuration: PaymentConfiguration


_SELLING = Family(
    "carry out the purchase that the person makes from the company",
    RetentionClass.CONVERSATION,
    Scope.MESSAGING,
)
_CONNECTING = Family(
    "keep the company's account working and tell the company what Meta decides about it",
    RetentionClass.ACCOUNT,
    Scope.ACCOUNT,
    subject=Subject.NOBODY,
    occurred_at=Moment.VALUE,
    directions=("system",),
)

TYPES = (
    _SELLING.declare("payment.received", PaymentReceived, "page: `payment` (legacy)", opens=True),
    _SELLING.declare("checkout.started", CheckoutStarted, "page: `pre_checkout` (legacy)", opens=True),
    _SELLING.declare("checkout.updated", CheckoutUpdated, "page: `checkout_update` (legacy)", opens=True),
    _SELLING.declare(
        "payment.status_changed",
        PaymentStatusChanged,
        "whatsapp `messages`: `statuses[]` of type `payment`",
        directions=("system",),
    ),
    _CONNECTING.declare(
        "payment.configuration_changed",
        PaymentConfigurationChanged,
        "whatsapp: `payment_configuration_update`",
    ),
)
