"""What META.md says about recorded bodies, written down by hand file by file, against what splitting makes of them.

`expected/*.tsv`: one row an item. A time is `-` (undated) or `ms@PATH` or `s@PATH`; an alias is `NAMESPACE@PATH`, in any
order. Paths lead into the body: nothing of a body stands here. Never recorded from the code: a row that disagrees is a question for META.md.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from contracts.pseudonyms import Domain
from router.split import Item, split

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
EXPECTED = Path(__file__).parent / "expected"
SPACES = {
    "bsuid": Domain.BSUID,
    "parent_bsuid": Domain.PARENT_BSUID,
    "phone": Domain.PHONE,
    "psid": Domain.PSID,
    "igsid": Domain.IGSID,
}
Row = dict[str, str]


def rows() -> dict[str, list[Row]]:
    """All rows by file."""
    found: dict[str, list[Row]] = defaultdict(list)
    for book in sorted(EXPECTED.glob("*.tsv")):
        with book.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines, delimiter="\t"):
                found[row["file"]].append(row)
    return found


ROWS = rows()


def value_at(body: object, path: str) -> Any:
    """The value at a dotted path."""
    found: Any = body
    for step in path.split("."):
        found = found[int(step)] if isinstance(found, list) else found[step]
    return found


def time_of(body: object, expected: str) -> int | None:
    if expected == "-":
        return None
    unit, _, path = expected.partition("@")
    number = int(value_at(body, path))
    return number if unit == "ms" else number * 1000


def aliases_of(body: object, expected: str) -> set[tuple[Domain, str]]:
    if expected == "-":
        return set()
    found = set()
    for one in expected.split(" "):
        space, _, path = one.partition("@")
        found.add((SPACES[space], str(value_at(body, path))))
    return found


def test_the_rows_are_many_and_hold_nothing_of_a_body() -> None:
    assert len(ROWS) >= 150
    for file, found in ROWS.items():
        assert len({row["item"] for row in found}) == len(found), file
        for row in found:
            for cell in (row["time"], *row["aliases"].split(" "), row["account"]):
                assert cell == "-" or "@entry." in cell, file


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="needs ../shared/corpus")
@pytest.mark.parametrize("file", sorted(ROWS))
def test_a_recorded_body_becomes_what_meta_says_it_is(file: str) -> None:
    raw = (CORPUS / file).read_bytes()
    body = json.loads(raw)
    items = {part.path: part for part in split(raw)}
    assert set(items) == {row["item"] for row in ROWS[file]}
    for row in ROWS[file]:
        item = items[row["item"]]
        assert isinstance(item, Item)
        assert (item.event_type, item.direction) == (row["type"], row["direction"])
        assert item.occurred_at_ms == time_of(body, row["time"])
        assert {(alias.domain, alias.value) for alias in item.aliases} == aliases_of(body, row["aliases"])
        kind, _, path = row["account"].partition("@")
        assert item.account is not None
        assert (item.account.kind.value, item.account.value) == (kind, str(value_at(body, path)))
