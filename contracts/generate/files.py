"""Which generated files there are, and their text. The same declarations give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from contracts.events.registry import EVENT_TYPES
from contracts.generate import asyncapi
from contracts.generate.history import examples_here, schema_path
from contracts.generate.records import RECORDS
from contracts.generate.reference import Examples, page
from contracts.generate.register import register
from contracts.generate.schemas import Schema, event_schema, record_schema

ASYNCAPI: Final = "contracts/asyncapi.json"
REFERENCE: Final = "docs/reference/index.html"
REGISTERS: Final = {"en": "docs/reference/register.md", "pt": "docs/reference/register.pt-BR.md"}


@cache
def schemas() -> Mapping[tuple[str, int], Schema]:
    """The present schema of every event type and record, by name and version. Made once: never change it."""
    return MappingProxyType(
        {
            **{(name, kind.version): event_schema(kind) for name, kind in sorted(EVENT_TYPES.items())},
            **{
                (one.name, one.version): record_schema(one.name, one.version, one.urn, one.model)
                for one in RECORDS
            },
        }
    )


def generated(examples: Examples | None = None) -> dict[str, str]:
    """Text by path from the repository's root. `examples`: those of the working tree unless given."""
    made = schemas()
    return {
        **{schema_path(name, version): as_json(schema) for (name, version), schema in made.items()},
        ASYNCAPI: as_json(asyncapi.document(EVENT_TYPES)),
        REFERENCE: page(EVENT_TYPES, made, examples_here() if examples is None else examples),
        REGISTERS["en"]: register(EVENT_TYPES, "en"),
        REGISTERS["pt"]: register(EVENT_TYPES, "pt"),
    }


def as_json(value: Any) -> str:
    """Indented, in the order given, with letters as they are."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
