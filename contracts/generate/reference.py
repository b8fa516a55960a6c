"""The reference as one HTML page: topics, headers, every event and record with its fields, personal marks and an example.

No script, no font, no image, nothing from elsewhere: it reads the same from a disk in ten years.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from contracts.events.registry import EventType
from contracts.generate import header_table
from contracts.generate.asyncapi import topic_specs
from contracts.generate.header_table import Header
from contracts.generate.records import RECORDS
from contracts.generate.register_words import LEGAL_BASES
from contracts.generate.schemas import Schema, resolve
from contracts.topics import DAY_MS, HOUR_MS, MIB, TopicSpec

Schemas = Mapping[tuple[str, int], Schema]
Examples = Mapping[tuple[str, int], Mapping[str, str]]
"""Event type and version to file name to text."""

_YEAR_MS: Final = 365 * DAY_MS
STYLE: Final = Path(__file__).with_name("reference.css").read_text(encoding="utf-8")


def page(types: Mapping[str, EventType], schemas: Schemas, examples: Examples) -> str:
    """The whole page."""
    families: dict[str, list[EventType]] = {}
    for name, kind in sorted(types.items()):
        families.setdefault(name.partition(".")[0], []).append(kind)
    shapes = _shapes(schemas)
    sections = [
        ("topics", "Topics", _topics()),
        ("headers", "Headers", _headers()),
        ("events", "Events", _events(families, schemas, examples)),
        ("records", "Other records", _records(schemas)),
        ("shapes", "Shapes", _shape_list(shapes)),
    ]
    contents = "".join(f'<li><a href="#{anchor}">{title}</a></li>' for anchor, title, _ in sections)
    index = "".join(
        f"<li>{escape(family)}: {', '.join(_link(kind.name, kind.name) for kind in kinds)}</li>"
        for family, kinds in families.items()
    )
    body = "\n".join(
        f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{title}</h2>\n{content}\n</section>'
        for anchor, title, content in sections
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>MKChannels ingest: contract reference</title>
<style>
{STYLE}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<h1>MKChannels ingest: contract reference</h1>
<p>Webhooks of Meta, verified once, kept in Kafka, handed on as CloudEvents sealed for one tenant. Generated from
<code>contracts</code> by <code>make docs</code>.</p>
<nav aria-label="Contents"><ul>{contents}</ul></nav>
</header>
<main id="main">
<details><summary>All {len(types)} event types</summary><ul class="index">{index}</ul></details>
{body}
</main>
</body>
</html>
"""


def _topics() -> str:
    rows = ([_code(spec.name), escape(spec.purpose), *_facts(spec)] for spec in topic_specs())
    names = ("topic", "what lies on it", "written by", "read by", "partitions", "kept", "largest record")
    return _table("Topics", names, rows)


def _facts(spec: TopicSpec) -> tuple[str, str, str, str, str]:
    kept = spec.retention_ms
    if kept is None:
        duration = "the last of each key"
    elif kept > 2 * _YEAR_MS:
        duration = f"{kept // _YEAR_MS} years"
    else:
        duration = f"{kept // DAY_MS} days" if kept > 4 * DAY_MS else f"{kept // HOUR_MS} hours"
    partitions = "set with the slot" if "{slot}" in spec.name else str(spec.partitions)
    return (
        ", ".join(spec.producers),
        ", ".join(spec.consumers),
        partitions,
        duration,
        f"{spec.max_message_bytes // MIB} MiB",
    )


def _headers() -> str:
    groups: tuple[tuple[str, Sequence[Header]], ...] = (
        ("On every event", header_table.EVENT),
        ("On every sealed record", header_table.EPOCH),
        ("On raw blocks", header_table.RAW),
        ("On records in quarantine and on those put back", header_table.ADDED),
        ("On control records", header_table.CONTROL),
        ("On erasure requests", header_table.REQUEST),
    )
    return "\n".join(
        _table(
            title,
            ("header", "there", "form", "meaning"),
            (
                [
                    _code(header.name),
                    "always" if header.always else "sometimes",
                    _code(header.pattern) if header.pattern else "bytes",
                    _prose(header.meaning),
                ]
                for header in headers
            ),
        )
        for title, headers in groups
    )


def _events(families: Mapping[str, Sequence[EventType]], schemas: Schemas, examples: Examples) -> str:
    parts = [
        "<p>Ignore fields that you do not know: new ones may come at any time without a new version. A field marked "
        "<b>personal</b> is so with everything under it.</p>"
    ]
    for family, kinds in families.items():
        parts.append(f'<h3 id="family-{family}">{escape(family)}</h3>')
        for kind in kinds:
            schema = schemas[kind.name, kind.version]
            parts.append(_event(kind, schema, examples.get((kind.name, kind.version), {})))
    return "\n".join(parts)


