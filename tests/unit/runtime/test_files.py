"""Secret files: refused when others may read them, replaced in one step, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import InvalidSettings, KeyNotYetKnown
from runtime.files import SecretFolder, read_secret, write_atomic


def test_a_file_that_others_may_read_is_refused_by_name_of_the_setting(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"hunter2")
    path.chmod(0o644)
    with pytest.raises(InvalidSettings, match="SIGNING_KEY_FILE") as caught:
        read_secret(path, "SIGNING_KEY_FILE")
    assert "hunter2" not in str(caught.value)
    path.chmod(0o600)
    assert read_secret(path, "SIGNING_KEY_FILE") == b"hunter2"


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="SIGNING_KEY_FILE"):
        read_secret(tmp_path / "none", "SIGNING_KEY_FILE")


def test_replacing_is_atomic_and_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"one")
    write_atomic(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_of_two_that_make_a_secret_both_get_the_first(tmp_path: Path) -> None:
    folder = SecretFolder(tmp_path / "secrets")
    assert folder.put_if_absent("raw-20261126", b"one") == b"one"
    assert folder.put_if_absent("raw-20261126", b"two") == b"one"
    assert folder.names("raw-") == ["raw-20261126"]


def test_a_destroyed_secret_is_not_known_and_destroying_twice_is_nothing(tmp_path: Path) -> None:
    folder = SecretFolder(tmp_path / "secrets")
    folder.put("root-1", b"key")
    folder.destroy("root-1")
    folder.destroy("root-1")
    with pytest.raises(KeyNotYetKnown):
        folder.get("root-1")


@pytest.mark.parametrize("name", ["../x", "", ".hidden", "a/b", "A", "x" * 200])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidSettings):
        SecretFolder(tmp_path / "secrets").put(name, b"x")
