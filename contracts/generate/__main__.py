"""`python -m contracts.generate`: writes the generated files, or with `--check` says what is stale and what breaks readers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from contracts.errors import InvalidSettings
from contracts.events.registry import EVENT_TYPES
from contracts.generate.breaking import all_changes
from contracts.generate.files import generated, schemas
from contracts.generate.history import ROOT, SCHEMAS, revisions_with_readers, schemas_at, schemas_here

MOST_SAID: Final = 4
"""Revisions that the check names."""


def write(root: Path) -> int:
    """Write what is missing or stale; how many files that were."""
    written = 0
    for name, text in generated().items():
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written += 1
    return written


def stale(root: Path) -> list[str]:
    """What does not lie as it would be generated: a line for each file."""
    expected = generated()
    found = []
    for name, text in expected.items():
        path = root / name
        if not path.is_file():
            found.append(f"{name}: is missing")
        elif path.read_text(encoding="utf-8") != text:
            found.append(f"{name}: is stale")
    latest: dict[str, int] = dict(schemas().keys())
    for name, version in schemas_here(root):
        if version > latest.get(name, 0):
            found.append(f"{SCHEMAS}/{name}/{version}.json: belongs to nothing that is declared")
    return found


def breaks(root: Path, bases: list[str]) -> list[str]:
    """What breaks those who read the events since any of these revisions, in words."""
    now = {**schemas_here(root), **schemas()}
    found = (
        str(change) for base in bases for change in all_changes(schemas_at(base, root), now) if change.breaks
    )
    return list(dict.fromkeys(found))


def _said(bases: list[str]) -> str:
    return ", ".join(bases) if len(bases) <= MOST_SAID else f"{bases[0]} and {len(bases) - 1} others"


def main(arguments: list[str] | None = None) -> int:
    """0: written, or nothing stale and nothing broken; 1: the check failed; 2: wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m contracts.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, compare with what is committed")
    parser.add_argument(
        "--base",
        action="append",
        metavar="REV",
        help="revisions that readers may have: unless given, releases (before the first: revisions of the schemas), HEAD and its parent",
    )
    options = parser.parse_args(arguments)
    if not options.check:
        print(f"{write(ROOT)} files written")
        return 0
    problems = [f"{line}; run `make docs`" for line in stale(ROOT)]
    bases = options.base or revisions_with_readers()
    try:
        problems += [f"{line}; raise the type's version" for line in breaks(ROOT, bases)]
    except InvalidSettings as exc:
        print(exc, file=sys.stderr)
        return 2
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"{len(EVENT_TYPES)} event types: nothing stale, nothing broken since {_said(bases)}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
