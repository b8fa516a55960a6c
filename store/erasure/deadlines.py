"""When a request must be answered: 15 Brazilian business days, by the calendar of whoever receives it. Pure.

Zone America/Sao_Paulo, the day of receipt excluded, national holidays only; optional days (carnival, Corpus Christi) are
business days. PRIVACY.md section 6. A date that was issued is stored and never computed again.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

ZONE: Final = ZoneInfo("America/Sao_Paulo")
BUSINESS_DAYS: Final = 15
_FIXED: Final = frozenset({(1, 1), (4, 21), (5, 1), (9, 7), (10, 12), (11, 2), (11, 15), (11, 20), (12, 25)})
"""Month and day: Leis 662/1949, 6.802/1980, 10.607/2002 and 14.759/2023 (20 November, from 2024 on)."""
_SATURDAY: Final = 5


def answer_due(received_at: datetime) -> date:
    """The last day on which a request that was received then is answered in time."""
    day, left = received_at.astimezone(ZONE).date(), BUSINESS_DAYS
    while left:
        day += timedelta(days=1)
        left -= is_business_day(day)
    return day


def is_business_day(day: date) -> bool:
    """Neither a weekend nor a national holiday."""
    is_holiday = (day.month, day.day) in _FIXED or day == easter(day.year) - timedelta(days=2)
    return day.weekday() < _SATURDAY and not is_holiday


def easter(year: int) -> date:
    """Easter Sunday of a Gregorian year (Meeus, Astronomical Algorithms, chapter 8); Good Friday is a national holiday."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    g = (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    m = (32 + 2 * e + 2 * i - h - k) % 7
    n = (a + 11 * h + 22 * m) // 451
    month, day = divmod(h + m - 7 * n + 114, 31)
    return date(year, month, day + 1)
