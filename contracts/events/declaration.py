"""How an event type is declared: with everything the register of processing needs, or not at all. PRIVACY.md section 1.

Importing a module that declares a type with a field that is neither personal nor public fails, and with it the build.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from contracts.events.event import Event, Privacy


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


class Subject(StrEnum):
    """Whose aliases an event carries. META.md section 9."""

    CUSTOMER = "the customer: WhatsApp BSUID, parent BSUID and every form of the phone; PSID; IGSID"
    AUTHOR = "the author (PSID or IGSID); nobody if it is the account itself"
    CHANGED = "the customer by the old and the new ids, which are one person"
    PARTICIPANT = "the participant of the group, one event each"
    ENTRY = "the person in the business's address book"
    NOBODY = "nobody: the conversation is the account's own"


class Moment(StrEnum):
    """Where `occurred_at` comes from: whole numbers or strings, seconds or milliseconds, or ISO 8601. META.md section 11."""

    ITEM = "the item's `timestamp`"
    NEW_ONLY = "`created_time` or `timestamp` of a new thing; a later change is undated, since it repeats the thing's time"
    UNDATED = "none: undated, kept by the time of receipt"
    VALUE = "the value's `timestamp` if it has one, else undated"


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of event.

    `opens_generation`: an inbound act of the person or a new outbound message, which may begin a new generation of an
    erased person; statuses, reads, reactions and edits never do (PRIVACY.md section 3). A comment of the account itself is
    outbound and names nobody. `scope`: the consent scope that covers it; unknown events carry anything, so theirs is
    decided per item (`router.split.requests.scope_of`). `personal_fields`: dotted paths into `data`. `part`: the name of
    the typed part of `data`, and `part_model` its model; None if the type has none. `source`: the objects and fields of
    Meta's it comes from. `subject`, `conversation`, `directions`, `occurred_at`: what the router fills in.
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
    source: str
    subject: Subject
    occurred_at: Moment
    directions: tuple[str, ...]
    part: str | None = None
    part_model: type[BaseModel] | None = None
    past: Mapping[int, type[BaseModel]] = field(default_factory=dict, hash=False)

    def model_for(self, version: int) -> type[BaseModel] | None:
        """The model of that version; None for one of a later release."""
        return self.model if version == self.version else self.past.get(version)

    @property
    def dataschema(self) -> str:
        """The `ce_dataschema` URN."""
        return f"urn:mkchannels:event:{self.name}:{self.version}"

    @property
    def description(self) -> str:
        """What happened, in one sentence or two."""
        return " ".join((inspect.getdoc(self.model) or "").split())

    @property
    def conversation(self) -> str:
        """What the events are keyed and ordered by."""
        if self.subject is Subject.NOBODY:
            return "the account's own"
        return "the group if there is one, else the person with this account, else the account's own"


@dataclass(frozen=True, slots=True)
class Family:
    """What the types of one family have in common."""

    purpose: str
    retention: RetentionClass
    scope: Scope
    legal_basis: LegalBasis = LegalBasis.CONTRACT
    subject: Subject = Subject.CUSTOMER
    occurred_at: Moment = Moment.ITEM
    directions: tuple[str, ...] = ("inbound",)

    def declare(
        self,
        name: str,
        model: type[Event],
        source: str,
        *,
        opens: bool = False,
        version: int = 1,
        subject: Subject | None = None,
        occurred_at: Moment | None = None,
        directions: tuple[str, ...] | None = None,
        past: Mapping[int, type[Event]] = MappingProxyType({}),
    ) -> EventType:
        """One type. Raises TypeError if a field is neither personal nor public, or an earlier version has no model.

        To raise a type's version: keep its model under another name in `past`, and its schema and examples as they are.
        """
        part, part_model = _part_of(model)
        if set(past) != set(range(1, version)):
            raise TypeError(f"{name}: each version before {version} needs its model")
        for earlier in past.values():
            list(personal_paths(earlier))
        return EventType(
            name=name,
            version=version,
            model=model,
            retention=self.retention,
            purpose=self.purpose,
            legal_basis=self.legal_basis,
            scope=self.scope,
            opens_generation=opens,
            personal_fields=tuple(personal_paths(model)),
            source=source,
            subject=subject or self.subject,
            occurred_at=occurred_at or self.occurred_at,
            directions=directions or self.directions,
            part=part,
            part_model=part_model,
            past=MappingProxyType(dict(past)),
        )


def _part_of(model: type[BaseModel]) -> tuple[str | None, type[BaseModel] | None]:
    """The typed part: the only field beside those of every event, if it is a model."""
    own = [name for name in model.model_fields if name not in Event.model_fields]
    if len(own) != 1:
        return None, None
    return own[0], model_of(model.model_fields[own[0]].annotation)


def model_of(annotation: object) -> type[BaseModel] | None:
    """The model in an annotation: `M`, `M | None`, `tuple[M, ...]`."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def privacy_of(field: FieldInfo) -> Privacy | None:
    """What the field declares itself to be; None: look at the fields of its model."""
    for found in field.metadata:
        if isinstance(found, Privacy):
            return found
    return None


def personal_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted paths of all personal fields. Raises TypeError for a field that declares nothing."""
    for name, info in model.model_fields.items():
        declared = privacy_of(info)
        if declared is Privacy.PERSONAL:
            yield prefix + name
        elif declared is None:
            inner = model_of(info.annotation)
            if inner is None:
                raise TypeError(f"{model.__name__}.{name} is declared neither personal nor public")
            yield from personal_paths(inner, f"{prefix}{name}.")


UNKNOWN: Final = "unknown.received"
