"""`mkc contract`: shows what an event type promises, and what has changed for those who read the events.

Must never read an event: it knows declarations only.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from contracts.events.registry import EVENT_TYPES, EventType
from contracts.generate.breaking import Change, all_changes
from contracts.generate.files import schemas
from contracts.generate.history import schemas_at, schemas_here
from contracts.generate.schemas import Schema, resolve

_COLUMNS: Final = 80


def main(arguments: list[str] | None = None) -> int:
    """0: shown; 1: `diff` found what breaks readers; 2: wrong usage."""
    options = _parser().parse_args(arguments)
    match options.action:
        case "list":
            return _list(as_json=options.json)
        case "show":
            return _show(options.type, as_json=options.json)
        case _:
            return _diff(options.rev, as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mkc contract",
        description="What the event types promise to those who read them.",
        epilog="examples:\n  mkc contract list\n  mkc contract show message.received\n  mkc contract diff HEAD~20",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="every event type and record, with its version")
    show = actions.add_parser("show", help="one type: purpose, legal basis, fields; --json is its schema")
    show.add_argument("type", metavar="TYPE", help="as in ce_type")
    diff = actions.add_parser("diff", help="what changed for downstream since a git revision, in words")
    diff.add_argument("rev", metavar="REV", help="a commit, tag or branch of this repository")
    for each in (listing, show, diff):
        each.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _list(*, as_json: bool) -> int:
    found = schemas()
    if as_json:
        print(
            json.dumps(
                [
                    {"type": name, "version": version, "dataschema": schema["$id"]}
                    for (name, version), schema in found.items()
                ]
            )
        )
        return 0
    width = max(len(name) for name, _ in found)
    for (name, version), schema in found.items():
        print(f"{name:<{width}}  v{version}  {schema['description']}")
    return 0


def _show(name: str, *, as_json: bool) -> int:
    found = {known: schema for (known, _), schema in schemas().items()}
    schema = found.get(name)
    if schema is None:
        close = difflib.get_close_matches(name, found, n=3)
        hint = f"; do you mean {' or '.join(close)}?" if close else "; mkc contract list names them"
        print(f"mkc contract: no such type{hint}", file=sys.stderr)
        return 2
    if as_json:
        print(json.dumps(schema, ensure_ascii=False))
        return 0
    print(f"{name}  version {schema['x-version']}\n{textwrap.fill(schema['description'], _COLUMNS)}\n")
    kind = EVENT_TYPES.get(name)
    for word, value in _facts(kind) if kind is not None else [("schema", schema["$id"])]:
        print(textwrap.fill(f"{word:<15} {value}", _COLUMNS, subsequent_indent=" " * 16))
    rows = list(_fields(schema, schema, "", frozenset()))
    path_width = max(len(row[0]) for row in rows)
    print()
    for path, words, mark, meaning in rows:
        print(f"{path:<{path_width}}  {words}{f' ({mark})' if mark else ''}")
        if meaning:
            print(textwrap.fill(meaning, _COLUMNS, initial_indent="    ", subsequent_indent="    "))
    return 0


def _facts(kind: EventType) -> list[tuple[str, str]]:
    return [
        ("schema", kind.dataschema),
        ("purpose", kind.purpose),
        ("legal basis", str(kind.legal_basis)),
        ("retention", str(kind.retention)),
        ("scope", str(kind.scope)),
        ("Meta's source", kind.source),
        ("person", str(kind.subject)),
        ("conversation", kind.conversation),
        ("direction", ", ".join(kind.directions)),
        ("ce_time", str(kind.occurred_at)),
    ]


def _fields(
    root: Schema, schema: Schema, prefix: str, above: frozenset[str]
) -> Iterator[tuple[str, str, str, str]]:
    """Path, type, mark and meaning of each field, those of inner objects after the object.

    Where a document is one of several kinds, each kind is a row, and its fields stand under its name.
    """
    for choice in schema.get("oneOf", ()) if schema is root else ():
        kind, inner = str(choice["$ref"]).rpartition("/")[2], resolve(root, choice)
        yield kind, "object", "", inner.get("description", "")
        yield from _fields(root, inner, f"{kind}.", above)
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        mark = "personal" if field.get("x-personal") else ""
        words = _words(root, field)
        yield path, words if name in required else f"{words}?", mark, field.get("description", "")
        for inner_name, inner, many in _objects(root, field):
            if inner_name not in above:
                yield from _fields(root, inner, f"{path}{'[]' if many else ''}.", above | {inner_name})


def _objects(root: Schema, field: Schema, *, many: bool = False) -> Iterator[tuple[str, Schema, bool]]:
    if "$ref" in field:
        yield str(field["$ref"]), resolve(root, field), many
    for choice in (*field.get("anyOf", ()), *field.get("oneOf", ())):
        yield from _objects(root, choice, many=many)
    if isinstance(field.get("items"), dict):
        yield from _objects(root, field["items"], many=True)


def _words(root: Schema, field: Schema) -> str:
    if "$ref" in field:
        return "object" if "properties" in resolve(root, field) else _words(root, resolve(root, field))
    if "enum" in field or "const" in field:
        return "|".join(str(word) for word in field.get("enum", [field.get("const")]))
    choices: list[Any] = [*field.get("anyOf", ()), *field.get("oneOf", ())]
    if choices:
        return "|".join(dict.fromkeys(_words(root, choice) for choice in choices))
    if field.get("type") == "array":
        return f"[{_words(root, field.get('items', {}))}]"
    kinds = field.get("type", "anything")
    return "|".join(kinds) if isinstance(kinds, list) else str(kinds)


def _diff(revision: str, *, as_json: bool) -> int:
    found = all_changes(schemas_at(revision), {**schemas_here(), **schemas()})
    if as_json:
        print(
            json.dumps(
                [{"where": one.where, "what": one.what, "breaks": one.breaks} for one in found],
                ensure_ascii=False,
            )
        )
        return int(any(one.breaks for one in found))
    breaking = [one for one in found if one.breaks]
    for title, changes in (
        ("Breaks those who read the events:", breaking),
        ("Breaks nobody:", [one for one in found if not one.breaks]),
    ):
        if changes:
            print(title)
            for line in _grouped(changes):
                print(textwrap.fill(line, _COLUMNS, initial_indent="  ", subsequent_indent="      "))
    if not found:
        print("Nothing changed for those who read the events.")
    return int(bool(breaking))


def _grouped(changes: list[Change]) -> Iterator[str]:
    """A line for each difference, with every type that has it: types share their shapes."""
    types: dict[tuple[str, str], list[str]] = {}
    for change in changes:
        name, path = ".".join(change.where.split(".")[:2]), ".".join(change.where.split(".")[2:])
        types.setdefault((path, change.what), []).append(name)
    for (path, what), names in types.items():
        yield f"{path + ' ' if path else ''}{what}: {', '.join(names)}"
