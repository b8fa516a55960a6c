"""Who of the business's apps has the conversation, and what Meta forbids it. META.md section 6."""

from __future__ import annotations

from typing import Annotated

from contracts.events.declaration import Family, RetentionClass, Scope
from contracts.events.event import PUBLIC, Event, PersonalText, PublicText, Value


class Handover(Value):
    """From which app to which."""

    new_owner: PublicText = None
    """App id."""
    previous_owner: PublicText = None
    """App id."""
    requested_owner: PublicText = None
    """App id."""
    metadata: PersonalText = None
    """Whatever one app tells the other: often about the person."""


class _Handed(Event):
    handover: Handover


class HandoverPassed(_Handed):
    """An app passed the conversation on."""


class HandoverTaken(_Handed):
    """An app took the conversation."""


class HandoverRequested(_Handed):
    """An app asks for the conversation."""


class Roles(Value):
    """What each app may do."""

    apps: Annotated[dict[str, tuple[str, ...]], PUBLIC]
    """App id to roles."""


class HandoverRolesChanged(Event):
    """The roles of the page's apps changed."""

    roles: Roles


class Policy(Value):
    """What Meta did."""

    action: PublicText = None
    """block or unblock."""
    reason: PersonalText = None


class PolicyEnforced(Event):
    """Meta blocked or unblocked the account's messages."""

    policy: Policy


_OWNING = Family(
    "let one app at a time answer the person",
    RetentionClass.CONVERSATION,
    Scope.MESSAGING,
    directions=("system",),
)

TYPES = (
    _OWNING.declare("handover.passed", HandoverPassed, "page, instagram: `pass_thread_control`"),
    _OWNING.declare("handover.taken", HandoverTaken, "page, instagram: `take_thread_control`"),
    _OWNING.declare("handover.requested", HandoverRequested, "page, instagram: `request_thread_control`"),
    _OWNING.declare("handover.roles_changed", HandoverRolesChanged, "page: `app_roles`"),
    Family(
        "keep the company's account working and tell the company what Meta decides about it",
        RetentionClass.ACCOUNT,
        Scope.MESSAGING,
        directions=("system",),
    ).declare(
        "policy.enforced", PolicyEnforced, "page, instagram: `policy-enforcement`, `policy_enforcement`"
    ),
)
