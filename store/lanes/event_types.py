"""What the store needs of each declared event type: may it open a generation, and how long is it kept."""

from __future__ import annotations

from typing import Final

from contracts.events.registry import EVENT_TYPES
from store.lanes.event import UNDECLARED, KnownType

_KNOWN: Final = {
    name: KnownType(declared.opens_generation, declared.retention.value)
    for name, declared in EVENT_TYPES.items()
}


def known_type(name: str) -> KnownType:
    """The type of that name; one that only a newer router knows is stored and opens no generation."""
    return _KNOWN.get(name, UNDECLARED)
