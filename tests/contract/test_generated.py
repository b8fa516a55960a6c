"""What is committed is what the code declares: schemas, the AsyncAPI document, the reference, the register, the examples."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft202012Validator

from contracts import headers, topics
from contracts.events.registry import EVENT_TYPES
from contracts.generate import header_table
from contracts.generate.__main__ import breaks, stale
from contracts.generate.asyncapi import topic_specs
from contracts.generate.files import ASYNCAPI, REFERENCE, REGISTERS, generated, schemas
from contracts.generate.history import EXAMPLES, ROOT, revisions_with_readers, schemas_here
from contracts.generate.records import RECORDS
from router.split.delivery import split
from router.split.item import Item, data_json
from tests.support.corpus import FOLDER, bodies

VALIDATE: Final = ROOT / "contracts" / "validate"
COMMITTED: Final = schemas_here()
DOCUMENT: Final[dict[str, Any]] = json.loads((ROOT / ASYNCAPI).read_bytes())


def test_nothing_committed_is_stale() -> None:
    assert stale(ROOT) == []


def test_a_stale_a_missing_and_a_left_over_file_are_named(tmp_path: Path) -> None:
    for name, text in generated().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert stale(tmp_path) == []
    (tmp_path / ASYNCAPI).write_text("{}")
    (tmp_path / "contracts/schemas/message.received/1.json").unlink()
    shutil.copytree(tmp_path / "contracts/schemas/message.sent", tmp_path / "contracts/schemas/message.lost")
    assert sorted(stale(tmp_path)) == [
        "contracts/asyncapi.json: is stale",
        "contracts/schemas/message.lost/1.json: belongs to nothing that is declared",
        "contracts/schemas/message.received/1.json: is missing",
    ]


def test_a_change_that_breaks_readers_since_a_revision_is_found(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    older = schemas()["message.received", 1]
    older = {**older, "required": [*older["required"], "mood"]}
    older["properties"] = {**older["properties"], "mood": {"type": "string"}}
    path = tmp_path / "contracts/schemas/message.received/1.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(older))
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "what readers have")
    git("commit", "-q", "-m", "later", "--allow-empty")
    git("commit", "-q", "-m", "later still", "--allow-empty")
    # Before the first release the revision that changed a schema counts, however far back it is.
    before_any_release = revisions_with_readers(tmp_path)
    assert before_any_release[1:] == ["HEAD", "HEAD^"]
    assert breaks(tmp_path, before_any_release[:1]) == ["message.received.mood: is gone"]
    git("tag", "v0.1", "HEAD~2")
    assert revisions_with_readers(tmp_path) == ["v0.1", "HEAD", "HEAD^"]
    assert breaks(tmp_path, ["v0.1"]) == ["message.received.mood: is gone"]


def test_nothing_that_readers_may_have_is_broken() -> None:
    assert breaks(ROOT, revisions_with_readers()) == []


@pytest.mark.parametrize("key", COMMITTED, ids=lambda key: f"{key[0]}-{key[1]}")
def test_a_committed_schema_is_a_schema_and_stands_under_its_own_name(key: tuple[str, int]) -> None:
    schema = COMMITTED[key]
    Draft202012Validator.check_schema(schema)
    assert (schema["title"], schema["x-version"]) == key


def test_every_personal_field_is_marked_and_nothing_else_is() -> None:
    made = schemas()
    for name, kind in EVENT_TYPES.items():
        assert sorted(set(_marked(made[name, kind.version]))) == sorted(
            {path.rpartition(".")[2] for path in kind.personal_fields}
        )


def _marked(schema: Any) -> list[str]:
    found: list[str] = []
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            if inner.get("x-personal"):
                found.append(name)
        for inner in schema.values():
            found += _marked(inner)
    if isinstance(schema, list):
        for inner in schema:
            found += _marked(inner)
    return found


def test_every_header_that_code_names_is_in_the_table() -> None:
    named = {value for name, value in vars(headers).items() if name.startswith(("CE_", "MK_", "EK_", "Q_"))}
    described = {
        header.name
        for table in (header_table.EVENT, header_table.RAW, header_table.EPOCH, header_table.ADDED)
        for header in table
    }
    assert named == described


def test_every_topic_is_a_channel_with_its_configuration() -> None:
    by_address = {channel["address"]: channel for channel in DOCUMENT["channels"].values()}
    assert by_address.keys() == {spec.name for spec in topic_specs()}
    assert {spec.name for spec in topics.STATIC_TOPICS} < by_address.keys()
    for spec in topic_specs():
        configuration = by_address[spec.name]["bindings"]["kafka"]["topicConfiguration"]
        declared = spec.config()
        assert str(configuration["retention.ms"]) == declared["retention.ms"]
        assert ",".join(configuration["cleanup.policy"]) == declared["cleanup.policy"]
        assert str(configuration["max.message.bytes"]) == declared["max.message.bytes"]


def test_every_topic_describes_what_is_written_on_it() -> None:
    assert all(channel["messages"] for channel in DOCUMENT["channels"].values())


def test_every_event_and_record_is_a_message_of_its_channel_and_every_reference_holds() -> None:
    messages = DOCUMENT["components"]["messages"]
    assert set(EVENT_TYPES) | {record.name for record in RECORDS if not record.is_within} <= messages.keys()
    on_channels = {name for channel in DOCUMENT["channels"].values() for name in channel["messages"]}
    assert on_channels == messages.keys()
    for reference in _references(DOCUMENT):
        path, _, pointer = reference.partition("#")
        target: Any = json.loads((ROOT / "contracts" / path).read_bytes()) if path else DOCUMENT
        for step in filter(None, pointer.split("/")):
            target = target[step]


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for inner in value for found in _references(inner)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for inner in value.values() for found in _references(inner)]


EXAMPLE_FILES: Final = sorted((ROOT / EXAMPLES).glob("*/*/*.json"))


def test_every_event_type_has_an_example() -> None:
    assert {(path.parent.parent.name, int(path.parent.name)) for path in EXAMPLE_FILES} >= {
        (name, kind.version) for name, kind in EVENT_TYPES.items()
    }


@pytest.mark.parametrize("path", EXAMPLE_FILES, ids=lambda path: "-".join(path.parts[-3:]))
def test_every_example_of_every_version_fits_its_schema_and_is_still_read(path: Path) -> None:
    name, version = path.parent.parent.name, int(path.parent.name)
    data = json.loads(path.read_bytes())
    validator = Draft202012Validator(COMMITTED[name, version])
    assert [error.json_path for error in validator.iter_errors(data)] == []
    model = EVENT_TYPES[name].model_for(version)
    assert model is not None
    model.model_validate_json(path.read_bytes())
    model.model_validate({**data, "a_field_of_tomorrow": [1]})


@pytest.mark.corpus
@pytest.mark.skipif(not FOLDER.is_dir(), reason="the recorded corpus is not here")
def test_what_the_splitter_makes_of_the_corpus_fits_the_published_schemas() -> None:
    validators = {
        name: Draft202012Validator(COMMITTED[name, kind.version]) for name, kind in EVENT_TYPES.items()
    }
    wrong = [
        (body.name, item.event_type, error.json_path)
        for body in bodies()
        for item in split(body.raw())
        if isinstance(item, Item)
        for error in validators[item.event_type].iter_errors(json.loads(data_json(item)))
    ]
    assert wrong == []


def test_the_reference_needs_nothing_from_elsewhere_and_every_link_in_it_has_an_end() -> None:
    page = (ROOT / REFERENCE).read_text(encoding="utf-8")
    assert not re.search(r"<(script|img|link|iframe)\b|@import|url\(", page)
    anchors = re.findall(r'\bid="([^"]+)"', page)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(anchors)
    assert set(re.findall(r'href="([^"]+)"', page)) == {
        f"#{name}" for name in re.findall(r'href="#([^"]+)"', page)
    }
    assert {*EVENT_TYPES, *(record.name for record in RECORDS)} <= set(anchors)


@pytest.mark.parametrize("language", REGISTERS)
def test_the_register_names_every_type_topic_and_personal_field(language: str) -> None:
    register = (ROOT / REGISTERS[language]).read_text(encoding="utf-8")
    for name, kind in EVENT_TYPES.items():
        row = next(line for line in register.splitlines() if line.startswith(f"| `{name}` |"))
        assert all(f"`{path}`" in row for path in kind.personal_fields)
    assert all(f"| `{spec.name}` |" in register for spec in topic_specs())


@pytest.mark.skipif(shutil.which("node") is None or shutil.which("npm") is None, reason="no Node.js here")
def test_the_asyncapi_projects_own_parser_finds_the_document_valid() -> None:
    done = subprocess.run(
        ["make", "--silent", "contracts/validate/node_modules/.installed"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        ["node", str(VALIDATE / "validate.js"), str(ROOT / ASYNCAPI)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "valid" in done.stdout
