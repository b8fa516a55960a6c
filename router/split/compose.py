"""From a place in a delivery to an item: the shared half of every event's `data`, and the fall-back to `unknown.received`.

A typed part that does not fit its model is no reason to lose or quarantine the item: it is carried as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from pydantic import ValidationError

from contracts.events.registry import EVENT_TYPES, UNKNOWN
from router.split.check import checker
from router.split.identity import NOBODY, Person
from router.split.item import AccountKey, Direction, Item
from router.split.reading import Json, as_word, content_hash

ACCOUNTS_KEPT: Final = 4_096
_PARTS: Final = {
    name: (kind.part, checker(kind.part_model))
    for name, kind in EVENT_TYPES.items()
    if kind.part is not None and kind.part_model is not None
}


@dataclass(slots=True, repr=False)
class Entry:
    """One `entry` of a delivery: what every item in it shares."""

    provider_object: str
    id: str | None
    time: object
    head: Json
    """`id`, `time` and `uid` as they arrived."""
    object_word: str
    left_over: dict[str, dict[str, Any]]
    """Scalars that nothing reads, by where they stood (delivery, entry, change, value): the next item carries them."""

    def leave_over(self, level: str, name: str, value: object) -> None:
        """Keep a scalar for the next item."""
        self.left_over.setdefault(level, {})[name] = value

    def envelope(self, channel: str, field: str) -> dict[str, Any]:
        """A new envelope for one item. The objects inside are shared: never changed."""
        envelope = {"object": self.object_word, "entry": self.head, "channel": channel, "field": field}
        if self.left_over:
            envelope["left_over"], self.left_over = self.left_over, {}
        return envelope


@dataclass(slots=True, repr=False)
class Place:
    """Where an item stands, with the fragment and what surrounds it."""

    path: str
    provider_object: str
    account: AccountKey | None
    account_data: Json | None
    entry_time: object
    field: str
    fragment: Json
    envelope: dict[str, Any]
    collection: str | None = None
    standby: bool = False
    """Another app owns the conversation."""


@lru_cache(maxsize=ACCOUNTS_KEPT)
def account_data(account: AccountKey | None) -> Json | None:
    """The account as `data` names it. Shared by its items: never changed."""
    if account is None:
        return None
    data = {"kind": account.kind.value, "id": account.value}
    if account.waba is not None:
        data["waba"] = account.waba
    return data


def compose(
    place: Place,
    event_type: str,
    part: Mapping[str, Any],
    *,
    person: Person,
    direction: Direction,
    occurred_at_ms: int | None,
    native_id: str | None = None,
    discriminator: tuple[str, ...] | None = None,
    message_id: str | None = None,
    conversation: str | None = None,
    within: object = None,
) -> Item:
    """A typed item; or an unknown one if `part` does not fit. `conversation`: the group, else it is the person's.

    `discriminator`: what tells the event from others about `native_id`; None: its whole content does (META.md section 12,
    last row), and `within`, for a fragment that is one of several inside something larger. Without an id of Meta's own the
    content is in it in any case, and `entry.time` joins only if there is no own time and no person either (DESIGN.md 5).
    """
    name, validate = _PARTS[event_type]
    try:
        validate(part)
    except ValidationError:
        return unknown(
            place,
            person=person,
            direction=direction,
            occurred_at_ms=occurred_at_ms,
            native_id=native_id,
            message_id=message_id,
            conversation=conversation,
            within=within,
        )
    if discriminator is None:
        discriminator = _by_content(place, within)
    elif native_id is None and not discriminator:
        discriminator = (content_hash(place.fragment),)
    if native_id is None and occurred_at_ms is None and not person.aliases:
        discriminator += (as_word(place.entry_time),)
    data: dict[str, Any] = {
        "direction": direction,
        "account": place.account_data,
        "person": person.data,
        name: part,
        "fragment": place.fragment,
        "envelope": place.envelope,
    }
    if place.standby:
        data["standby"] = True
    return Item(
        place.path,
        place.provider_object,
        event_type,
        place.account,
        direction,
        occurred_at_ms,
        native_id,
        discriminator,
        person.aliases,
        conversation or person.conversation,
        message_id,
        data,
    )


def _by_content(place: Place, within: object) -> tuple[str, ...]:
    content = content_hash(place.fragment)
    if within is None:
        return (place.field, place.collection or "", content)
    return (place.field, place.collection or "", content, content_hash(within))


def unknown(
    place: Place,
    *,
    person: Person = NOBODY,
    direction: Direction = "system",
    occurred_at_ms: int | None = None,
    native_id: str | None = None,
    message_id: str | None = None,
    conversation: str | None = None,
    within: object = None,
) -> Item:
    """An item that has no typed event. Its content is always part of its identity, as in `compose`."""
    discriminator = _by_content(place, within)
    if occurred_at_ms is None and native_id is None and not person.aliases:
        discriminator += (as_word(place.entry_time),)
    data: dict[str, Any] = {
        "direction": direction,
        "account": place.account_data,
        "person": person.data,
        "provider_object": place.provider_object,
        "field": place.field,
        "collection": place.collection,
        "fragment": place.fragment,
        "envelope": place.envelope,
    }
    if place.standby:
        data["standby"] = True
    return Item(
        place.path,
        place.provider_object,
        UNKNOWN,
        place.account,
        direction,
        occurred_at_ms,
        native_id,
        discriminator,
        person.aliases,
        conversation or person.conversation,
        message_id,
        data,
    )
