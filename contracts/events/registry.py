"""Every event type there is. PRIVACY.md section 1, rows 2 and 8. What a type must declare: `contracts.events.declaration`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from contracts.events import (
    account,
    call,
    comment,
    group,
    handover,
    message,
    partner,
    payment,
    permission,
    person,
    postback,
    publication,
    reaction,
    receipt,
    template,
    unknown,
)
from contracts.events.declaration import (
    UNKNOWN,
    EventType,
    LegalBasis,
    Moment,
    RetentionClass,
    Scope,
    Subject,
)

__all__ = [
    "EVENT_TYPES",
    "UNKNOWN",
    "EventType",
    "LegalBasis",
    "Moment",
    "RetentionClass",
    "Scope",
    "Subject",
]

_FAMILIES: Final = (
    message,
    reaction,
    receipt,
    postback,
    payment,
    handover,
    call,
    group,
    person,
    comment,
    publication,
    account,
    partner,
    template,
    permission,
    unknown,
)

EVENT_TYPES: Final[Mapping[str, EventType]] = MappingProxyType(
    {kind.name: kind for family in _FAMILIES for kind in family.TYPES}
)
"""Every event type there is, by name."""
