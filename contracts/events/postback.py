"""What a person did in a Messenger or Instagram chat beside writing: taps, opt-ins, links, games. META.md section 6."""

from __future__ import annotations

from typing import Annotated, Any

from contracts.events.declaration import Family, RetentionClass, Scope
from contracts.events.event import (
    HIDDEN,
    PERSONAL,
    Event,
    PersonalText,
    PersonalTexts,
    PersonalTime,
    PublicNumber,
    PublicText,
    PublicTexts,
    Referral,
    Value,
)


class Postback(Value):
    """What was tapped."""

    message_id: PersonalText = None
    """Of the postback itself; Meta sends it since v11."""
    title: PersonalText = None
    payload: PersonalText = None
    ref: PersonalText = None
    """The `ref` of the link or ad that brought the person."""
    referral: Referral | None = None


class PostbackReceived(Event):
    """A person tapped something the business offered."""

    postback: Postback


class Optin(Value):
    """What the person agreed to. A checkbox has only `user_ref` and no person yet."""

    ref: PersonalText = None
    user_ref: PersonalText = None
    type: PublicText = None
    payload: PersonalText = None
    title: PersonalText = None
    token: PersonalText = None
    """For messages to this person about this subject: a bearer secret."""
    token_until_ms: PersonalTime = None
    frequency: PublicText = None
    timezone: PersonalText = None
    status: PublicText = None
    """RESUME or STOP notifications."""


class OptinReceived(Event):
    """A person agreed to be written to."""

    optin: Optin


class ReferralReceived(Event):
    """A person came through an ad, a link or a plugin."""

    referral: Referral


class AccountLink(Value):
    """The person's account at the business, linked to the chat."""

    status: PublicText = None
    """linked or unlinked."""
    authorization_code: PersonalText = None
    """A bearer secret of the business's own making."""


class AccountLinkChanged(Event):
    """A person linked or unlinked their account at the business."""

    account_link: AccountLink


class Game(Value):
    """One round of an Instant Game."""

    game: PublicText = None
    player: PersonalText = None
    context: PersonalText = None
    context_type: PublicText = None
    score: Annotated[int | None, HIDDEN, PERSONAL] = None
    payload: PersonalText = None


class GamePlayed(Event):
    """A person played the business's game."""

    game: Game


class Camera(Value):
    """A branded camera effect."""

    event: PublicText = None
    effects: PublicTexts = ()


class CameraUsed(Event):
    """A person used or dismissed the business's camera effect."""

    camera: Camera


class Feedback(Value):
    """A survey that was filled in, or a thumb on one message."""

    message_id: PersonalText = None
    verdict: PersonalText = None
    """Of one message: good or bad response."""
    screens: Annotated[tuple[Any, ...], HIDDEN, PERSONAL] = ()
    """Of a survey: questions, answers and follow-ups as Meta sends them."""


class FeedbackReceived(Event):
    """A person rated the conversation or one answer."""

    feedback: Feedback


class Cart(Value):
    """What the person put together in the business's shop."""

    products: PersonalTexts = ()
    note: PersonalText = None
    source: PublicText = None
    version: PublicNumber = None


class CartSent(Event):
    """A person sent a cart from the business's shop."""

    cart: Cart


_CHATTING = Family(
    "answer the person on behalf of the company they wrote to", RetentionClass.CONVERSATION, Scope.MESSAGING
)

TYPES = (
    _CHATTING.declare("postback.received", PostbackReceived, "page, instagram: `postback`", opens=True),
    _CHATTING.declare(
        "optin.received",
        OptinReceived,
        "page, instagram: `optin`",
        opens=True,
    ),
    _CHATTING.declare("referral.received", ReferralReceived, "page, instagram: `referral`", opens=True),
    _CHATTING.declare("account_link.changed", AccountLinkChanged, "page: `account_linking`", opens=True),
    _CHATTING.declare("game.played", GamePlayed, "page: `game_play`", opens=True),
    _CHATTING.declare("camera.used", CameraUsed, "page: `branded_camera`", opens=True),
    _CHATTING.declare(
        "feedback.received",
        FeedbackReceived,
        "page, instagram: `messaging_feedback`, `response_feedback`",
        opens=True,
    ),
    _CHATTING.declare("cart.sent", CartSent, "page: `send_cart`", opens=True),
)
