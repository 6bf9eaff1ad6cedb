"""How finely telemetry is drawn."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.plot import RetainedHours, drawing, may_be_raw

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALL = RetainedHours(NOW - 800 * DAY, NOW - 3000 * DAY, NOW)
PLAIN = RetainedHours(NOW - 800 * DAY, NOW - 800 * DAY, NOW)


@pytest.mark.parametrize(
    ("back", "points", "resolution", "width"),
    [
        (HOUR, 60, "minute", timedelta(minutes=2)),
        (HOUR, 61, "minute", timedelta(minutes=1)),
        (DAY, 500, "minute", timedelta(minutes=5)),
        (DAY, 25, "hour", HOUR),
        (30 * DAY, 400, "hour", 2 * HOUR),
        (365 * DAY, 400, "day", DAY),
        (3650 * DAY, 10, "day", 366 * DAY),
    ],
)
def test_the_finest_that_has_no_more_points(
    back: timedelta, points: int, resolution: str, width: timedelta
) -> None:
    # Half past: the first bucket begins before the span does, so that there is one more.
    since = (NOW - back).replace(second=30)
    drawn = drawing((since, NOW.replace(second=30)), points, PLAIN)
    assert (drawn.resolution, drawn.width) == (resolution, width)


spans = st.tuples(
    st.integers(1, 3600 * 24 * 3660), st.integers(0, 3600 * 24 * 100), st.integers(10, 5000), st.integers(0, 200)
)


@given(spans)
def test_buckets_fit_and_sources_follow_each_other(asked: tuple[int, int, int, int]) -> None:
    length_s, ago_s, points, rolled_ago_h = asked
    until = NOW - timedelta(seconds=ago_s)
    since = until - timedelta(seconds=length_s)
    drawn = drawing((since, until), points, RetainedHours(ALL.raw_from, ALL.hours_from, NOW - rolled_ago_h * HOUR))
    assert drawn.since <= since < drawn.since + drawn.width
    assert drawn.until == until
    assert drawn.since <= drawn.days_to <= drawn.hours_to <= until or drawn.resolution == "minute"
    if drawn.width < 366 * DAY:
        assert drawn.since + points * drawn.width >= until
    if drawn.resolution == "minute":
        assert drawn.days_to == drawn.hours_to == drawn.since
    if drawn.resolution == "hour":
        assert drawn.days_to == drawn.since
    # What may not be rolled up yet comes from the samples.
    assert drawn.hours_to <= max(NOW - rolled_ago_h * HOUR - HOUR, drawn.since)


@pytest.mark.parametrize(
    ("held", "raw", "finest"),
    [
        (RetainedHours(None, None, NOW), True, "minute"),
        (RetainedHours(NOW - DAY, None, NOW), True, "minute"),
        (RetainedHours(NOW - DAY, NOW - DAY, NOW), True, "minute"),
        # A locker that began within the span has lost nothing: its first hour is that of its first sample.
        (RetainedHours(NOW - HOUR / 4, NOW - HOUR / 2, NOW), True, "minute"),
        (RetainedHours(NOW - HOUR / 4, NOW - DAY, NOW), False, "hour"),
        (RetainedHours(None, NOW - DAY, NOW), False, "hour"),
        # The span is before everything that there is.
        (RetainedHours(None, NOW + DAY, NOW), True, "minute"),
    ],
)
def test_no_finer_than_what_is_still_there(held: RetainedHours, raw: bool, finest: str) -> None:  # noqa: FBT001 - a table
    within = (NOW - HOUR / 2, NOW)
    assert may_be_raw(within, 100, held) is raw
    assert drawing(within, 100, held).resolution == finest


def test_samples_are_asked_for_where_they_may_be_few() -> None:
    assert may_be_raw((NOW - HOUR, NOW), 61, PLAIN)
    assert not may_be_raw((NOW - HOUR, NOW), 60, PLAIN)
