"""Which generated files there are, and their text. The same declarations give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from contracts.events.registry import EVENT_TYPES, EventType
from contracts.generate import asyncapi
from contracts.generate.history import schema_path
from contracts.generate.records import RECORDS
from contracts.generate.schemas import Schema, event_schema, record_schema

ASYNCAPI: Final = "contracts/asyncapi.json"


def schemas(types: Mapping[str, EventType] = EVENT_TYPES) -> dict[tuple[str, int], Schema]:
    """The present schema of every event type and record, by name and version."""
    return {
        **{(name, kind.version): event_schema(kind) for name, kind in sorted(types.items())},
        **{
            (one.name, one.version): record_schema(one.name, one.version, one.urn, one.model)
            for one in RECORDS
        },
    }


def generated(types: Mapping[str, EventType] = EVENT_TYPES) -> dict[str, str]:
    """Text by path from the repository's root."""
    made = schemas(types)
    return {
        **{schema_path(name, version): as_json(schema) for (name, version), schema in made.items()},
        ASYNCAPI: as_json(asyncapi.document(types)),
    }


def as_json(value: Any) -> str:
    """Indented, in the order given, with letters as they are."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
