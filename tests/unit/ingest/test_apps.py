"""Secrets come from files that may change; what cannot be used is named by its setting and never shown."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import InvalidSettings
from ingest.apps import Apps, load_apps
from ingest.watch import Watched

SETTING = "MKC_INGEST_APPS_FILE"


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    fresh.chmod(mode)
    os.replace(fresh, path)


def declare(folder: Path, **apps: Any) -> Path:
    path = folder / "apps.json"
    write(path, json.dumps({"apps": apps}).encode(), 0o644)
    return path


def app(*secrets: str) -> dict[str, Any]:
    return {
        "secrets": [{"id": name, "file": f"{name}.secret"} for name in secrets],
        "verify_token_file": "token",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "token", b"tok\n")
    write(tmp_path / "old.secret", b"old-secret\r\n")
    write(tmp_path / "new.secret", b"new-secret")
    return tmp_path


def test_secrets_are_read_in_order_without_their_line_end(folder: Path) -> None:
    apps, files = load_apps(declare(folder, demo=app("new", "old")), SETTING)
    assert [(secret.id, secret.secret) for secret in apps["demo"].secrets] == [
        ("new", b"new-secret"),
        ("old", b"old-secret"),
    ]
    assert apps["demo"].verify_token == b"tok"
    assert {path.name for path in files} == {"apps.json", "new.secret", "old.secret", "token"}
    assert "tok" not in repr(apps["demo"]).replace("verify_token", "")


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_secret_is_refused(folder: Path, content: bytes) -> None:
    write(folder / "old.secret", content)
    with pytest.raises(InvalidSettings, match=SETTING):
        load_apps(declare(folder, demo=app("old")), SETTING)


def test_a_secret_that_others_may_read_is_refused(folder: Path) -> None:
    (folder / "old.secret").chmod(0o640)
    with pytest.raises(InvalidSettings, match="0600"):
        load_apps(declare(folder, demo=app("old")), SETTING)


@pytest.mark.parametrize(
    "apps",
    [
        {},
        {"demo": {"secrets": [], "verify_token_file": "token"}},
        {"demo": {"secrets": [{"id": "a", "file": "old.secret"}]}},
        {"demo": app("old", "old")},
        {"De mo": app("old")},
        {"demo": {**app("old"), "secret": "pasted-in-the-wrong-place"}},
        {"demo": app("absent")},
    ],
)
def test_an_unusable_apps_file_names_the_setting_and_shows_nothing(
    folder: Path, apps: dict[str, Any]
) -> None:
    with pytest.raises(InvalidSettings, match=SETTING) as caught:
        load_apps(declare(folder, **apps), SETTING)
    assert "pasted" not in str(caught.value)
    assert caught.value.__cause__ is None or isinstance(caught.value.__cause__, OSError)


def test_a_rotation_is_noticed_and_bad_content_keeps_the_old(folder: Path) -> None:
    path = declare(folder, demo=app("old"))
    watched: Watched[Apps] = Watched("apps", lambda: load_apps(path, SETTING))
    assert not watched.poll()
    declare(folder, demo=app("new", "old"))
    assert watched.poll()
    assert [secret.id for secret in watched.value["demo"].secrets] == ["new", "old"]
    write(path, b"{half a file")
    assert not watched.poll()
    assert not watched.poll()
    assert watched.refusals == 1
    assert [secret.id for secret in watched.value["demo"].secrets] == ["new", "old"]


def test_a_secret_file_that_follows_the_apps_file_is_picked_up(folder: Path) -> None:
    path = declare(folder, demo=app("old"))
    watched: Watched[Apps] = Watched("apps", lambda: load_apps(path, SETTING))
    declare(folder, demo=app("late", "old"))
    assert not watched.poll()
    write(folder / "late.secret", b"late")
    assert watched.poll()
    assert watched.value["demo"].secrets[0].secret == b"late"


def test_a_changed_secret_file_alone_is_noticed(folder: Path) -> None:
    path = declare(folder, demo=app("old"))
    watched: Watched[Apps] = Watched("apps", lambda: load_apps(path, SETTING))
    write(folder / "old.secret", b"rotated-secret")
    assert watched.poll()
    assert watched.value["demo"].secrets[0].secret == b"rotated-secret"
