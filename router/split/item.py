"""What splitting a delivery gives: items, each of which ends exactly one way. Pure values; personal data never in a repr."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from contracts.control import IdKind
from contracts.pseudonyms import Alias
from router.split.json_body import to_json

Direction = Literal["inbound", "outbound", "system"]


class AccountKey(NamedTuple):
    """The id by which an item names its account. For WhatsApp `waba` is the WABA that must own the phone number."""

    kind: IdKind
    value: str
    waba: str | None = None


class Item(NamedTuple):
    """One fact in one delivery, typed, not yet assigned to a tenant. A named tuple: a frozen dataclass costs 1 µs more."""

    path: str
    """Where it stands in its delivery, for instance `entry[0].messaging[2]`: names a quarantined item, never part of an id."""
    provider_object: str
    """Meta's `object`, lower case."""
    event_type: str
    """What happened, a key of `contracts.events.registry.EVENT_TYPES`."""
    account: AccountKey | None
    direction: Direction
    occurred_at_ms: int | None
    """The item's own time (META.md section 11), never `entry.time`; None makes the event undated."""
    native_id: str | None
    """Meta's own id of the thing, if it has one (mid, wamid, comment id): goes into the event id, keyed."""
    discriminator: tuple[str, ...]
    """What else tells this event from others about the same id (META.md section 12)."""
    aliases: tuple[Alias, ...]
    """Every alias of *the one person* that the item is about, in ALIAS_ORDER; both forms of a Brazilian mobile."""
    conversation: str | None
    """The identifier of the conversation within the account: BSUID, else phone with the 9, else PSID / IGSID; group id
    for groups. None: nobody is named, the conversation is the account's own."""
    message_id: str | None
    """Meta's id of the *message* (or comment) that this item is, edits, unsends, reacts to, or reports on."""
    data: Mapping[str, Any]
    """The event's `data`: fits its type's model in `contracts.events`, with the fragment it came from inside it. A plain
    mapping: to build a whole model and dump it costs 7 µs, to write the mapping 2 (tests/bench/bench_split.py)."""

    def __repr__(self) -> str:
        return f"Item(path={self.path!r}, provider_object={self.provider_object!r}, event_type={self.event_type!r})"


@dataclass(frozen=True, slots=True)
class BadItem:
    """A part of a delivery that cannot be read: goes to quarantine with `reason` (a slug of `contracts.errors`, `unknown_object`
    or `defect`)."""

    path: str
    reason: str
    account: AccountKey | None = None
    frames: tuple[str, ...] = ()
    """For a `defect`: exception type, then `module:function:line` of our frames. Never a message."""


def data_json(item: Item) -> bytes:
    """The one serialisation of an event's `data`: what is sealed."""
    return to_json(item.data)
