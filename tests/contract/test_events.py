"""Every event type declares what the register of processing needs. PRIVACY.md section 1, rows 2 and 8."""

from __future__ import annotations

from typing import get_args

import pytest
from pydantic import BaseModel

from contracts.events.event import Event
from contracts.events.registry import EVENT_TYPES, EventType, LegalBasis, RetentionClass, Scope

TYPES = [pytest.param(kind, id=kind.name) for kind in EVENT_TYPES.values()]


def _subclasses(model: type[BaseModel]) -> set[type[BaseModel]]:
    inner = {deeper for child in model.__subclasses__() for deeper in _subclasses(child)}
    return inner | {child for child in model.__subclasses__() if not child.__name__.startswith("_")}


def _model_of(annotation: object) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


@pytest.mark.parametrize("kind", TYPES)
def test_a_type_declares_purpose_basis_retention_scope_and_personal_fields(kind: EventType) -> None:
    assert EVENT_TYPES[kind.name] is kind
    assert kind.version >= 1
    assert len(kind.purpose) > 20
    assert kind.legal_basis in LegalBasis
    assert kind.retention in RetentionClass
    assert kind.scope in {str(scope) for scope in Scope}
    assert kind.personal_fields
    assert kind.dataschema == f"urn:mkchannels:event:{kind.name}:{kind.version}"


@pytest.mark.parametrize("kind", TYPES)
def test_every_personal_field_exists_and_what_always_is_personal_is_declared(kind: EventType) -> None:
    assert {"person", "fragment", "envelope"} <= set(kind.personal_fields)
    for path in kind.personal_fields:
        model: type[BaseModel] | None = kind.model
        for name in path.split("."):
            assert model is not None, path
            assert name in model.model_fields, path
            model = _model_of(model.model_fields[name].annotation)


@pytest.mark.parametrize("kind", TYPES)
def test_a_model_is_frozen_ignores_additions_and_quotes_no_input(kind: EventType) -> None:
    assert issubclass(kind.model, Event)
    for model in filter(None, (kind.model, kind.part_model)):
        assert model.model_config.get("frozen") is True
        assert model.model_config.get("extra") == "ignore"
        assert model.model_config.get("hide_input_in_errors") is True
        assert model.__doc__


@pytest.mark.parametrize("kind", TYPES)
def test_the_typed_part_is_a_field_of_the_model(kind: EventType) -> None:
    if kind.part is not None:
        assert kind.model.model_fields[kind.part].annotation is kind.part_model


def test_every_model_of_an_event_is_registered() -> None:
    assert _subclasses(Event) == {kind.model for kind in EVENT_TYPES.values()}


def test_only_new_acts_open_a_generation() -> None:
    opening = {name for name, kind in EVENT_TYPES.items() if kind.opens_generation}
    assert opening == {"message.received", "message.sent", "postback.received", "comment.created"}


def test_no_event_repr_shows_what_was_said() -> None:
    model = EVENT_TYPES["message.received"].model
    event = model.model_validate(
        {
            "direction": "inbound",
            "account": {"kind": "page", "id": "1"},
            "person": {"psid": "SECRET"},
            "message": {"id": "SECRET", "text": "SECRET"},
            "fragment": {"x": "SECRET"},
            "envelope": {"x": "SECRET"},
        }
    )
    assert "SECRET" not in repr(event)
