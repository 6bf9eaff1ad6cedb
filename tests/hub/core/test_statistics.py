"""Which hours are counted together, when again, and what their histogram says."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.statistics import (
    COLLECT_BOUNDS_S,
    HOUR,
    LOOK_BACK,
    Rests,
    hour_of,
    hours_in,
    pieces,
    quantile_s,
    share,
    windows,
)

BASE = datetime(2026, 3, 2, tzinfo=UTC)
places = st.lists(st.integers(0, 400), max_size=40)


def hour(place: int) -> datetime:
    return BASE + place * HOUR


@given(places, st.integers(0, 30), st.integers(1, 60))
def test_windows_have_every_hour_once_and_keep_their_bounds(given_: list[int], gap: int, longest: int) -> None:
    found = windows([hour(place) for place in given_], gap=gap * HOUR, longest=longest * HOUR)
    covered = [since + place * HOUR for since, until in found for place in range((until - since) // HOUR)]
    assert len(covered) == len(set(covered))
    assert set(covered) >= {hour(place) for place in given_}
    wanted = {hour(place) for place in given_}
    for since, until in found:
        assert until - since <= longest * HOUR
        # No window begins or ends with an hour that nobody asked for, or has a longer stretch of such hours.
        assert {since, until - HOUR} <= wanted
        inside = sorted(one for one in wanted if since <= one < until)
        assert all(after - before <= (gap + 1) * HOUR for before, after in pairwise(inside))
    assert [since for since, _ in found] == sorted((since for since, _ in found), reverse=True)


def test_hours_beside_each_other_are_one_window() -> None:
    assert windows([hour(1), hour(0), hour(3)], gap=timedelta(0), longest=24 * HOUR) == [
        (hour(3), hour(4)), (hour(0), hour(2)),
    ]  # fmt: skip
    assert windows([hour(1), hour(3)], gap=HOUR, longest=24 * HOUR) == [(hour(1), hour(4))]
    assert hours_in((hour(1), hour(4))) == 3


def test_pieces_follow_each_other() -> None:
    assert pieces((hour(0), hour(5)), longest=2 * HOUR) == [
        (hour(0), hour(2)), (hour(2), hour(4)), (hour(4), hour(5)),
    ]  # fmt: skip
    assert pieces((hour(0), hour(2)), longest=2 * HOUR) == [(hour(0), hour(2))]


def test_an_hour_is_one_of_utc() -> None:
    odd = timezone(timedelta(hours=5, minutes=45))
    assert hour_of(datetime(2026, 3, 2, 6, 0, 1, 5, tzinfo=odd)) == datetime(2026, 3, 2, tzinfo=UTC)


def test_what_took_long_rests_long() -> None:
    rests = Rests(20)
    rests.counted((hour(0), hour(2)), 1000, 1050)
    hours = [hour(2), hour(1), hour(0)]
    assert rests.ready(hours, 1051) == [hour(2)]
    assert rests.ready(hours, 2049) == [hour(2)]
    assert rests.ready(hours, 2050) == hours


def items(**counts: int) -> list[int]:
    return [counts.get(name, 0) for name in COLLECT_BOUNDS_S]


@pytest.mark.parametrize(
    ("part", "counts", "expected"),
    [
        (0.5, items(), None),
        (0.5, items(collected_10m=10), 300),
        (1.0, items(collected_10m=10), 600),
        (0.5, items(collected_10m=1, collected_1h=1), 600),
        (0.75, items(collected_10m=2, collected_1h=2), 2700),
        (0.9, items(collected_31d=10), 1_209_600 + 0.9 * (2_678_400 - 1_209_600)),
        (0.0, items(collected_1h=3), 1800),
        (0.0, items(collected_10m=1, collected_1h=3), 0),
    ],
)
def test_quantiles_are_read_off_the_histogram(part: float, counts: list[int], expected: float | None) -> None:
    assert quantile_s(part, counts) == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.integers(0, 50), min_size=len(COLLECT_BOUNDS_S), max_size=len(COLLECT_BOUNDS_S)))
def test_quantiles_rise_and_stay_within_what_is_timed(counts: list[int]) -> None:
    found = [quantile_s(part, counts) for part in (0.01, 0.25, 0.5, 0.9, 1.0)]
    if not any(counts):
        assert found == [None] * 5
        return
    times = [one for one in found if one is not None]
    assert times == sorted(times)
    assert len(times) == 5
    highest = [bound for bound, count in zip(COLLECT_BOUNDS_S.values(), counts, strict=True) if count][-1]
    assert times[-1] == pytest.approx(highest)


def test_the_histogram_goes_as_far_as_is_looked_back() -> None:
    bounds = list(COLLECT_BOUNDS_S.values())
    assert bounds == sorted(bounds)
    assert timedelta(seconds=bounds[-1]) == LOOK_BACK


def test_shares() -> None:
    assert share(1, 3) == 0.3333
    assert share(0, 3) == 0
    assert share(1, 0) is None
