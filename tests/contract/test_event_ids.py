"""docs/event-ids.md says of every type what its id is made of: held against the recorded corpus and the written examples."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from contracts.events.registry import EVENT_TYPES
from router.split import Item
from tests.support.bodies import encode
from tests.support.example_bodies import example_bodies
from tests.support.items import corpus, found

PAGE = Path(__file__).parents[2] / "docs" / "event-ids.md"
OTHERS = "all others"
HASH = re.compile(r"[0-9a-f]{32}")


class Row(NamedTuple):
    """One row of the page's table."""

    patterns: tuple[str, ...]
    native: str
    discriminators: str


def rows() -> list[Row]:
    """The table, its rest as patterns that match everything."""
    table = PAGE.read_text().partition("| types |")[2].partition("\n\n")[0].splitlines()[2:]
    made = []
    for line in table:
        types, native, discriminators = (cell.strip() for cell in line.strip("|").split("|"))
        patterns = ("*",) if types == OTHERS else tuple(re.findall(r"`([a-z_.*]+)`", types))
        made.append(Row(patterns, native, discriminators))
    return made


ROWS = rows()


def row_of(name: str) -> Row:
    """The first that matches: the rest stands last."""
    return next(row for row in ROWS if any(fnmatch.fnmatchcase(name, one) for one in row.patterns))


def items() -> Iterator[Item]:
    """Recorded and written by hand."""
    bodies = [body for _, body in corpus()] + [encode(body) for body in example_bodies().values()]
    for body in bodies:
        yield from found(body)


def test_every_type_has_one_row_and_every_pattern_a_type() -> None:
    patterns = [pattern for row in ROWS[:-1] for pattern in row.patterns]
    for pattern in patterns:
        assert fnmatch.filter(EVENT_TYPES, pattern), pattern
    for name in EVENT_TYPES:
        assert sum(fnmatch.fnmatchcase(name, pattern) for pattern in patterns) <= 1, name
    assert ROWS[-1].patterns == ("*",)


@pytest.mark.corpus
def test_what_goes_into_an_id_is_what_the_page_says() -> None:
    seen: set[str] = set()
    for item in items():
        row = row_of(item.event_type)
        seen.add(item.event_type)
        by_content = (
            len(item.discriminator) >= 3
            and item.discriminator[0] == item.data["envelope"]["field"]
            and HASH.fullmatch(item.discriminator[2]) is not None
        )
        where = (item.event_type, item.path, item.discriminator)
        assert by_content is (row.discriminators == "its content"), where
        assert item.native_id is None or row.native != "none", where
        if row.discriminators == "nothing":
            assert item.native_id is None or item.discriminator == (), where
    assert len(seen) > 110
