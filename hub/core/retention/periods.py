"""How long data lives: calendar years, months or days, counted in UTC.

UTC has no summer time, so a day is always a day. Where a day does not exist, the data lives a little longer, never
shorter: what was recorded on 29 February lives to the end of 28 February of a year without one.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

YEARS_MAX: Final = 100
"""The longest period, in whatever unit: beyond it somebody has mistyped."""

_MONTHS_A_YEAR: Final = 12
_DAYS_A_YEAR: Final = 366
_TEXT: Final = re.compile(r"([+-]?[0-9]{1,9}) (year|month|day)s?")


class PeriodUnit(StrEnum):
    """What a period is counted in."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Period:
    """So many calendar years, months or days, from 1 up to `YEARS_MAX` years. Raises ValueError beyond that."""

    count: int
    unit: PeriodUnit

    def __post_init__(self) -> None:
        a_year = {PeriodUnit.YEAR: 1, PeriodUnit.MONTH: _MONTHS_A_YEAR, PeriodUnit.DAY: _DAYS_A_YEAR}[self.unit]
        if self.count == 0:
            raise ValueError('a period of zero keeps nothing; "at once" says so where it is meant')
        if self.count < 0:
            raise ValueError(f"{self}: a period is not below zero")
        if self.count > YEARS_MAX * a_year:
            raise ValueError(f"{self}: the longest period is {YEARS_MAX} years")

    def __str__(self) -> str:
        return f"{self.count} {self.unit}{'' if self.count == 1 else 's'}"


def parse_period(text: str) -> Period:
    """Read `7 years`, `13 months`, `30 days`. Raises ValueError with what would be right."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no period; a number and its unit is right: 7 years, 13 months, 30 days")
    return Period(int(found[1]), PeriodUnit(found[2]))


def cut_off(now: datetime, period: Period) -> datetime:
    """Return the time before which everything has lived its whole period; what is exactly of this time has not.

    Calendar arithmetic in UTC: years or months back on the same day at the same time. Where that day does not
    exist it is the first instant of the following month, so that the result never moves backwards as `now` goes
    on. Raises ValueError for a datetime without a time zone.
    """
    return _shifted(now, period, -1)


def lives_until(at: datetime, period: Period) -> datetime:
    """Return when what is of the time `at` has lived its period; the other way round than `cut_off`."""
    return _shifted(at, period, 1)


def _shifted(at: datetime, period: Period, sign: int) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"{at} has no time zone, so nobody knows which instant it is")
    at = at.astimezone(UTC)
    if period.unit is PeriodUnit.DAY:
        return at + timedelta(days=sign * period.count)
    months = period.count * (_MONTHS_A_YEAR if period.unit is PeriodUnit.YEAR else 1)
    year, month = divmod(at.year * _MONTHS_A_YEAR + at.month - 1 + sign * months, _MONTHS_A_YEAR)
    try:
        return at.replace(year=year, month=month + 1)
    except ValueError:
        if at.day <= 28:  # noqa: PLR2004 - every month has so many days: it is the year that does not exist
            raise
    # No month has fewer than 28 days, and December has 31: the following month is in the same year.
    return datetime(year, month + 2, 1, tzinfo=UTC)