def _event(kind: EventType, schema: Schema, examples: Mapping[str, str]) -> str:
    facts = (
        ("version", str(kind.version)),
        ("purpose", escape(kind.purpose)),
        ("legal basis", escape(LEGAL_BASES[str(kind.legal_basis)]["en"])),
        ("retention class", _code(str(kind.retention))),
        ("consent scope", _code(str(kind.scope))),
        ("Meta's source", _prose(kind.source)),
        ("person", escape(kind.subject)),
        ("conversation", escape(kind.conversation)),
        ("direction", escape(", ".join(kind.directions))),
        ("<code>ce_time</code>", _prose(kind.occurred_at)),
    )
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts)
    shown = "".join(
        f'<details><summary>Example {escape(name)}</summary><pre tabindex="0">{escape(text.strip())}</pre></details>'
        for name, text in sorted(examples.items())
    )
    return (
        f'<article id="{kind.name}"><h4>{_code(kind.name)}</h4><p>{_prose(schema["description"])}</p>'
        f"<dl>{listed}</dl>{_fields(kind.name, schema, schema)}{shown}</article>"
    )


def _records(schemas: Schemas) -> str:
    return "\n".join(
        f'<article id="{record.name}"><h3>{_code(record.name)}</h3>'
        f"<p>{_prose(schemas[record.name, record.version]['description'])}</p>"
        f"<dl><dt>topic</dt><dd>{_code(record.topic)}</dd><dt>key</dt><dd>{_prose(record.key)}</dd>"
        f"<dt>value</dt><dd>{'sealed' if record.sealed else 'plain'} JSON</dd></dl>"
        f"{_fields(record.name, schemas[record.name, record.version], schemas[record.name, record.version])}</article>"
        for record in RECORDS
    )


def _shapes(schemas: Schemas) -> dict[str, tuple[Schema, Schema]]:
    """Every definition with properties, with the schema it stands in. Raises ValueError if two differ under one name."""
    found: dict[str, tuple[Schema, Schema]] = {}
    for root in schemas.values():
        for name, shape in root.get("$defs", {}).items():
            if found.setdefault(name, (root, shape))[1] != shape:
                raise ValueError(f"two different shapes are called {name}")
    return dict(sorted(found.items()))


def _shape_list(shapes: Mapping[str, tuple[Schema, Schema]]) -> str:
    return "\n".join(
        f'<article id="shape-{name}"><h3>{_code(name)}</h3><p>{_prose(shape.get("description", ""))}</p>'
        + (_fields(name, root, shape) if "properties" in shape else f"<p>{_words(root, shape)}</p>")
        + "</article>"
        for name, (root, shape) in shapes.items()
    )


def _fields(caption: str, root: Schema, shape: Schema) -> str:
    required = set(shape.get("required", ()))
    rows = (
        [
            _code(name),
            _words(root, field),
            "always" if name in required else "optional",
            "<b>personal</b>" if field.get("x-personal") else "",
            _prose(field.get("description", "")),
        ]
        for name, field in shape.get("properties", {}).items()
    )
    return _table(f"Fields of {caption}", ("field", "type", "there", "privacy", "meaning"), rows)


def _words(root: Schema, field: Schema) -> str:
    """A field's type in words, with links to shapes."""
    return " or ".join(dict.fromkeys(_kinds(root, field))) or "anything"


def _kinds(root: Schema, field: Schema) -> Iterator[str]:
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        yield _link(f"shape-{name}", name) if resolve(root, field) else escape(name)
    elif "const" in field:
        yield _code(_json(field["const"]))
    elif "enum" in field:
        yield ", ".join(_code(_json(word)) for word in field["enum"])
    elif "anyOf" in field or "oneOf" in field:
        for choice in (*field.get("anyOf", ()), *field.get("oneOf", ())):
            yield from _kinds(root, choice)
    elif field.get("type") == "array":
        yield f"list of {_words(root, field.get('items', {}))}"
    elif isinstance(field.get("additionalProperties"), dict):
        yield f"map to {_words(root, field['additionalProperties'])}"
    elif "type" in field:
        kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
        form = f" ({escape(field['format'])})" if "format" in field else ""
        yield from (escape(kind) + (form if kind == "string" else "") for kind in kinds)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _table(caption: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "\n".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="{escape(caption)}"><table><caption>{escape(caption)}'
        f"</caption><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _link(anchor: str, text: str) -> str:
    return f'<a href="#{anchor}">{_code(text)}</a>'


def _prose(text: str) -> str:
    """Text in which `backticks` are code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if position % 2 else part for position, part in enumerate(parts))
