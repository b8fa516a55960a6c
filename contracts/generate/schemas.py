"""JSON Schema 2020-12 of each event type's `data`, made from its model and from what the registry declares.

`x-personal: true` on a property covers everything under it. A reader must ignore properties that it does not know:
nothing here says `additionalProperties: false`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from contracts.events.registry import EventType
from contracts.generate import docstrings

Schema = dict[str, Any]
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REF: Final = "#/$defs/"


class _WithoutTitles(GenerateJsonSchema):
    """Pydantic's schemas without a title on each field: it only repeats the name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def event_schema(kind: EventType) -> Schema:
    """The schema of one event type in its present version."""
    made = _described(kind.model)
    for path in kind.personal_fields:
        mark_personal(made, path)
    made = _compact(made)
    definitions = made.pop("$defs", None)
    schema = {
        "$schema": DIALECT,
        "$id": kind.dataschema,
        "title": kind.name,
        "description": made.pop("description", ""),
        "x-version": kind.version,
        "x-purpose": kind.purpose,
        "x-legal-basis": str(kind.legal_basis),
        "x-retention": str(kind.retention),
        "x-scope": str(kind.scope),
        "x-opens-generation": kind.opens_generation,
        "x-source": kind.source,
        "x-subject": str(kind.subject),
        "x-conversation": kind.conversation,
        "x-directions": list(kind.directions),
        "x-occurred-at": str(kind.occurred_at),
        **{name: value for name, value in made.items() if name != "title"},
    }
    if definitions is not None:
        schema["$defs"] = definitions
    return schema


def record_schema(name: str, version: int, urn: str, model: type[BaseModel]) -> Schema:
    """The schema of what is not an event of Meta's: a notice, a ledger line, a control record, an erasure request."""
    made = _compact(_described(model))
    return {"$schema": DIALECT, "$id": urn, "title": name, "x-version": version, **made}


def _compact(schema: Any) -> Any:
    """The same with `anyOf: [{type: a}, {type: "null"}]` written as `type: [a, "null"]`."""
    if isinstance(schema, list):
        return [_compact(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    choices = schema.get("anyOf")
    if isinstance(choices, list) and all(
        isinstance(choice, dict) and set(choice) == {"type"} for choice in choices
    ):
        rest = {name: inner for name, inner in schema.items() if name != "anyOf"}
        schema = {"type": [choice["type"] for choice in choices], **rest}
    return {name: _compact(inner) for name, inner in schema.items()}


def _described(model: type[BaseModel]) -> Schema:
    made: Schema = model.model_json_schema(schema_generator=_WithoutTitles)
    made.pop("discriminator", None)  # OpenAPI's word, an object there; AsyncAPI has another of that name
    models = {found.__name__: found for found in _models(model, set())}
    for name, part in ((model.__name__, made), *made.get("$defs", {}).items()):
        found = models.get(name)
        if found is None:
            continue
        part.pop("title", None)
        part["description"] = docstrings.of_model(found)
        for field, text in docstrings.of_fields(found).items():
            if text and field in part.get("properties", {}):
                part["properties"][field]["description"] = text
    return made


def _models(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    seen.add(model)
    yield model
    for field in model.model_fields.values():
        for inner in _models_in(field.annotation):
            if inner not in seen:
                yield from _models(inner, seen)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)


def resolve(root: Schema, schema: Schema) -> Schema:
    """The schema that a `$ref` into `$defs` names, or the schema itself."""
    ref = schema.get("$ref")
    if not isinstance(ref, str) or not ref.startswith(_REF):
        return schema
    return cast(Schema, root["$defs"][ref.removeprefix(_REF)])


def objects_in(root: Schema, schema: Schema) -> Iterator[Schema]:
    """Every object schema that a value of this schema may be, or may be a list of."""
    schema = resolve(root, schema)
    if "properties" in schema:
        yield schema
    for inner in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from objects_in(root, inner)
    for inner in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(inner, dict):
            yield from objects_in(root, inner)


def mark_personal(root: Schema, path: str) -> None:
    """Set `x-personal` on the property at a dotted path. Raises KeyError if there is none."""
    *parents, last = path.split(".")
    found = [root]
    for name in parents:
        found = [
            inner
            for part in found
            if name in part["properties"]
            for inner in objects_in(root, part["properties"][name])
        ]
    marked = [part["properties"][last] for part in found if last in part["properties"]]
    if not marked:
        raise KeyError(path)
    for each in marked:
        each["x-personal"] = True
