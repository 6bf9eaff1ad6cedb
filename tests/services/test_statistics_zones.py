"""Statistics when clocks change, and in zones that are not whole hours from UTC, against a plain model."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import psycopg
import pytest

from hub.core.statistics import HOUR
from hub.store.database import Database
from hub.store.statistics import StatisticsStore
from tests.hub.scene import fresh_database
from tests.services.conftest import Cluster

pytestmark = pytest.mark.services

CHANGES: Final = {
    "Europe/Berlin": ("2025-03-30", "2025-10-26"),
    "America/New_York": ("2025-03-09", "2025-11-02"),
    "America/St_Johns": ("2025-03-09", "2025-11-02"),
    "Australia/Lord_Howe": ("2025-04-06", "2025-10-05"),  # by half an hour
    "Pacific/Chatham": ("2025-04-06", "2025-09-28"),  # UTC+12:45
    "America/Havana": ("2025-03-09", "2025-11-02"),  # at midnight: none in spring, two in autumn
    "Africa/Cairo": ("2025-04-25", "2025-10-31"),
    "Asia/Kolkata": ("2025-03-30", "2025-10-26"),
    "Asia/Kathmandu": ("2025-03-30", "2025-10-26"),
    "UTC": ("2025-03-30", "2025-10-26"),
}
"""Days on which clocks change there, or elsewhere."""


@pytest.fixture(scope="module")
def dsn(plain_postgres: Cluster) -> Iterator[str]:
    with fresh_database(plain_postgres) as name:
        with psycopg.connect(name, autocommit=True) as connection:
            # Each hour of the year its own number of openings, so that a sum says which hours are in it.
            connection.execute(
                "INSERT INTO door_hour (hour, locker_id, door, openings, closings, left_open, forced, put_in,"
                " collected, collect_timed, collect_seconds, collected_10m, collected_30m, collected_1h,"
                " collected_2h, collected_4h, collected_8h, collected_16h, collected_1d, collected_2d,"
                " collected_3d, collected_5d, collected_7d, collected_14d, collected_31d, updated_at)"
                " SELECT hour, 'berlin-01', 1, row_number() OVER (ORDER BY hour), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,"
                " 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, now()"
                " FROM generate_series('2025-01-01Z'::timestamptz, '2025-12-31T23:00Z', '1 hour') AS hour"
            )
        yield name


@pytest.fixture
async def statistics(dsn: str) -> AsyncIterator[StatisticsStore]:
    async with Database(dsn, connections_max=4, statement_timeout_ms=60_000, connect_timeout_s=60) as store:
        yield StatisticsStore(store)


def openings(hour: datetime) -> int:
    return (hour - datetime(2025, 1, 1, tzinfo=UTC)) // HOUR + 1


def hours(since: datetime, until: datetime) -> Iterator[datetime]:
    while since < until:
        yield since
        since += HOUR


def first_day(bucket: str, day: date) -> date:
    if bucket == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if bucket == "month" else day


def beginning(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment at which calendars there show a day, looked for minute by minute."""
    at = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=15)
    while at.astimezone(zone).date() < day:
        at += timedelta(minutes=15)
    return at


@pytest.mark.parametrize("zone", CHANGES)
async def test_no_hour_is_put_with_another_one(statistics: StatisticsStore, zone: str) -> None:
    place = ZoneInfo(zone)
    for changed in map(date.fromisoformat, CHANGES[zone]):
        middle = datetime(changed.year, changed.month, changed.day, tzinfo=UTC)
        window = (middle - timedelta(days=3), middle + timedelta(days=4))
        for bucket in ("hour", "day", "week", "month"):
            found = await statistics.totals(window, None, bucket, zone)
            buckets: dict[Any, int] = defaultdict(int)
            of_day: Counter[int] = Counter()
            for hour in hours(*window):
                local = hour.astimezone(place)
                buckets[hour if bucket == "hour" else first_day(bucket, local.date())] += openings(hour)
                of_day[local.hour] += openings(hour)
            expected = {
                key if isinstance(key, datetime) else beginning(key, place): count for key, count in buckets.items()
            }
            assert {row["bucket"]: row["openings"] for row in found if row["part"] == "bucket"} == expected
            assert {row["hour_of_day"]: row["openings"] for row in found if row["part"] == "hour_of_day"} == of_day
            (everything,) = (row["openings"] for row in found if row["part"] == "all")
            assert everything == sum(expected.values()) == sum(map(openings, hours(*window)))


async def test_the_days_of_a_change_are_as_long_as_they_are(statistics: StatisticsStore) -> None:
    for changed, length in (("2025-03-30", 23), ("2025-10-26", 25)):
        day = date.fromisoformat(changed)
        since = beginning(day, ZoneInfo("Europe/Berlin"))
        until = beginning(day + timedelta(days=1), ZoneInfo("Europe/Berlin"))
        found = await statistics.totals((since, until), None, "hour", "Europe/Berlin")
        assert sum(row["part"] == "bucket" for row in found) == length
        assert len({row["bucket"] for row in found if row["part"] == "bucket"}) == length
