"""The recorded corpus (`../shared/corpus`): its bodies, the accounts they name, their times shifted, their items re-batched."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).resolve().parents[3] / "shared" / "corpus"
TIMES: Final = frozenset({"time", "timestamp", "created_time", "created_timestamp", "watermark"})
_PAST_S: Final = 3600
_MILLISECONDS_FROM: Final = 10**12


@dataclass(frozen=True, slots=True)
class Body:
    """One file: its name within the corpus and the decoded body."""

    name: str
    content: Any = field(repr=False)

    def raw(self) -> bytes:
        """The bytes to sign and post."""
        return json.dumps(self.content, separators=(",", ":")).encode()


def bodies() -> list[Body]:
    """All of them, in the order of their names."""
    files = sorted(FOLDER.rglob("*.json"))
    return [Body(str(path.relative_to(FOLDER)), json.loads(path.read_bytes())) for path in files]


@dataclass(slots=True)
class Named:
    """The accounts that the corpus names: option of `mkc account connect` to ids, by product."""

    pages: set[str] = field(default_factory=set)
    instagrams: set[str] = field(default_factory=set)
    wabas: dict[str, set[str]] = field(default_factory=dict)
    """WABA to its phone number ids; a phone number belongs to the first WABA that names it."""


def accounts(corpus: list[Body]) -> Named:
    """Every account that some entry names."""
    named = Named()
    taken: set[str] = set()
    for body in corpus:
        provider_object = body.content.get("object")
        for entry in _dicts(body.content.get("entry")):
            account = str(entry.get("id", ""))
            if not account or account == "0":
                continue
            if provider_object == "page":
                named.pages.add(account)
            elif provider_object == "instagram":
                named.instagrams.add(account)
            elif provider_object == "whatsapp_business_account":
                numbers = named.wabas.setdefault(account, set())
                for change in _dicts(entry.get("changes")):
                    value = change.get("value")
                    if not isinstance(value, dict):
                        continue
                    for metadata in _dicts([value.get("metadata")]):
                        number = str(metadata.get("phone_number_id", ""))
                        if number and number not in taken:
                            taken.add(number)
                            numbers.add(number)
                    for info in _dicts([value.get("waba_info")]):
                        if info.get("waba_id"):
                            named.wabas.setdefault(str(info["waba_id"]), set())
    return named


def shifted(body: Body, now_s: float | None = None) -> Body:
    """The body with all its times moved by one offset, so that the latest lies an hour ago."""
    latest = max(_seconds_in(body.content), default=None)
    if latest is None:
        return body
    offset = int((time.time() if now_s is None else now_s) - _PAST_S - latest)
    return Body(body.name, _moved(body.content, offset))


def rebatched(body: Body) -> list[Body]:
    """The same items over as many deliveries as there are items, in reverse order."""
    content = body.content
    entries = content.get("entry")
    if not isinstance(entries, list) or not entries:
        return [body]
    parts = [part for entry in entries for part in _entry_parts(entry)]
    return [Body(body.name, {**content, "entry": [part]}) for part in reversed(parts)]


def _entry_parts(entry: Any) -> Iterator[Any]:
    lists = ("messaging", "standby", "changes")
    split = [
        name
        for name in lists
        if isinstance(entry, dict) and isinstance(entry.get(name), list) and entry[name]
    ]
    if not split:
        yield entry
        return
    rest = {name: value for name, value in entry.items() if name not in split}
    for name in split:
        for item in entry[name]:
            for part in _change_parts(item) if name == "changes" else (item,):
                yield {**rest, name: [part]}


def _change_parts(change: Any) -> Iterator[Any]:
    value = change.get("value") if isinstance(change, dict) else None
    lists = ("messages", "statuses")
    split = [
        name
        for name in lists
        if isinstance(value, dict) and isinstance(value.get(name), list) and value[name]
    ]
    if not split or change.get("field") != "messages" or (isinstance(value, dict) and "errors" in value):
        yield change
        return
    assert isinstance(value, dict)
    rest = {name: content for name, content in value.items() if name not in split}
    for name in split:
        for item in value[name]:
            yield {**change, "value": {**rest, name: [item]}}


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    for item in value if isinstance(value, list) else []:
        if isinstance(item, dict):
            yield item


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None


def _seconds_in(node: Any) -> Iterator[float]:
    if isinstance(node, dict):
        for name, value in node.items():
            number = _number(value) if name in TIMES else None
            if number is not None:
                yield number / 1000 if number >= _MILLISECONDS_FROM else number
            yield from _seconds_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from _seconds_in(value)


def _moved(node: Any, offset_s: int) -> Any:
    if isinstance(node, list):
        return [_moved(value, offset_s) for value in node]
    if not isinstance(node, dict):
        return node
    moved = {}
    for name, value in node.items():
        number = _number(value) if name in TIMES else None
        if number is None:
            moved[name] = _moved(value, offset_s)
            continue
        later = number + (offset_s * 1000 if number >= _MILLISECONDS_FROM else offset_s)
        moved[name] = str(later) if isinstance(value, str) else later
    return moved
