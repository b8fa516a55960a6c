"""What an event type declares: without it no event of that type can exist. PRIVACY.md section 1, rows 2 and 8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from pydantic import BaseModel

from contracts.events.comment import (
    Comment,
    CommentCreated,
    CommentEdited,
    CommentHidden,
    CommentRemoved,
    CommentUnhidden,
)
from contracts.events.message import (
    Edit,
    Message,
    MessageEdited,
    MessageReceived,
    MessageSent,
    MessageUnsent,
    Unsend,
)
from contracts.events.postback import Postback, PostbackReceived
from contracts.events.reaction import Reaction, ReactionChanged
from contracts.events.receipt import (
    MessageDelivered,
    MessageDispatched,
    MessageFailed,
    MessagePlayed,
    MessageRead,
    MessageStatusChanged,
    Receipt,
)
from contracts.events.unknown import UnknownReceived


class RetentionClass(StrEnum):
    """How long events of a type are kept; days per class are the tenant's (default in `store.custody`)."""

    CONVERSATION = "conversation"
    DELIVERY = "delivery"
    PUBLIC_COMMENT = "public_comment"
    ACCOUNT = "account"
    UNKNOWN = "unknown"


class LegalBasis(StrEnum):
    """LGPD art. 7."""

    CONTRACT = "lgpd_7_v"
    LEGAL_OBLIGATION = "lgpd_7_ii"
    LEGITIMATE_INTEREST = "lgpd_7_ix"


class Scope(StrEnum):
    """What an account's consent covers (PRIVACY.md section 1, rows 3 and 7)."""

    MESSAGING = "messaging"
    COMMENTS = "comments"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event.

    `opens_generation`: an inbound act of the person or a new outbound message, which may begin a new generation of an
    erased person; statuses, reads, reactions and edits never do (PRIVACY.md section 3). A comment of the account itself is
    outbound and names nobody. `scope`: the consent scope that covers it; unknown events carry anything, so theirs is
    decided per item (`router.split.requests.scope_of`). `personal_fields`: dotted paths into `data`. `part`: the name of
    the typed part of `data`, and `part_model` its model; None if the type has none.
    """

    name: str
    version: int
    model: type[BaseModel]
    retention: RetentionClass
    purpose: str
    legal_basis: LegalBasis
    scope: str
    opens_generation: bool
    personal_fields: tuple[str, ...]
    part: str | None = None
    part_model: type[BaseModel] | None = None

    @property
    def dataschema(self) -> str:
        """The `ce_dataschema` URN."""
        return f"urn:mkchannels:event:{self.name}:{self.version}"


UNKNOWN: Final = "unknown.received"

_ALWAYS_PERSONAL: Final = ("person", "fragment", "envelope")
_ANSWERING: Final = "answer the person on behalf of the company they wrote to"
_HONOURING: Final = "show and keep what its author last wanted said, and nothing else"
_DELIVERY: Final = "show the company whether its messages arrive and correct those that do not"
_MODERATING: Final = "let the company answer and moderate comments on what it published"


def _messaging(
    name: str,
    model: type[BaseModel],
    part: str,
    part_model: type[BaseModel],
    purpose: str,
    *,
    opens: bool = False,
) -> EventType:
    return EventType(
        name=name,
        version=1,
        model=model,
        retention=RetentionClass.CONVERSATION,
        purpose=purpose,
        legal_basis=LegalBasis.CONTRACT,
        scope=Scope.MESSAGING,
        opens_generation=opens,
        personal_fields=(*_ALWAYS_PERSONAL, part),
        part=part,
        part_model=part_model,
    )


def _receipt(name: str, model: type[BaseModel]) -> EventType:
    return EventType(
        name=name,
        version=1,
        model=model,
        retention=RetentionClass.DELIVERY,
        purpose=_DELIVERY,
        legal_basis=LegalBasis.CONTRACT,
        scope=Scope.MESSAGING,
        opens_generation=False,
        personal_fields=(*_ALWAYS_PERSONAL, "receipt.message_ids", "receipt.group"),
        part="receipt",
        part_model=Receipt,
    )


def _comment(name: str, model: type[BaseModel], *, opens: bool = False) -> EventType:
    return EventType(
        name=name,
        version=1,
        model=model,
        retention=RetentionClass.PUBLIC_COMMENT,
        purpose=_MODERATING,
        legal_basis=LegalBasis.LEGITIMATE_INTEREST,
        scope=Scope.COMMENTS,
        opens_generation=opens,
        personal_fields=(*_ALWAYS_PERSONAL, "comment"),
        part="comment",
        part_model=Comment,
    )


_TYPES: Final = (
    _messaging("message.received", MessageReceived, "message", Message, _ANSWERING, opens=True),
    _messaging("message.sent", MessageSent, "message", Message, _ANSWERING, opens=True),
    _messaging("message.edited", MessageEdited, "edit", Edit, _HONOURING),
    _messaging("message.unsent", MessageUnsent, "unsend", Unsend, _HONOURING),
    _messaging("reaction.changed", ReactionChanged, "reaction", Reaction, _ANSWERING),
    _messaging("postback.received", PostbackReceived, "postback", Postback, _ANSWERING, opens=True),
    _receipt("message.dispatched", MessageDispatched),
    _receipt("message.delivered", MessageDelivered),
    _receipt("message.read", MessageRead),
    _receipt("message.played", MessagePlayed),
    _receipt("message.failed", MessageFailed),
    _receipt("message.status_changed", MessageStatusChanged),
    _comment("comment.created", CommentCreated, opens=True),
    _comment("comment.edited", CommentEdited),
    _comment("comment.removed", CommentRemoved),
    _comment("comment.hidden", CommentHidden),
    _comment("comment.unhidden", CommentUnhidden),
    EventType(
        name=UNKNOWN,
        version=1,
        model=UnknownReceived,
        retention=RetentionClass.UNKNOWN,
        purpose="keep what Meta sent about the company's account until the service understands it",
        legal_basis=LegalBasis.CONTRACT,
        scope=Scope.MESSAGING,
        opens_generation=False,
        personal_fields=_ALWAYS_PERSONAL,
    ),
)

EVENT_TYPES: Final[Mapping[str, EventType]] = MappingProxyType({kind.name: kind for kind in _TYPES})
"""Every event type there is, by name."""
