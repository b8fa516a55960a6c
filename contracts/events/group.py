"""WhatsApp groups: their life, their people, their settings. META.md section 8. Each participant is an event of its own."""

from __future__ import annotations

from typing import Annotated

from contracts.events.declaration import Family, RetentionClass, Scope, Subject
from contracts.events.event import (
    HIDDEN,
    PERSONAL,
    Event,
    PersonalText,
    ProviderError,
    PublicFlag,
    PublicText,
    Value,
)


class Group(Value):
    """What the notice says about the group."""

    id: Annotated[str, HIDDEN, PERSONAL]
    subject: PersonalText = None
    description: PersonalText = None
    invite_link: PersonalText = None
    """A bearer secret."""
    join_approval: PublicText = None
    request: PersonalText = None
    """The id of the business's request that this answers."""
    reason: PublicText = None
    """How somebody came or went: invite_link, …"""
    initiated_by: PublicText = None
    """business or participant."""
    join_request: PersonalText = None
    participant_input: PersonalText = None
    """The person as the business named them in its request."""
    subject_changed: PublicFlag = None
    description_changed: PublicFlag = None
    picture_changed: PublicFlag = None
    errors: tuple[ProviderError, ...] = ()


class _Grouped(Event):
    group: Group


class GroupCreated(_Grouped):
    """A group was made, or could not be (`errors`)."""


class GroupDeleted(_Grouped):
    """A group was deleted, or could not be (`errors`)."""


class GroupParticipantJoined(_Grouped):
    """Somebody is in the group now."""


class GroupParticipantLeft(_Grouped):
    """Somebody left the group or was removed."""


class GroupParticipantFailed(_Grouped):
    """Somebody could not be added or removed (`errors`)."""


class GroupJoinRequested(_Grouped):
    """Somebody asks to be let in."""


class GroupJoinWithdrawn(_Grouped):
    """Somebody no longer asks to be let in."""


class GroupSettingsChanged(_Grouped):
    """Subject, description or picture changed, or could not be (`errors`)."""


class GroupSuspended(_Grouped):
    """Meta suspended the group."""


class GroupReinstated(_Grouped):
    """Meta lifted the suspension."""


class GroupChanged(_Grouped):
    """Something else about a group."""


_GROUPING = Family(
    "let the company and its customers talk in a group",
    RetentionClass.CONVERSATION,
    Scope.MESSAGING,
    subject=Subject.PARTICIPANT,
    directions=("system",),
)
_LISTED = "whatsapp `group_participants_update`: `groups[]`"

TYPES = (
    _GROUPING.declare(
        "group.created", GroupCreated, "whatsapp `group_lifecycle_update`: `groups[]` group_create"
    ),
    _GROUPING.declare(
        "group.deleted", GroupDeleted, "whatsapp `group_lifecycle_update`: `groups[]` group_delete"
    ),
    _GROUPING.declare("group.participant_joined", GroupParticipantJoined, f"{_LISTED} added_participants"),
    _GROUPING.declare("group.participant_left", GroupParticipantLeft, f"{_LISTED} removed_participants"),
    _GROUPING.declare("group.participant_failed", GroupParticipantFailed, f"{_LISTED} failed_participants"),
    _GROUPING.declare("group.join_requested", GroupJoinRequested, f"{_LISTED} group_join_request_created"),
    _GROUPING.declare("group.join_withdrawn", GroupJoinWithdrawn, f"{_LISTED} group_join_request_revoked"),
    _GROUPING.declare(
        "group.settings_changed", GroupSettingsChanged, "whatsapp `group_settings_update`: `groups[]`"
    ),
    _GROUPING.declare(
        "group.suspended", GroupSuspended, "whatsapp `group_status_update`: `groups[]` group_suspend"
    ),
    _GROUPING.declare(
        "group.reinstated",
        GroupReinstated,
        "whatsapp `group_status_update`: `groups[]` group_suspend_cleared",
    ),
    _GROUPING.declare(
        "group.changed", GroupChanged, "whatsapp `group_*_update`: `groups[]` of any other type"
    ),
)
