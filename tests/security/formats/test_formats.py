"""Every format of ours, in the hands of whoever can change bytes: what was changed or moved is refused, typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.formats import records, signed, stored
from tests.security.formats.form import Form, flipped, reheadered, resized, verdict
from tests.support.key_server import KeyServer
from tests.support.transit_server import served

FORMS = (
    "cell",
    "wrapped DEK",
    "wrapped pseudonym key",
    "wrapped evidence key",
    "wrapped KEK",
    "export of the key tables",
    "raw keys' file",
    "request keys' file",
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
    "fence",
    "outcome",
    "audit head",
    "fence, as a database keeps it",
    "audit head, as a database keeps it",
)
"""A new format is one line here, and its form beside the others."""
BY_DOUBLE = ("wrapped KEK, by double", "export of the key tables, by double")
BY_OPENBAO = ("wrapped KEK, by OpenBao", "export of the key tables, by OpenBao")
EVERY = pytest.mark.parametrize("name", FORMS + BY_DOUBLE + BY_OPENBAO)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Form]]:
    """By name."""
    folder: Path = tmp_path_factory.mktemp("formats")
    with served() as server:
        made = [
            *stored.forms(folder / "keyring"),
            *records.forms(folder / "secrets"),
            *signed.forms(),
            *stored.transit_forms(server, tmp_path_factory.mktemp("token")),
        ]
        yield {form.name: form for form in made}


@pytest.fixture(scope="module")
def by_openbao(openbao_server: KeyServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Form]:
    """Those that OpenBao itself wrapped; skips where it was not built."""
    return {
        form.name: form
        for form in stored.transit_forms(openbao_server, tmp_path_factory.mktemp("openbao-token"))
    }


@pytest.fixture
def form(name: str, made: dict[str, Form], request: pytest.FixtureRequest) -> Form:
    """The one of that name."""
    if name in BY_OPENBAO:
        found: Form = request.getfixturevalue("by_openbao")[name]
        return found
    return made[name]


def test_the_list_names_every_form(made: dict[str, Form]) -> None:
    assert tuple(made) == FORMS + BY_DOUBLE


@EVERY
def test_a_bit_turned_at_any_position_is_refused_typed(form: Form) -> None:
    form.open(form.pieces)
    tried = [(what, verdict(form, form.open, pieces)) for what, pieces in flipped(form.pieces, form.bits)]
    assert len(tried) == form.bits * sum(map(len, form.pieces.values()))
    assert [(what, why) for what, why in tried if why] == []


@EVERY
def test_what_is_cut_extended_or_given_other_headers_is_refused_typed(form: Form) -> None:
    changes = [*resized(form.pieces), *reheadered(form.pieces, form.added)]
    assert [(what, why) for what, pieces in changes if (why := verdict(form, form.open, pieces))] == []


@EVERY
def test_what_is_moved_to_another_place_is_refused_typed(form: Form) -> None:
    assert [
        (what, why) for what, opening in form.moved.items() if (why := verdict(form, opening, form.pieces))
    ] == []
    assert len(form.moved) >= 2
