"""The past over HTTP on real databases: filters, pages, plots, statistics, and which chunks they touch."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from hub.store.database import Database
from hub.store.history import EventFilter, History
from hub.store.statements import statement
from hub.store.statistics import StatisticsStore
from tests.hub.api.serving import Served, locker, served
from tests.hub.scene import fresh_database
from tests.services.conftest import Cluster
from tests.services.past import Told, clear, count_all, write

pytestmark = pytest.mark.services

BASE = datetime(2024, 3, 2, 9, tzinfo=UTC)
ANNA, COMMAND, HAND_OVER = UUID(int=11), UUID(int=12), UUID(int=13)
FLEET = [locker("berlin-01", "Berlin"), locker("paris-02", "Paris")]


@pytest.fixture(params=["plain_postgres", "timescaledb"], scope="module")
def dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    cluster: Cluster = request.getfixturevalue(request.param)
    with fresh_database(cluster) as name:
        yield name


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5) as made:
        await clear(made)
        yield made


@pytest.fixture
async def hub(dsn: str, store: Database, tmp_path: Path) -> AsyncIterator[Served]:
    await store.ping()
    async with served(tmp_path, lockers=FLEET, dsn=dsn) as running:
        yield running


async def got(hub: Served, path: str, **query: object) -> Any:  # noqa: ANN401 - JSON
    async with hub.http.get(path, params={name: str(value) for name, value in query.items()}) as response:
        body = await response.json(content_type=None)
        assert response.status == 200, body
        return body


async def refused(hub: Served, path: str, **query: object) -> str:
    async with hub.http.get(path, params={name: str(value) for name, value in query.items()}) as response:
        body = await response.json(content_type=None)
        assert (response.status, body["code"]) == (400, "bad_request"), body
        return str(body["detail"])


SPAN = {"since": "2024-01-01T00:00:00Z", "until": "2024-12-31T00:00:00+01:00"}


async def test_events_of_the_fleet_by_whatever_is_known_of_them(hub: Served, store: Database) -> None:
    await write(
        store,
        [
            Told(1, "berlin-01", 1, "door.opened", BASE, actor=ANNA, command=COMMAND),
            Told(2, "berlin-01", 1, "door.closed", BASE + timedelta(seconds=4), actor=ANNA),
            # Of the same moment as the one before, in another locker; and one of a locker that is no longer there.
            Told(1, "paris-02", 2, "door.opened", BASE + timedelta(seconds=4), transaction=HAND_OVER),
            Told(9, "gone-03", None, "tamper.on", BASE - timedelta(days=40)),
        ],
    )

    async def found(**query: object) -> list[tuple[str, int]]:
        page = await got(hub, "/api/v1/events", **{**SPAN, **query})
        return [(item["locker"], item["seq"]) for item in page["items"]]

    everything = [("paris-02", 1), ("berlin-01", 2), ("berlin-01", 1), ("gone-03", 9)]
    assert await found() == everything
    assert await found(actor=ANNA) == [("berlin-01", 2), ("berlin-01", 1)]
    assert await found(actor=ANNA, kind="door.opened") == [("berlin-01", 1)]
    assert await found(command=COMMAND) == [("berlin-01", 1)]
    assert await found(transaction=HAND_OVER) == [("paris-02", 1)]
    assert await found(site="Paris") == [("paris-02", 1)]
    assert await found(locker="gone-03") == [("gone-03", 9)]
    assert await found(locker="berlin-01", door=1, kind="door.closed") == [("berlin-01", 2)]
    assert await found(until=(BASE + timedelta(seconds=4)).isoformat()) == everything[2:]
    assert await found(actor=UUID(int=99)) == []
    pages, cursor = [], None
    while True:
        query = {**SPAN, "limit": 1, **({"cursor": cursor} if cursor else {})}
        page = await got(hub, "/api/v1/events", **query)
        pages += [(item["locker"], item["seq"]) for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == everything


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"door": 1}, "`door` needs `locker`"),
        ({"locker": "berlin-01", "site": "Berlin"}, "both given"),
        ({"site": "Atlantis"}, "No locker of the registry is at the site 'Atlantis'"),
        ({"actor": "anna"}, "UUID"),
        ({"locker": "BERLIN"}, "locker"),
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "is not before"),
        ({"since": "2010-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "more than ten years"),
        ({"since": "2026-01-01T00:00:00"}, "timezone"),
    ],
)
async def test_what_makes_no_sense_is_told(hub: Served, query: dict[str, object], told: str) -> None:
    assert told in await refused(hub, "/api/v1/events", **query)


async def reading(store: Database, at: datetime, temperature: float, board_errors: int = 0) -> None:
    async with store.transaction() as conn:
        await conn.execute(
            "INSERT INTO reading (sampled_at, received_at, locker_id, temperature_c, board_errors)"
            " VALUES (%s, %s, 'berlin-01', %s, %s)",
            (at, at, temperature, board_errors),
        )


async def rolled_up(store: Database, hours: list[datetime], to: datetime) -> None:
    """Roll hours and their days up, as the upkeep does; it has come so far."""
    async with store.transaction() as conn:
        for function, starts in (
            ("roll_up_hours", hours),
            ("roll_up_days", sorted({hour.replace(hour=0) for hour in hours})),
        ):
            await conn.execute(f"SELECT {function}(%s, %s)".encode(), (["berlin-01"] * len(starts), starts))
        await conn.execute("UPDATE reading_rollup SET followed_to = %s, fill_next = NULL, fill_last = NULL", (to,))


async def test_a_plot_is_as_fine_as_it_can_be(hub: Served, store: Database) -> None:
    for minute in range(180):
        await reading(store, BASE + timedelta(minutes=minute), minute, minute % 3)
    hours = [BASE + timedelta(hours=n) for n in range(3)]
    await rolled_up(store, hours[:2], BASE + timedelta(hours=2, minutes=30))
    path = "/api/v1/lockers/berlin-01/telemetry/plot"

    async def plot(hours_long: float, points: int) -> Any:  # noqa: ANN401 - JSON
        until = (BASE + timedelta(hours=hours_long)).isoformat()
        return await got(hub, path, since=BASE.isoformat(), until=until, points=points)

    raw = await plot(1, 100)
    assert (raw["resolution"], raw["width_s"], len(raw["at"])) == ("raw", 0, 60)
    measured = [float(n) for n in range(60)]
    assert raw["series"]["temperature_c"] == {"min": measured, "avg": measured, "max": measured}
    assert raw["series"]["disk_free_mb"] == {"min": [None] * 60, "avg": None, "max": None}
    minutes = await plot(1, 12)
    assert (minutes["resolution"], minutes["width_s"], minutes["samples"]) == ("minute", 300, [5] * 12)
    assert minutes["series"]["temperature_c"]["avg"][:2] == [2, 7]
    assert minutes["series"]["board_errors"] == {"min": None, "avg": None, "max": [2] * 12}
    # Nothing of the third hour is rolled up: it comes from the samples, and so does the one before the mark.
    day = await plot(24, 24)
    assert (day["resolution"], day["width_s"], day["samples"]) == ("hour", 3600, [60, 60, 60])
    assert day["series"]["temperature_c"]["avg"] == [29.5, 89.5, 149.5]
    assert day["series"]["temperature_c"]["max"] == [59, 119, 179]
    async with store.transaction() as conn:
        await conn.execute("DELETE FROM reading WHERE sampled_at < %s", (hours[1],))
    # Samples are gone and hours are not: no finer than hours, however few points that makes.
    short = await plot(1, 100)
    assert (short["resolution"], short["samples"]) == ("hour", [60])
    assert short["series"]["temperature_c"]["avg"] == [29.5]
    year = await plot(24 * 365, 400)
    assert (year["resolution"], year["width_s"]) == ("day", 86400)
    assert sum(year["samples"]) == 180
    (only,) = (await got(hub, path, **SPAN, series="supply_v"))["series"]
    assert only == "supply_v"
    assert "there are temperature_c" in await refused(hub, path, series="supply")


async def test_statistics(hub: Served, store: Database) -> None:
    async with store.transaction() as conn:
        await conn.execute("DELETE FROM locker")
        await conn.execute("INSERT INTO locker (id, name, site) VALUES ('berlin-01', 'B', 'Berlin')")
        await conn.execute(
            "INSERT INTO door (locker_id, number, label, size, grid_row, grid_column)"
            " VALUES ('berlin-01', 1, '1', 'S', 1, 1), ('berlin-01', 2, '2', 'L', 1, 2)"
        )
    day = BASE.replace(hour=0)
    await write(
        store,
        [
            Told(1, "berlin-01", 1, "door.opened", day + timedelta(hours=6)),
            Told(2, "berlin-01", 1, "occupancy.changed", day + timedelta(hours=6), occupied=True),
            Told(3, "berlin-01", 1, "door.left_open", day + timedelta(hours=6, minutes=5)),
            Told(4, "berlin-01", 1, "door.opened", day + timedelta(hours=18)),
            Told(5, "berlin-01", 1, "occupancy.changed", day + timedelta(hours=18), occupied=False),
            # Lies there for the whole of the second day, in which nothing is told of it.
            Told(6, "berlin-01", 2, "occupancy.changed", day + timedelta(hours=20), occupied=True),
            Told(7, "berlin-01", 2, "door.opened", day + timedelta(hours=47)),
        ],
    )
    await count_all(store)
    path = "/api/v1/statistics"

    async def asked(since: datetime, hours: int, **query: object) -> Any:  # noqa: ANN401 - JSON
        until = since + timedelta(hours=hours)
        return await got(hub, path, since=since.isoformat(), until=until.isoformat(), **query)

    first = await asked(day, 24)
    assert first["total"] == {
        "openings": 2, "closings": 0, "left_open": 1, "left_open_share": 0.5, "forced": 0,
        "put_in": 2, "collected": 1,
    }  # fmt: skip
    assert (first["collect"]["timed"], first["collect"]["mean_s"]) == (1, 12 * 3600)
    assert [one for one in first["collect"]["histogram"] if one["items"]] == [{"within_s": 16 * 3600, "items": 1}]
    assert first["collect"]["p50_s"] == 12 * 3600
    small, large = first["sizes"]
    assert (small["size"], small["doors_known"], large["size"]) == ("S", 1, "L")
    # From the locker's first change at six on: twelve hours and four hours, of eighteen.
    assert (small["occupied_share"], large["occupied_share"]) == (round(12 / 18, 4), round(4 / 18, 4))
    assert (small["collect"]["timed"], large["collect"]["timed"]) == (1, 0)
    second = await asked(day + timedelta(days=1), 24)
    assert [one["occupied_share"] for one in second["sizes"]] == [0, 1]
    both = await asked(day, 48, zone="Europe/Berlin")
    assert [(one["at"], one["openings"]) for one in both["buckets"]] == [
        ("2024-03-01T23:00:00Z", 2), ("2024-03-03T23:00:00Z", 1),
    ]  # fmt: skip
    assert [(one["hour"], one["openings"]) for one in both["hours_of_day"] if one["openings"]] == [
        (0, 1), (7, 1), (19, 1),
    ]  # fmt: skip
    assert (await asked(day, 24, site="Berlin"))["total"]["openings"] == 2
    assert (await asked(day, 24, locker="paris-02"))["total"]["openings"] == 0
    assert "no time zone" in await refused(hub, path, zone="Europe/Atlantis")
    assert "5000 buckets" in await refused(hub, path, bucket="hour", since="2020-01-01T00:00:00Z")


def touched(dsn: str, name: str, asked: dict[str, Any]) -> set[str]:
    """Return the tables, chunks and partitions that are in a statement's plan, made with its times."""
    with psycopg.connect(dsn, cursor_factory=psycopg.ClientCursor) as conn:
        conn.execute("SET timezone TO 'UTC'")
        row = conn.execute(b"EXPLAIN (FORMAT JSON) " + statement(name).encode(), asked).fetchone()
    assert row is not None
    return set(_relations(row[0]))


