"""What reading a record gives: always exactly one of these values. Payload fields never show in a repr."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeVar
from uuid import UUID

from contracts.errors import ContractViolation
from contracts.events.event import Event as EventData
from contracts.reader.parse import parse
from contracts.subject_erased import SubjectErased

Direction = Literal["inbound", "outbound", "system"]
Model = TypeVar("Model", bound=EventData)


@dataclass(frozen=True, slots=True)
class Event:
    """One event whose seal, signature, tenant and shape were checked. Times are aware UTC.

    `data` is the model of the type's `version`, earlier ones included, or None for a type or version that this release
    does not know: such an event is delivered all the same, and `json()` gives what it holds. `occurred_at` is None for
    an undated event.
    """

    id: UUID
    type: str
    version: int
    tenant: UUID
    account: UUID
    source: str
    direction: Direction
    occurred_at: datetime | None
    received_at: datetime
    conversation: bytes = field(repr=False)
    persons: tuple[bytes, ...] = field(repr=False)
    """Pseudonyms of every alias that the event names, most specific first: what `SubjectErased` refers to."""
    message_ref: bytes | None = field(repr=False)
    """The same for a message and all that happens to it; None without a message id."""
    data: EventData | None = field(repr=False)
    raw: bytes = field(repr=False)
    """The JSON as it was sealed."""
    is_replay: bool = False
    """Put back from quarantine: later than its neighbours."""

    @property
    def is_typed(self) -> bool:
        """False for a type or version that this release does not know."""
        return self.data is not None

    def data_as(self, model: builtins.type[Model]) -> Model:
        """`data`, if it is of this model. Raises ContractViolation otherwise."""
        if not isinstance(self.data, model):
            raise ContractViolation("the event is of another type")
        return self.data

    def json(self) -> Any:
        """The data as plain JSON values."""
        return parse(self.raw)


@dataclass(frozen=True, slots=True)
class Erased:
    """An event of a person who has been erased: nothing is left to read. A normal value, no failure."""

    id: UUID
    type: str
    tenant: UUID
    received_at: datetime
    request: UUID
    """The erasure that it fell under."""
    pseudonyms: tuple[bytes, ...] = field(repr=False)
    """Those of the event's pseudonyms that were erased."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A record whose private half was destroyed on schedule: nobody can read it any more.

    Nothing of its headers is passed on, since only the seal makes them true.
    """

    reason: Literal["key_gone"] = "key_gone"


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that is not what it says: `reason` is an error's code (`tampered`, `contract_violation`)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Records `first` .. `next - 1` are gone from the log and were never read: expired, or the topic was made anew."""

    first: int
    next: int


Reading = Event | Erased | SubjectErased | Unavailable
"""What a record that verifies reads as."""
