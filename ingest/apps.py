"""Meta's apps: their live secrets and verify tokens, read from files that only this process may read.

The apps file, with paths relative to it (or absolute), the secret that signs most first::

    {"apps": {"demo": {"secrets": [{"id": "meta-2026", "file": "meta-2026.secret"},
                                   {"id": "instagram-login", "file": "instagram.secret"}],
                       "verify_token_file": "demo.verify"}}}

Must never show a secret or token: errors name the setting and the app's place, nothing of the content.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.errors import InvalidSettings
from ingest.signature import AppSecret
from runtime.files import read_secret

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class App:
    """One app of Meta's: ordered live secrets (old and new, Instagram-Login beside Meta) and its verify token."""

    name: str
    secrets: tuple[AppSecret, ...]
    verify_token: bytes = field(repr=False)


Apps = Mapping[str, App]


class _Secret(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    file: Path


class _App(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    secrets: tuple[_Secret, ...] = Field(min_length=1, max_length=8)
    verify_token_file: Path


class _AppsFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    apps: dict[str, _App] = Field(min_length=1)


def load_apps(path: Path, setting: str) -> tuple[Apps, tuple[Path, ...]]:
    """All apps, and every file that they were read from. Relative paths are relative to the apps file.

    Raises InvalidSettings naming `setting` if a file is missing, empty, readable by others or not of this form.
    """
    try:
        declared = _AppsFile.model_validate_json(path.read_bytes())
    except OSError as exc:
        raise InvalidSettings(f"{setting}: the file cannot be read") from exc
    except ValidationError:
        # Without the cause: a secret pasted in the wrong place must not travel in a traceback.
        raise InvalidSettings(f"{setting}: the file is not of the documented form") from None
    files = [path]

    def secret(name: Path) -> bytes:
        file = path.parent / name
        files.append(file)
        content = read_secret(file, setting).rstrip(b"\r\n")
        if not content:
            raise InvalidSettings(f"{setting}: a secret file is empty")
        return content

    apps: dict[str, App] = {}
    for name, app in declared.apps.items():
        if not _NAME.fullmatch(name):
            raise InvalidSettings(f"{setting}: an app's name has characters it may not have")
        if len({entry.id for entry in app.secrets}) != len(app.secrets):
            raise InvalidSettings(f"{setting}: two secrets of an app have the same id")
        secrets = tuple(AppSecret(entry.id, secret(entry.file)) for entry in app.secrets)
        apps[name] = App(name, secrets, secret(app.verify_token_file))
    return apps, tuple(files)
