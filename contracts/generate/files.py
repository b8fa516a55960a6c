"""Which generated files there are, and their text. The same declarations give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from contracts.events.registry import EVENT_TYPES, EventType
from contracts.generate.history import schema_path
from contracts.generate.schemas import event_schema


def generated(types: Mapping[str, EventType] = EVENT_TYPES) -> dict[str, str]:
    """Text by path from the repository's root."""
    schemas = {name: event_schema(kind) for name, kind in sorted(types.items())}
    return {schema_path(name, types[name].version): as_json(schema) for name, schema in schemas.items()}


def as_json(value: Any) -> str:
    """Indented, in the order given, with letters as they are."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
