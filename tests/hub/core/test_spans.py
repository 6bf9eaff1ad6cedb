"""Spans of time: what is left out, and what makes no sense."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from hub.core.spans import BadSpan, read_time, span

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def test_what_is_left_out_is_filled_in() -> None:
    assert span(None, None, now=NOW, back=DAY) == (NOW + timedelta(minutes=1) - DAY, NOW + timedelta(minutes=1))
    assert span(None, NOW - DAY, now=NOW, back=DAY) == (NOW - 2 * DAY, NOW - DAY)
    assert span(NOW - DAY, None, now=NOW, back=DAY) == (NOW - DAY, NOW + timedelta(minutes=1))
    # What is asked for ahead of time does not begin ahead of time.
    assert span(None, NOW + 30 * DAY, now=NOW, back=DAY)[0] == NOW + timedelta(minutes=1) - DAY
    # There is nothing before 2000, and no need to ask for it.
    assert span(None, datetime(2000, 1, 2, tzinfo=UTC), now=NOW, back=3 * DAY)[0] == datetime(
        2000, 1, 1, tzinfo=UTC
    )


def test_times_become_utc() -> None:
    east = timezone(timedelta(hours=2))
    since, until = span(NOW.astimezone(east) - DAY, NOW.astimezone(east), now=NOW, back=DAY)
    assert (since.tzinfo, until.tzinfo, until) == (UTC, UTC, NOW)


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [
        (NOW, NOW, r"`since` \(2026-11-20T09:30:00Z\) is not before `until` \(2026-11-20T09:30:00Z\)"),
        (NOW + DAY, None, "is not before"),
        (NOW - timedelta(days=3661), NOW, "more than ten years"),
        (None, NOW + timedelta(days=3661), "more than ten years"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))), NOW, "outside of the years"),
        # Nothing can be taken away from this one.
        (None, datetime(1, 1, 1, tzinfo=UTC), "outside of the years 1970 to 2199"),
        (None, datetime(9999, 12, 31, tzinfo=UTC), "outside of the years 1970 to 2199"),
    ],
)
def test_nonsense_is_told(since: datetime | None, until: datetime | None, told: str) -> None:
    with pytest.raises(BadSpan, match=told):
        span(since, until, now=NOW, back=DAY)


def test_ten_years_are_allowed() -> None:
    assert span(NOW - timedelta(days=3660), NOW, now=NOW, back=DAY)


def test_times_are_read_with_their_offset() -> None:
    assert read_time("2026-11-20T09:30:00Z") == NOW
    assert read_time("2026-11-20T10:30:00+01:00") == NOW


@pytest.mark.parametrize("text", ["", "now", "2026-11-20", "2026-11-20T09:30:00", "9999-12-31T23:59:59-12:00"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(BadSpan, match=r"is not a time|says no offset|outside"):
        read_time(text)
