"""Webhook bodies remade from the committed examples of events: every type there is has one, so every new type gets one.

An example holds the fragment exactly as Meta sent it and the envelope that was around it. Where the fragment stood is
tried: the place is right if the router's own splitting finds the same event there. Must never need the recorded corpus.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.events.registry import EVENT_TYPES
from contracts.generate.history import EXAMPLES, ROOT
from router.split.delivery import split
from router.split.item import Item

Json = dict[str, Any]
_LISTS: Final = (
    "messages", "statuses", "errors", "calls", "groups", "message_echoes", "state_sync", "user_preferences", "history",
    "threads", "contacts", "automatic_events",
)  # fmt: skip
"""Of a WhatsApp value: what the fragment may be an element of."""


@dataclass(frozen=True, slots=True)
class Remade:
    """A delivery with one item, of that event type."""

    event_type: str
    example: str
    body: Json = field(repr=False)

    def raw(self) -> bytes:
        """As Meta writes it: ASCII with escapes."""
        return json.dumps(self.body, separators=(",", ":")).encode()


def bodies() -> list[Remade]:
    """One for each example of a present version. Raises AssertionError for one that cannot be remade."""
    made = []
    for kind in EVENT_TYPES.values():
        for path in sorted((ROOT / EXAMPLES / kind.name / str(kind.version)).glob("*.json")):
            data = json.loads(path.read_bytes())
            body = next((one for one in _candidates(data) if _is_of(one, kind.name, data)), None)
            assert body is not None, f"{kind.name}, {path.stem}: not remade from its example"
            made.append(Remade(kind.name, path.stem, body))
    return made


def items_of(body: Json) -> list[Item] | None:
    """The items of a body; None if a part of it is set aside."""
    found = split(json.dumps(body).encode())
    return (
        [one for one in found if isinstance(one, Item)]
        if all(isinstance(one, Item) for one in found)
        else None
    )


def _is_of(body: Json, event_type: str, data: Json) -> bool:
    found = items_of(body) or []
    return [one.event_type for one in found] == [event_type] and found[0].data["fragment"] == data["fragment"]


def _candidates(data: Json) -> Iterator[Json]:
    envelope, fragment = data["envelope"], data["fragment"]
    head, channel = envelope["entry"], envelope["channel"]
    left = envelope.get("left_over", {})

    def around(part: Json) -> Json:
        entry = {**head, **left.get("entry", {}), **part}
        return {"object": envelope["object"], **left.get("delivery", {}), "entry": [entry]}

    if channel == "entry":
        yield around(fragment)
        return
    yield around({channel: [fragment]})
    if channel != "changes":
        return
    change = {"field": envelope["field"], **left.get("change", {})}
    yield around({"changes": [{**change, "value": fragment}]})
    value = {**envelope.get("value", {}), **left.get("value", {})}
    if "contacts" in envelope:
        value["contacts"] = envelope["contacts"]
    for name in _LISTS:
        yield around({"changes": [{**change, "value": {**value, name: [fragment]}}]})
    if "history" in envelope:
        chunk = {**envelope["history"], "threads": [{**envelope.get("thread", {}), "messages": [fragment]}]}
        yield around({"changes": [{**change, "value": {**value, "history": [chunk]}}]})
    if isinstance(fragment, dict):
        yield around({"changes": [{**change, "value": {**value, **fragment}}]})
