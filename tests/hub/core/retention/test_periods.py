"""Calendar arithmetic: a period is never cut short, and a cut-off never moves backwards."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.retention.periods import YEARS_MAX, Period, PeriodUnit, cut_off, lives_until, parse_period

SEVEN_YEARS = Period(7, PeriodUnit.YEAR)
TICK = timedelta(microseconds=1)

moments = st.datetimes(datetime(2010, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - UTC by strategy
leaps = st.builds(
    lambda year, month, day, seconds: datetime(year, month, 1, tzinfo=UTC) + timedelta(days=day, seconds=seconds),
    st.integers(2015, 2035), st.sampled_from([1, 2, 3]), st.integers(26, 31), st.integers(0, 86_399),
)  # fmt: skip
periods = st.one_of(
    st.builds(Period, st.integers(1, 20), st.just(PeriodUnit.YEAR)),
    st.builds(Period, st.integers(1, 40), st.just(PeriodUnit.MONTH)),
    st.builds(Period, st.integers(1, 4000), st.just(PeriodUnit.DAY)),
)


@given(moments | leaps, moments | leaps, periods)
def test_the_cut_off_never_moves_backwards(one: datetime, other: datetime, period: Period) -> None:
    earlier, later = sorted((one, other))
    assert cut_off(earlier, period) <= cut_off(later, period)


@given(moments | leaps, periods, st.timedeltas(TICK, timedelta(days=40)))
def test_whatever_lies_before_the_cut_off_has_lived_its_period(
    now: datetime, period: Period, before: timedelta
) -> None:
    assert lives_until(cut_off(now, period) - before, period) <= now


@given(moments | leaps, periods)
def test_what_has_lived_its_period_goes_at_the_next_instant(at: datetime, period: Period) -> None:
    end = lives_until(at, period)
    assert end > at
    assert cut_off(end - TICK, period) <= at
    assert cut_off(end + TICK, period) > at


@pytest.mark.parametrize("step", [TICK, timedelta(seconds=1)])
def test_just_before_and_just_after_seven_calendar_years(step: timedelta) -> None:
    collected = datetime(2019, 11, 21, 7, 30, tzinfo=UTC)
    end = datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
    assert cut_off(end, SEVEN_YEARS) == collected
    assert not collected < cut_off(end - step, SEVEN_YEARS)
    assert not collected < cut_off(end, SEVEN_YEARS)
    assert collected < cut_off(end + step, SEVEN_YEARS)


def test_what_was_recorded_on_29_february_lives_to_the_end_of_28_february() -> None:
    leap_day = datetime(2020, 2, 29, 12, tzinfo=UTC)
    assert cut_off(datetime(2027, 2, 28, 23, 59, 59, tzinfo=UTC), SEVEN_YEARS) <= datetime(2020, 2, 29, tzinfo=UTC)
    assert cut_off(datetime(2027, 3, 1, tzinfo=UTC), SEVEN_YEARS) == datetime(2020, 3, 1, tzinfo=UTC)
    assert lives_until(leap_day, SEVEN_YEARS) == datetime(2027, 3, 1, tzinfo=UTC)


def test_on_29_february_the_cut_off_waits_at_the_first_of_march() -> None:
    for hour in (0, 12, 23):
        assert cut_off(datetime(2028, 2, 29, hour, tzinfo=UTC), SEVEN_YEARS) == datetime(2021, 3, 1, tzinfo=UTC)
    assert cut_off(datetime(2028, 2, 28, 12, tzinfo=UTC), SEVEN_YEARS) == datetime(2021, 2, 28, 12, tzinfo=UTC)
    assert cut_off(datetime(2028, 3, 1, 12, tzinfo=UTC), SEVEN_YEARS) == datetime(2021, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (datetime(2026, 3, 29, 9, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC)),
        (datetime(2026, 3, 31, 9, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC)),
        (datetime(2026, 5, 31, 9, tzinfo=UTC), datetime(2025, 5, 1, tzinfo=UTC)),
        (datetime(2026, 1, 31, 9, tzinfo=UTC), datetime(2024, 12, 31, 9, tzinfo=UTC)),
    ],
)
def test_thirteen_months_at_the_ends_of_months(now: datetime, before: datetime) -> None:
    assert cut_off(now, Period(13, PeriodUnit.MONTH)) == before


def test_days_are_days() -> None:
    assert cut_off(datetime(2026, 3, 30, 2, 30, tzinfo=UTC), Period(1, PeriodUnit.DAY)) == datetime(
        2026, 3, 29, 2, 30, tzinfo=UTC
    )


def test_another_zone_is_the_same_instant() -> None:
    berlin = timezone(timedelta(hours=2))
    here, there = datetime(2026, 6, 1, 0, 30, tzinfo=berlin), datetime(2026, 5, 31, 22, 30, tzinfo=UTC)
    assert cut_off(here, SEVEN_YEARS) == cut_off(there, SEVEN_YEARS)
    assert cut_off(here, SEVEN_YEARS).tzinfo is UTC


def test_a_time_without_a_zone_is_no_instant() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        cut_off(datetime(2026, 1, 1), SEVEN_YEARS)  # noqa: DTZ001 - the point


def test_a_calendar_that_ends_is_an_error() -> None:
    with pytest.raises(ValueError, match="year"):
        cut_off(datetime(5, 1, 1, tzinfo=UTC), SEVEN_YEARS)


@given(periods)
def test_a_period_is_read_as_it_is_written(period: Period) -> None:
    assert parse_period(str(period)) == period


def test_one_is_singular() -> None:
    assert str(Period(1, PeriodUnit.YEAR)) == "1 year"
    assert parse_period("1 year") == parse_period("1 years") == Period(1, PeriodUnit.YEAR)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0 days", "a period of zero keeps nothing"),
        ("-1 years", "not below zero"),
        (f"{YEARS_MAX + 1} years", "the longest period is 100 years"),
        ("1201 months", "the longest period is 100 years"),
        ("seven years", "'seven years' is no period; a number and its unit is right"),
        ("7years", "no period"),
        ("7 Years", "no period"),
        ("7 years ", "no period"),
        ("7 weeks", "no period"),
        ("", "no period"),
        ("9" * 30 + " days", "no period"),
    ],
)
def test_what_is_no_period_says_what_would_be_right(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_period(text)
