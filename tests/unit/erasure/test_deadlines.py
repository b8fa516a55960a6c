"""Fifteen business days as they are counted in Brazil."""

from datetime import UTC, date, datetime

import pytest

from store.erasure.deadlines import ZONE, answer_due, easter, is_business_day


@pytest.mark.parametrize(
    ("received", "due"),
    [
        (date(2026, 11, 22), date(2026, 12, 11)),
        (date(2026, 12, 18), date(2027, 1, 12)),
        # Good Friday and Tiradentes.
        (date(2025, 4, 10), date(2025, 5, 6)),
    ],
)
def test_the_day_of_receipt_weekends_and_national_holidays_do_not_count(received: date, due: date) -> None:
    at_noon = datetime(received.year, received.month, received.day, 12, tzinfo=ZONE)
    assert answer_due(at_noon) == due


def test_the_day_is_that_of_sao_paulo() -> None:
    """Two in the morning in London is the evening before in São Paulo."""
    assert answer_due(datetime(2026, 11, 24, 2, tzinfo=UTC)) == date(2026, 12, 14)
    assert answer_due(datetime(2026, 11, 24, 4, tzinfo=UTC)) == date(2026, 12, 15)


def test_carnival_is_a_business_day_and_the_day_of_black_awareness_is_not() -> None:
    assert is_business_day(date(2026, 2, 17))
    assert not is_business_day(date(2026, 11, 20))


def test_easter() -> None:
    assert [easter(year) for year in (2024, 2025, 2026, 2038)] == [
        date(2024, 3, 31),
        date(2025, 4, 20),
        date(2026, 4, 5),
        date(2038, 4, 25),
    ]
