"""`docs/threat-model.md` names every threat of the design with the tests that show what stops it, and each of them exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TEXT = (REPOSITORY / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[a-z0-9_/]+\.py)(?:::(test_[a-z0-9_]+))?`")
THREATS = (
    "forged webhook",
    "forged Kafka record",
    "false erasure request",
    "callback id confused with a customer id",
    "moved cell",
    "poisoned timestamp beating the watermark",
    "restore that resurrects",
    "compromised receiver",
    "stolen disk or backup",
    "curious DBA",
    "pooled connection leaking a role",
    "PII in logs",
    "flood",
    "key destroyed too early",
)
"""PRIVACY section 7, in its order and words."""


def rows() -> dict[str, list[str]]:
    """Every row of every table of three columns or more: the cells after the first by the first."""
    found = {}
    for line in TEXT.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) >= 3:
            found[cells[0]] = cells[1:]
    return found


@cache
def named_in(path: str) -> frozenset[str]:
    """The names of the tests of a file."""
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(one.name for one in functions)


@pytest.mark.parametrize("threat", THREATS)
def test_each_threat_has_what_stops_it_and_tests_that_show_it(threat: str) -> None:
    stops, shown = rows()[threat]
    assert len(stops) > 20
    named = NAMED.findall(shown)
    assert len(named) >= 2
    assert all(test for _, test in named)


def test_every_named_test_exists() -> None:
    named = NAMED.findall(TEXT)
    assert len(named) > 50
    for path, test in named:
        assert (REPOSITORY / path).is_file(), path
        assert not test or test in named_in(path), f"{path}::{test}"


def test_no_test_is_named_without_its_file() -> None:
    assert re.findall(r"`(test_[a-z_]+(?:\.py)?)`", TEXT) == []
