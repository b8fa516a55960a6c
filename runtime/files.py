"""Secret files: checked permissions on reading, atomic 0600 on writing, put-if-absent for what several may make."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from pathlib import Path

from contracts.errors import InvalidSettings, KeyNotYetKnown

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")


def read_secret(path: Path, setting: str) -> bytes:
    """The file's bytes. Raises InvalidSettings naming `setting` if it is missing or others may read it."""
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError as exc:
        raise InvalidSettings(f"{setting}: the file cannot be read") from exc
    if stat.S_IMODE(mode) & 0o077:
        raise InvalidSettings(f"{setting}: the file is readable by others (make it 0600)")
    return content


def write_atomic(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Replace `path` in one step: a reader sees the old bytes or the new ones, also after a crash."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class SecretFolder:
    """Named secrets as 0600 files in a 0700 folder: no old versions are kept. The local form of a key provider's secrets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, name: str, content: bytes) -> None:
        """Write or replace."""
        write_atomic(self._path(name), content)

    def put_if_absent(self, name: str, content: bytes) -> bytes:
        """Write unless it exists; the content that stands in the end, whoever wrote it."""
        target = self._path(name)
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, target)
                sync_folder(self._folder)
            except FileExistsError:
                pass
        finally:
            Path(temporary).unlink(missing_ok=True)
        return target.read_bytes()

    def get(self, name: str) -> bytes:
        """Raises KeyNotYetKnown if there is none of that name."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError as exc:
            raise KeyNotYetKnown("no secret of that name yet") from exc

    def destroy(self, name: str) -> None:
        """Overwrite and remove; nothing happens if it is gone already."""
        path = self._path(name)
        try:
            with path.open("r+b") as file:
                file.write(os.urandom(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
        except FileNotFoundError:
            return
        path.unlink(missing_ok=True)
        sync_folder(self._folder)

    def names(self, prefix: str = "") -> list[str]:
        """Names of the secrets that begin with `prefix`, sorted."""
        return sorted(
            entry.name
            for entry in self._folder.iterdir()
            if entry.name.startswith(prefix) and entry.name[0] != "."
        )

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidSettings("a secret's name has characters it may not have")
        return self._folder / name


def sync_folder(folder: Path) -> None:
    """A rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
