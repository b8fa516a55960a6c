"""Every event type declares what the register of processing needs. PRIVACY.md section 1, rows 2 and 8."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args

import pytest
from pydantic import BaseModel

from contracts.events.declaration import Family, personal_paths
from contracts.events.event import PERSONAL, Event, PersonalText, PublicText, Value
from contracts.events.listing import PAGE, renewed
from contracts.events.registry import (
    EVENT_TYPES,
    UNKNOWN,
    EventType,
    LegalBasis,
    Moment,
    RetentionClass,
    Scope,
    Subject,
)
from router.split import Item, split

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"

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
    assert kind.subject in Subject
    assert kind.occurred_at in Moment
    assert kind.directions
    assert set(kind.directions) <= {"inbound", "outbound", "system"}
    assert re.match(r"(page|instagram|whatsapp|permissions|user|any object)\b", kind.source)
    assert len(kind.description) > 15
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", kind.name)
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


class _Silent(Value):
    loud: PublicText = None
    silent: str | None = None


class _SilentReceived(Value):
    part: _Silent


def test_a_field_that_is_neither_personal_nor_public_fails_the_build() -> None:
    with pytest.raises(TypeError, match=r"_Silent.silent"):
        list(personal_paths(_SilentReceived))


class _Declared(Value):
    shown: PublicText = None
    hidden: PersonalText = None


class _DeclaredReceived(Value):
    whole: Annotated[_Declared | None, PERSONAL] = None
    one: _Declared
    several: tuple[_Declared, ...] = ()


def test_personal_fields_are_found_inside_models_and_lists_and_cover_what_is_under_them() -> None:
    assert list(personal_paths(_DeclaredReceived)) == ["whole", "one.hidden", "several.hidden"]


def _public_leaves(
    value: object, model: type[BaseModel] | None, personal: set[str], path: str
) -> Iterator[str]:
    """Texts of a typed part that are not under a personal field."""
    if path in personal:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _public_leaves(inner, model, personal, f"{path}.{name}")
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _public_leaves(inner, model, personal, path)
    elif isinstance(value, str):
        yield value


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="needs ../shared/corpus")
def test_no_id_of_a_person_or_message_ever_stands_in_a_public_field() -> None:
    looked_at = 0
    for path in sorted(CORPUS.rglob("*.json")):
        for item in split(path.read_bytes()):
            if not isinstance(item, Item):
                continue
            kind = EVENT_TYPES[item.event_type]
            if kind.part is None:
                continue
            told = {alias.value for alias in item.aliases} | {item.native_id, item.message_id}
            for leaf in _public_leaves(
                item.data[kind.part], kind.part_model, set(kind.personal_fields), kind.part
            ):
                looked_at += 1
                assert not any(len(one) > 5 and one in leaf for one in told if one), (path.name, kind.name)
    assert looked_at > 500


def test_every_model_of_an_event_is_registered() -> None:
    ours = {model for model in _subclasses(Event) if model.__module__.startswith("contracts.events.")}
    assert ours == {model for kind in EVENT_TYPES.values() for model in (kind.model, *kind.past.values())}


def test_there_is_one_type_to_a_model_so_that_its_docstring_says_what_happened() -> None:
    assert len({kind.model for kind in EVENT_TYPES.values()}) == len(EVENT_TYPES)


@pytest.mark.parametrize("kind", TYPES)
def test_no_type_is_spelled_as_meta_spells_it(kind: EventType) -> None:
    spelled = {word.lower() for word in re.findall(r"`([^`]+)`", kind.source)}
    assert kind.name not in spelled
    assert not kind.name.startswith("smb_")


def test_the_page_about_events_lists_the_types_as_they_are_declared() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert renewed(page) == page, "run python -m contracts.events.listing"


UNKNOWN_AT_MOST = 0.02


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="needs ../shared/corpus")
def test_of_the_corpus_at_most_two_items_in_a_hundred_are_unknown_and_each_has_its_reason_on_the_page() -> (
    None
):
    items = [
        item
        for path in sorted(CORPUS.rglob("*.json"))
        for item in split(path.read_bytes())
        if isinstance(item, Item)
    ]
    unknown = [item for item in items if item.event_type == UNKNOWN]
    assert len(unknown) <= UNKNOWN_AT_MOST * len(items)
    page = PAGE.read_text(encoding="utf-8")
    assert f"{len(unknown)} of {len(items)} items" in page
    for item in unknown:
        name = item.data["field"]
        assert (f"`{name}`" if name else "page, none") in page


def test_a_declaration_needs_everything() -> None:
    with pytest.raises(TypeError):
        Family("a purpose that is long enough", RetentionClass.UNKNOWN)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        EventType(name="x.y", version=1)  # type: ignore[call-arg]


def test_only_acts_of_the_person_and_new_messages_of_the_business_open_a_generation() -> None:
    """PRIVACY.md section 3: statuses, reads, reactions, edits, imports and reports about a person never do."""
    opening = {name for name, kind in EVENT_TYPES.items() if kind.opens_generation}
    assert opening == {
        "message.received",
        "message.sent",
        "postback.received",
        "optin.received",
        "referral.received",
        "account_link.changed",
        "game.played",
        "camera.used",
        "feedback.received",
        "cart.sent",
        "payment.received",
        "checkout.started",
        "checkout.updated",
        "call.started",
        "preference.changed",
        "comment.created",
        "post.published",
        "mention.received",
        "rating.created",
    }
    assert all({"inbound", "outbound"} & set(EVENT_TYPES[name].directions) for name in opening)


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