def _relations(plan: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(plan, dict):
        if "Relation Name" in plan:
            yield plan["Relation Name"]
        plan = list(plan.values())
    if isinstance(plan, list):
        for part in plan:
            yield from _relations(part)


async def test_a_question_touches_the_chunks_of_its_span_and_no_other(dsn: str, store: Database) -> None:
    months = [datetime(2021 + n // 12, n % 12 + 1, 13, tzinfo=UTC) for n in range(36)]
    async with store.transaction() as conn:
        await conn.execute("SELECT make_partitions('event', '2021-01-01', 0)")
    await write(store, [Told(n, "berlin-01", 1, "door.opened", at) for n, at in enumerate(months)])
    since, until = months[20], months[20] + timedelta(days=1)
    anything = dict.fromkeys(("lockers", "door", "kind", "actor", "command", "transaction"))
    first_page = dict.fromkeys(("after_at", "after_locker", "after_epoch", "after_seq"))
    day = {**anything, **first_page, "since": since, "until": until, "locker": "berlin-01", "limit": 101}
    assert len(touched(dsn, "events_page", day)) == 1
    assert len(touched(dsn, "events_page", {**day, "since": months[0]})) >= 20
    # A day is counted from its events, and from those of the month before it.
    counted = {"back": since - timedelta(days=31), "look_back": timedelta(days=31), "lockers": None}
    found = touched(dsn, "statistics_count", {**counted, "since": since, "until": until})
    assert len(found - {"door_hour", "event"}) == 2
    # A month of the whole fleet takes no event at all.
    month = {"since": months[20], "until": months[21], "lockers": None}
    assert touched(dsn, "statistics_totals", {**month, "bucket": "day", "zone": "UTC"}) == {"door_hour", "door"}
    assert touched(dsn, "statistics_collected", month) == {"door_hour", "door"}
    assert touched(dsn, "statistics_occupied", {**month, **counted, "lockers": None}) == {"door_hour", "door"}


async def test_what_is_asked_often_is_planned_anew_with_its_times(dsn: str) -> None:
    # A prepared statement gets a plan for any times after five uses, in which every chunk takes part.
    async with Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5) as store:
        history, statistics = History(store), StatisticsStore(store)
        for _ in range(30):
            await history.events(EventFilter(since=BASE, until=BASE + timedelta(days=1)), 10)
            await statistics.rows((BASE, BASE + timedelta(days=1)), None, 10)
        async with store.transaction() as one, store.transaction() as other:
            for conn in (one, other):
                kept = await (await conn.execute("SELECT statement FROM pg_prepared_statements")).fetchall()
                assert [
                    row for row in kept if "FROM event" in row["statement"] or "door_hour" in row["statement"]
                ] == []
