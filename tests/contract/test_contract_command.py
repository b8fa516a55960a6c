"""`mkc contract` as an operator or a downstream engineer uses it."""

from __future__ import annotations

import json

import pytest

from contracts.events.registry import EVENT_TYPES
from contracts.generate.breaking import Change
from contracts.generate.cli import main
from contracts.generate.files import schemas
from runtime.mkc import main as mkc


def test_list_names_every_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == [name for name, _ in schemas()]


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_show_says_purpose_basis_and_every_field_on_eighty_columns(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", name]) == 0
    printed = capsys.readouterr().out
    words = " ".join(printed.split())
    assert EVENT_TYPES[name].purpose in words
    assert str(EVENT_TYPES[name].legal_basis) in words
    _, _, fields = printed.split("\n\n")
    marked = {
        line.split()[0].replace("[]", "") for line in fields.splitlines() if line.endswith("(personal)")
    }
    assert marked == set(EVENT_TYPES[name].personal_fields)
    assert not [line for line in printed.splitlines() if line.startswith(" ") and len(line) > 80]


@pytest.mark.parametrize("name", sorted({name for name, _ in schemas()} - EVENT_TYPES.keys()))
def test_show_says_every_field_of_a_record_on_eighty_columns(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", name]) == 0
    printed = capsys.readouterr().out
    schema = next(made for (known, _), made in schemas().items() if known == name)
    kinds = [choice["$ref"].rpartition("/")[2] for choice in schema.get("oneOf", ())]
    fields = {
        *schema.get("properties", {}),
        *(f"{kind}.{field}" for kind in kinds for field in schema["$defs"][kind]["properties"]),
    }
    assert fields
    assert fields <= {line.split()[0] for line in printed.splitlines() if line and not line.startswith(" ")}
    description, _, _ = printed.partition("\n\n")
    assert [line for line in description.splitlines() if len(line) > 80] == []


def test_show_as_json_is_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert mkc(["contract", "show", "message.received", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == schemas()["message.received", 1]


def test_a_misspelt_type_gets_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "message.recieved"]) == 2
    assert "message.received" in capsys.readouterr().err


def test_a_revision_that_git_does_not_know_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert mkc(["contract", "diff", "no-such-revision"]) == 2
    assert "no such revision" in capsys.readouterr().err


def test_a_difference_of_a_shared_shape_is_said_once_and_what_breaks_comes_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        Change("comment.created.comment.text", "is new and optional"),
        Change("comment.edited.comment.text", "is new and optional"),
        Change("lead.received", "the event type is gone", breaks=True),
    ]
    monkeypatch.setattr("contracts.generate.cli.schemas_at", lambda revision: {})
    monkeypatch.setattr("contracts.generate.cli.all_changes", lambda old, new: found)
    assert main(["diff", "HEAD"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "Breaks those who read the events:",
        "  the event type is gone: lead.received",
        "Breaks nobody:",
        "  comment.text is new and optional: comment.created, comment.edited",
    ]
