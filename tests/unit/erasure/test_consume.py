"""What a request is when reading it fails: nobody's fault but the record's own makes it unreadable."""

from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest

from contracts.errors import TamperedRecord
from store.erasure.requests.consume import RequestConsumer


def reading(failure: Exception) -> RequestConsumer:
    """A consumer whose every record ends so."""

    async def opened(*_arguments: object) -> Any:
        raise failure

    opener = cast(Any, SimpleNamespace(open=opened))
    nothing = cast(Any, None)
    return RequestConsumer("", nothing, opener, nothing, nothing)


def records() -> list[Any]:
    """Two of one partition."""
    return [
        SimpleNamespace(value=b"", headers=(), timestamp=0, partition=3, offset=offset) for offset in (7, 8)
    ]


@pytest.mark.parametrize(
    "failure", [asyncpg.UndefinedTableError("no schema"), asyncpg.InsufficientPrivilegeError("no right")]
)
async def test_a_request_waits_while_the_database_lacks_a_table_or_a_right(failure: Exception) -> None:
    read = await reading(failure)._read(cast(Any, None), records())
    assert (read.stopped, read.next_offset, read.unreadable) == (True, 7, [])


async def test_a_record_that_is_wrong_itself_holds_up_nobody() -> None:
    read = await reading(TamperedRecord("forged"))._read(cast(Any, None), records())
    assert (read.stopped, read.next_offset) == (False, 9)
    assert [offset for offset, _ in read.unreadable] == [7, 8]
