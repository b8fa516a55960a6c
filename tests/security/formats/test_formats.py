"""Every format of ours, in the hands of whoever can change bytes: what was changed or moved is refused, typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.formats import records, stored
from tests.security.formats.form import Form, flipped, reheadered, resized, verdict

FORMS = (
    "cell",
    "wrapped DEK",
    "wrapped pseudonym key",
    "wrapped KEK",
    "export of the key tables",
    "raw keys' file",
    "event, as a reader opens it",
    "event, its epoch known already",
    "event, as the store opens it",
    "subject.erased",
    "sealed epoch key",
    "raw block",
    "erasure request",
    "quarantine addition of the store's",
    "quarantine addition of the router's",
    "control record",
    "grant's key",
)
"""A new format is one line here, and its form beside the others."""


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Form]:
    """By name."""
    folder: Path = tmp_path_factory.mktemp("formats")
    made = [*stored.forms(folder / "keyring"), *records.forms(folder / "secrets")]
    return {form.name: form for form in made}


def test_the_list_names_every_form(forms: dict[str, Form]) -> None:
    assert tuple(forms) == FORMS


@pytest.mark.parametrize("name", FORMS)
def test_a_bit_turned_at_any_position_is_refused_typed(forms: dict[str, Form], name: str) -> None:
    form = forms[name]
    form.open(form.pieces)
    tried = [(what, verdict(form, form.open, pieces)) for what, pieces in flipped(form.pieces, form.bits)]
    assert len(tried) == form.bits * sum(map(len, form.pieces.values()))
    assert [(what, why) for what, why in tried if why] == []


@pytest.mark.parametrize("name", FORMS)
def test_what_is_cut_extended_or_given_other_headers_is_refused_typed(
    forms: dict[str, Form], name: str
) -> None:
    form = forms[name]
    changes = [*resized(form.pieces), *reheadered(form.pieces, form.added)]
    assert [(what, why) for what, pieces in changes if (why := verdict(form, form.open, pieces))] == []


@pytest.mark.parametrize("name", FORMS)
def test_what_is_moved_to_another_place_is_refused_typed(forms: dict[str, Form], name: str) -> None:
    form = forms[name]
    assert [
        (what, why) for what, opening in form.moved.items() if (why := verdict(form, opening, form.pieces))
    ] == []
    assert len(form.moved) >= 2
