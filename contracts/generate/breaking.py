"""What changed between two schemas for those who read the events, in words, and which of it breaks them.

Breaking: what a reader of the older schema could not read any more, or an older event that the newer schema refuses: a
field removed, retyped or no longer always there, a new required field, another enum, limit or shape, a type gone. And what
a reader was told to keep and to protect: a personal field that is public now, another retention class, legal basis or scope.
New optional fields and types are not: readers ignore names that they do not know. Our own records between processes may
also gain words and shapes, since both ends are released together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from contracts.generate.schemas import Schema, resolve

Versions = Mapping[tuple[str, int], Schema]
"""Schemas by event type and version."""

_ANY: Final = "anything"
_UPPER: Final = ("maxLength", "maxItems", "maximum", "exclusiveMaximum", "maxProperties")
_LOWER: Final = ("minLength", "minItems", "minimum", "exclusiveMinimum", "minProperties")
_EXACT: Final = ("pattern", "format", "contentEncoding", "multipleOf", "uniqueItems")
_EVENTS: Final = "urn:mkchannels:event:"
"""Whose readers are other companies' services: each keeps to the words and shapes of the release that it installed."""
_PROMISED: Final = ("x-legal-basis", "x-retention", "x-scope")
_DECLARED: Final = {
    "x-purpose": "purpose",
    "x-legal-basis": "legal basis",
    "x-retention": "retention class",
    "x-scope": "consent scope",
    "x-opens-generation": "opening of a new generation",
    "x-subject": "person",
    "x-conversation": "conversation",
    "x-directions": "direction",
    "x-occurred-at": "time",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `where`: event type and dotted path."""

    where: str
    what: str
    breaks: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """What of `changes` breaks a reader; empty if the new schema may stand under the same version."""
    return [str(change) for change in changes(old, new) if change.breaks]


def changes(old: Schema, new: Schema, where: str = "data") -> list[Change]:
    """Every difference that means something, in the order of the older schema's fields."""
    found = [
        Change(where, f"{word} was {_text(old.get(name))}, is now {_text(new.get(name))}", name in _PROMISED)
        for name, word in _DECLARED.items()
        if name in old and old[name] != new.get(name)
    ]
    return [*found, *_Comparison(old, new).values(old, new, where, frozenset())]


def all_changes(old: Versions, new: Versions) -> list[Change]:
    """Differences between two sets of schemas. A raised version permits anything, but past versions stay as they were."""
    found: list[Change] = []
    latest = _latest(new)
    before = _latest(old)
    for (name, version), schema in sorted(old.items()):
        if name not in latest:
            found.append(Change(name, "the event type is gone", breaks=True))
        elif (name, version) not in new:
            found.append(Change(name, f"the schema of version {version} is gone", breaks=True))
        elif schema != new[name, version]:
            found += changes(schema, new[name, version], name)
    for name, version in sorted(latest.items()):
        if name not in before:
            found.append(Change(name, "a new event type"))
        elif version > before[name]:
            found.append(Change(name, f"version {version} follows version {before[name]}"))
            found += [
                Change(change.where, change.what)
                for change in changes(old[name, before[name]], new[name, version], name)
            ]
    return found


def _latest(versions: Versions) -> dict[str, int]:
    latest: dict[str, int] = {}
    for name, version in versions:
        latest[name] = max(version, latest.get(name, 0))
    return latest


class _Comparison:
    """Compares values of two documents, each of which resolves its own references."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old, new
        self._closed = str(old.get("$id", "")).startswith(_EVENTS)

    def values(
        self,
        old: Schema,
        new: Schema,
        where: str,
        above: frozenset[tuple[str, str]],
        personal: tuple[bool, bool] = (False, False),
    ) -> Iterator[Change]:
        """`above`: the pairs of references that are being compared already (a schema may contain itself).

        `personal`: whether a mark above covers the value, before and now.
        """
        was_marked, is_marked = bool(old.get("x-personal")), bool(new.get("x-personal"))
        personal = personal[0] or was_marked, personal[1] or is_marked
        if personal == (True, False) and not _holds_more(self._old, old):
            yield Change(where, "is no longer marked as personal", breaks=True)
        elif was_marked != is_marked:
            yield Change(where, f"is {'now' if is_marked else 'no longer'} marked as personal")
        if "default" in old and old.get("default") != new.get("default"):
            yield Change(
                where, f"its default was {_text(old['default'])}, is now {_text(new.get('default'))}"
            )
        olds, news = list(_variants(self._old, old)), list(_variants(self._new, new))
        old_kinds, new_kinds = {kind for kind, _, _ in olds}, {kind for kind, _, _ in news}
        if old_kinds != new_kinds:
            was, now = " or ".join(sorted(old_kinds)), " or ".join(sorted(new_kinds))
            yield Change(where, f"was {was}, is now {now}", breaks=True)
        for kind in sorted(old_kinds & new_kinds):
            yield from self._of_kind(
                [(name, schema) for found, name, schema in olds if found == kind],
                [(name, schema) for found, name, schema in news if found == kind],
                where,
                above,
                personal,
            )

    def _of_kind(
        self,
        olds: list[tuple[str, Schema]],
        news: list[tuple[str, Schema]],
        where: str,
        above: frozenset[tuple[str, str]],
        personal: tuple[bool, bool],
    ) -> Iterator[Change]:
        if len(olds) == 1 and len(news) == 1:
            pairs = [(*olds[0], *news[0])]
        else:
            by_name = dict(news)
            pairs = [(name, schema, name, by_name[name]) for name, schema in olds if name in by_name]
            for name in sorted(dict(olds).keys() - by_name.keys()):
                yield Change(where, f"is never {name} any more", breaks=True)
            for name in sorted(by_name.keys() - dict(olds).keys()):
                yield Change(where, f"may now also be {name}", self._closed)
        for old_name, old, new_name, new in pairs:
            if (old_name, new_name) not in above:
                inside = above | {(old_name, new_name)} if old_name else above
                yield from self._one(old, new, where, inside, personal)

    def _one(
        self,
        old: Schema,
        new: Schema,
        where: str,
        above: frozenset[tuple[str, str]],
        personal: tuple[bool, bool],
    ) -> Iterator[Change]:
        yield from _words(old, new, where, closed=self._closed)
        yield from _limits(old, new, where, closed=self._closed)
        yield from self._properties(old, new, where, above, personal)
        if "items" in old and "items" in new:
            yield from self.values(old["items"], new["items"], f"{where}[]", above, personal)
        elif "items" in new:
            yield Change(where, "its entries are now typed", breaks=True)
        before, after = old.get("additionalProperties", True), new.get("additionalProperties", True)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from self.values(before, after, f"{where}.*", above, personal)
        elif before != after and after is not True:
            yield Change(where, "allows fewer names than before", breaks=True)

    def _properties(
        self,
        old: Schema,
        new: Schema,
        where: str,
        above: frozenset[tuple[str, str]],
        personal: tuple[bool, bool],
    ) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        was_required, is_required = set(old.get("required", ())), set(new.get("required", ()))
        for name, schema in before.items():
            path = f"{where}.{name}"
            if name not in after:
                yield Change(path, "is gone", breaks=True)
                continue
            if name in is_required - was_required:
                yield Change(path, "is now required", breaks=True)
            if name in was_required - is_required:
                yield Change(path, "is no longer always there", breaks=True)
            yield from self.values(schema, after[name], path, above, personal)
        for name in after:
            if name not in before:
                if old.get("additionalProperties") is False:
                    what, breaks = "is new, and older readers refuse names that they do not know", True
                elif name in is_required:
                    what, breaks = "is new and required", True
                else:
                    what, breaks = "is new and optional", False
                yield Change(f"{where}.{name}", what, breaks)


def _holds_more(root: Schema, schema: Schema) -> bool:
    """Whether there are values inside it that a mark of their own can cover."""
    return any(
        "properties" in one or "items" in one or isinstance(one.get("additionalProperties"), dict)
        for _, _, one in _variants(root, schema)
    )


def _variants(root: Schema, schema: Schema) -> Iterator[tuple[str, str, Schema]]:
    """(kind, name of the definition or discriminating words, schema) of everything that a value may be."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    schema = resolve(root, schema)
    choices = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    if choices:
        for choice in choices:
            yield from _variants(root, choice)
        return
    kinds = schema.get("type")
    if kinds is None:
        words = _enum(schema)
        kinds = sorted({_kind_of(word) for word in words}) if words is not None else [_ANY]
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        yield kind, name, schema


def _kind_of(word: Any) -> str:
    for kind, types in (("boolean", bool), ("integer", int), ("number", float), ("string", str)):
        if isinstance(word, types):
            return kind
    return "null" if word is None else _ANY


def _enum(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    words = schema.get("enum")
    return list(words) if words is not None else None


def _words(old: Schema, new: Schema, where: str, *, closed: bool) -> Iterator[Change]:
    before, after = _enum(old), _enum(new)
    if after is None:
        if before is not None:
            yield Change(where, "may now be any word", closed)
        return
    if before is None:
        yield Change(where, f"may now only be {_text(after)}", breaks=True)
        return
    gone = [word for word in before if word not in after]
    added = [word for word in after if word not in before]
    if gone:
        yield Change(where, f"is never {_text(gone)} any more", breaks=True)
    if added:
        yield Change(where, f"may now also be {_text(added)}", closed)


def _limits(old: Schema, new: Schema, where: str, *, closed: bool) -> Iterator[Change]:
    for name in (*_UPPER, *_LOWER, *_EXACT):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if after is None:
            loosened = True
        elif before is None or name in _EXACT:
            loosened = False
        else:
            loosened = after > before if name in _UPPER else after < before
        yield Change(
            where, f"{name} was {_text(before)}, is now {_text(after)}", breaks=closed or not loosened
        )


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value) or "empty"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
