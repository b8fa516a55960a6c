"""The deletion list of Meta's dashboard becomes requests with an id for ever."""

from datetime import date
from uuid import UUID

import pytest

from contracts.errors import ContractViolation
from contracts.pseudonyms import KeyedHash
from store.erasure.operator.dashboard_list import entries, requests_of

TENANT = UUID(int=5)
KEYED = KeyedHash(b"k" * 32)


def test_lines_and_csv_are_read_each_id_once_without_the_heading() -> None:
    assert entries("17841400001\r\n17841400002\n\n17841400001\n") == ["17841400001", "17841400002"]
    assert entries('\ufeffuser_id,requested\n"7219",2026-11-01\n7220,\n') == ["7219", "7220"]
    assert entries("") == []


@pytest.mark.parametrize("text", ["7219\nmaria@example.com\n", "12a\n", "7219;2026\n", "9" * 33])
def test_what_is_no_id_refuses_the_list_by_its_line_and_is_not_quoted(text: str) -> None:
    with pytest.raises(ContractViolation) as caught:
        entries(text)
    assert "line" in str(caught.value)
    assert text.split("\n")[0] not in str(caught.value)


def made(
    listed_on: date = date(2026, 11, 20), now_ms: int = 1_795_700_000_000, value: str = "7219"
) -> list[UUID]:
    requests = requests_of(
        [value],
        ("psid", "igsid"),
        tenant=TENANT,
        keyed=KEYED,
        listed_on=listed_on,
        now_ms=now_ms,
        asked_by="ana",
    )
    return [one.request for one in requests]


def test_an_entry_has_one_id_for_ever_whatever_list_it_comes_in() -> None:
    assert made() == made(date(2027, 1, 2), 1_799_000_000_000)
    assert len({*made(), *made(value="7220")}) == 4


def test_the_lists_date_is_the_time_of_its_entries_and_never_later_than_now() -> None:
    ids = ["7219"]
    (one,) = requests_of(
        ids,
        ("psid",),
        tenant=TENANT,
        keyed=KEYED,
        listed_on=date(2026, 11, 20),
        now_ms=1_795_700_000_000,
        asked_by="a",
    )
    assert one.requested_at_ms == 1_795_143_600_000  # midnight in Sao Paulo
    (late,) = requests_of(
        ids, ("psid",), tenant=TENANT, keyed=KEYED, listed_on=date(2099, 1, 1), now_ms=5, asked_by="a"
    )
    assert late.requested_at_ms == 5
