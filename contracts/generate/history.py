"""Reads schemas and examples as they are in the working tree, and schemas as they were at a git revision.

Must never write: what is committed is the developer's business.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from contracts.errors import InvalidSettings
from contracts.generate.schemas import Schema

ROOT: Final = Path(__file__).resolve().parents[2]
"""The repository."""
SCHEMAS: Final = "contracts/schemas"
RELEASES_KEPT: Final = 20
"""How many releases back a change must not break."""
REVISIONS_KEPT: Final = 12
"""Before the first release: how many revisions of the schemas back."""
EXAMPLES: Final = "contracts/examples"


def schema_path(name: str, version: int) -> str:
    """Where the schema of one event type and version lies, from the repository's root."""
    return f"{SCHEMAS}/{name}/{version}.json"


def schemas_here(root: Path = ROOT) -> dict[tuple[str, int], Schema]:
    """Every schema file in the working tree."""
    return {
        (path.parent.name, int(path.stem)): json.loads(path.read_bytes())
        for path in sorted((root / SCHEMAS).glob("*/*.json"))
    }


def examples_here(root: Path = ROOT) -> dict[tuple[str, int], dict[str, str]]:
    """Every example in the working tree: event type and version to file name to text."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    for path in sorted((root / EXAMPLES).glob("*/*/*.json")):
        key = (path.parent.parent.name, int(path.parent.name))
        found.setdefault(key, {})[path.stem] = path.read_text(encoding="utf-8")
    return found


def schemas_at(revision: str, root: Path = ROOT) -> dict[tuple[str, int], Schema]:
    """Every schema file at a revision; empty if there were none. Raises InvalidSettings if git knows no such revision."""
    known = _commit(root, revision)
    if known is None:
        raise InvalidSettings("git knows no such revision here")
    archive = _git(root, "archive", "--format=tar", known.decode().strip(), SCHEMAS)
    if archive is None:
        return {}
    found: dict[tuple[str, int], Schema] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            path = Path(member.name)
            content = tar.extractfile(member)
            if path.suffix == ".json" and content is not None:
                found[path.parent.name, int(path.stem)] = json.loads(content.read())
    return found


def revisions_with_readers(root: Path = ROOT) -> list[str]:
    """What somebody may have installed: the latest releases (tags `v…`), HEAD and its parent, as far as git has them.

    Before the first release it is each revision that changed a schema: what an earlier one of several commits breaks is
    found as well.
    """
    tags = (_git(root, "tag", "--list", "v*", "--sort=-creatordate") or b"").decode().split()
    published = tags[:RELEASES_KEPT]
    if not published:
        log = (
            _git(root, "log", "--first-parent", "--format=%h", f"-{REVISIONS_KEPT}", "HEAD", "--", SCHEMAS)
            or b""
        )
        published = log.decode().split()
    return [*published, *(name for name in ("HEAD", "HEAD^") if _commit(root, name) is not None)]


def _commit(root: Path, revision: str) -> bytes | None:
    return _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")


def _git(root: Path, *arguments: str) -> bytes | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=False)
    except FileNotFoundError as exc:
        raise InvalidSettings("git is not installed") from exc
    return done.stdout if done.returncode == 0 else None
