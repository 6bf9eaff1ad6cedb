"""How the alarms are: rate, flood, peak, shares, the most frequent, a day's history."""

from datetime import timedelta

import pytest

from hub.core.alarms.alarm import Severity
from hub.core.alarms.health import AlarmFlood, Past, Source
from tests.hub.core.alarms.scene import BERLIN, NOON

DOOR = Source("door.forced", BERLIN, 3)
LOW = Source("outbox.age", BERLIN, None)
MINUTE = timedelta(minutes=1)


def test_a_flood_begins_above_ten_in_ten_minutes_and_ends_below_five() -> None:
    health = AlarmFlood()
    for number in range(10):
        health.raised(NOON + number * MINUTE / 2, Severity.HIGH, DOOR)
    assert health.flood_since is None
    began = NOON + 5 * MINUTE
    health.raised(began, Severity.HIGH, DOOR)
    assert health.flood_since == began
    # At 12:12:30 six of them are within ten minutes, and at 12:13:30 four.
    health.tick(NOON + timedelta(minutes=12, seconds=30))
    assert health.rate(NOON + timedelta(minutes=12, seconds=30)) == 6
    health.tick(NOON + timedelta(minutes=13))
    assert health.flood_since == began, "five are not fewer than five"
    health.tick(NOON + timedelta(minutes=13, seconds=31))
    assert health.flood_since is None
    assert health.peak(NOON + timedelta(hours=1)) == 11
    assert health.peak(NOON + timedelta(hours=25)) == 0


def test_history_shares_and_the_most_frequent() -> None:
    health = AlarmFlood()
    assert set(health.shares(NOON).values()) == {0.0}
    health.raised(NOON, Severity.HIGH, DOOR)
    health.raised(NOON + 5 * MINUTE, Severity.LOW, LOW)
    health.raised(NOON + 15 * MINUTE, Severity.LOW, LOW)
    now = NOON + 20 * MINUTE
    history = health.history(now)
    assert len(history) == 144
    assert history[-3:] == [(NOON, 2), (NOON + 10 * MINUTE, 1), (NOON + 20 * MINUTE, 0)]
    assert health.top(now) == [(LOW, 2), (DOOR, 1)]
    assert health.shares(now)[Severity.LOW] == pytest.approx(2 / 3)
    tomorrow = now + timedelta(days=1)
    assert (health.top(tomorrow), sum(raised for _, raised in health.history(tomorrow))) == ([], 0)
    assert health.shares(tomorrow)[Severity.LOW] == pytest.approx(2 / 3)
    health.raised(NOON + timedelta(days=31), Severity.CRITICAL, DOOR)
    assert health.shares(NOON + timedelta(days=31))[Severity.CRITICAL] == 1.0


def test_a_clock_that_is_set_back_counts_on() -> None:
    health = AlarmFlood()
    health.raised(NOON, Severity.HIGH, DOOR)
    health.raised(NOON - timedelta(hours=3), Severity.HIGH, DOOR)
    assert health.top(NOON) == [(DOOR, 2)]


def test_what_was_before_is_where_it_begins() -> None:
    health = AlarmFlood()
    health.load([
        Past(NOON - timedelta(days=3), Severity.LOW, LOW, 7),
        Past(NOON - timedelta(hours=1), Severity.HIGH, DOOR, 3),
        Past(NOON - timedelta(hours=1), Severity.HIGH, LOW, 2),
    ])  # fmt: skip
    assert health.top(NOON) == [(DOOR, 3), (LOW, 2)]
    assert health.peak(NOON) == 5
    assert health.shares(NOON)[Severity.LOW] == pytest.approx(7 / 12)
    assert health.rate(NOON) == 0


def test_sources_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.core.alarms.health._SOURCES_MAX", 2)
    health = AlarmFlood()
    for door in range(5):
        health.raised(NOON, Severity.HIGH, Source("door.forced", BERLIN, door))
    assert health.top(NOON)[0] == (Source("door.forced", None, None), 3)


def test_the_peak_of_ten_minutes_stays() -> None:
    health = AlarmFlood()
    for seconds in (-540, -480, -420, 30, 480):
        health.raised(NOON + timedelta(seconds=seconds), Severity.HIGH, DOOR)
    assert (health.rate(NOON + 8 * MINUTE), health.peak(NOON + 8 * MINUTE)) == (2, 4)
