"""The hourly counts on real databases: whatever comes late or goes again, they are as if counted at once."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hub.core.statistics import COLLECT_BOUNDS_S, HOUR, LOOK_BACK, hour_of
from hub.metrics import Metrics
from hub.scheduler.statistics import StatisticsTask
from hub.store.database import Database
from hub.store.statistics import StatisticsStore, mark_due, recount
from tests.hub.scene import eventually, fresh_database
from tests.services.conftest import Cluster
from tests.services.past import Told, clear, count_all, insert, write

pytestmark = pytest.mark.services

BASE = datetime(2024, 3, 1, tzinfo=UTC)
Row = dict[str, Any]
Key = tuple[datetime, str, int]


@pytest.fixture(params=["plain_postgres", "timescaledb"], scope="module")
def dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    cluster: Cluster = request.getfixturevalue(request.param)
    with fresh_database(cluster) as name:
        yield name


_DOOR = {
    "door.opened": "openings",
    "door.closed": "closings",
    "door.left_open": "left_open",
    "door.forced": "forced",
}
_COUNTS = (*_DOOR.values(), "put_in", "collected", "collect_timed", "collect_seconds", *COLLECT_BOUNDS_S)


def expected(events: Sequence[Told]) -> dict[Key, Row]:
    """Count in the plainest way: every sensor's changes in order, one by one."""
    found: dict[Key, Row] = defaultdict(
        lambda: {**dict.fromkeys(_COUNTS, 0), "occupied_seconds": None, "occupied_after": None}
    )
    before: dict[tuple[str, int], Told] = {}
    for event in sorted(events, key=lambda one: (one.at, one.seq)):
        if event.door is None:
            continue
        row = found[hour_of(event.at), event.locker, event.door]
        if event.kind in _DOOR:
            row[_DOOR[event.kind]] += 1
        if isinstance(event.occupied, bool):
            change(row, event, before.get((event.locker, event.door)))
            before[event.locker, event.door] = event
    return dict(found)


def change(row: Row, event: Told, last: Told | None) -> None:
    """Count one change of an item sensor, which was last as `last` says."""
    hour = hour_of(event.at)
    row["put_in" if event.occupied else "collected"] += 1
    if row["occupied_after"] is None:
        row["occupied_seconds"] = 0
    elif row["occupied_after"] and last is not None:
        # What was taken to last to the end of the hour did not.
        row["occupied_seconds"] -= (hour + HOUR - last.at).total_seconds()
    if last is not None and last.occupied and event.at - last.at <= LOOK_BACK:
        row["occupied_seconds"] += (event.at - max(last.at, hour)).total_seconds()
        if not event.occupied:
            lay = round((event.at - last.at).total_seconds())
            row["collect_timed"] += 1
            row["collect_seconds"] += lay
            row[next(name for name, most in COLLECT_BOUNDS_S.items() if lay <= most)] += 1
    if event.occupied:
        row["occupied_seconds"] += (hour + HOUR - event.at).total_seconds()
    row["occupied_after"] = event.occupied


async def erase(store: Database, events: Sequence[Told]) -> None:
    """Delete events, and count again what they were counted in, as an erasure does."""
    async with store.transaction() as conn:
        await conn.execute("DELETE FROM event WHERE seq = ANY (%s)", ([event.seq for event in events],))
        await recount(conn, [(event.locker, event.at) for event in events])


async def counted(store: Database) -> dict[Key, Row]:
    """Return the rows that count something."""
    async with store.transaction() as conn:
        rows = await (await conn.execute("SELECT * FROM door_hour")).fetchall()
    found = {}
    for row in rows:
        key = (row.pop("hour"), row.pop("locker_id"), row.pop("door"))
        for name in ("updated_at", "occupied_before", "occupancy_at", "occupancy_before"):
            row.pop(name)
        if any(row.values()) or row["occupied_after"] is not None:
            found[key] = row
    return found


async def waiting_for_lock(store: Database) -> bool:
    async with store.transaction() as conn:
        asked = await conn.execute("SELECT FROM pg_locks WHERE NOT granted")
        return asked.rowcount > 0


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5) as made:
        await clear(made)
        yield made


def item(seq: int, at: datetime, *, occupied: bool) -> Told:
    return Told(seq, "a-1", 1, "occupancy.changed", at, occupied)


async def test_a_stay_follows_its_beginning_wherever_that_goes(store: Database) -> None:
    put, taken = item(1, BASE, occupied=True), item(2, BASE + timedelta(hours=30), occupied=False)
    await write(store, [taken])
    await count_all(store)
    key = (BASE + timedelta(hours=30), "a-1", 1)
    assert (await counted(store))[key]["collect_timed"] == 0
    # The beginning comes late: the end's hour, which no new event is of, is counted again.
    await write(store, [put])
    await count_all(store)
    assert (await counted(store))[key]["collect_seconds"] == 30 * 3600
    # It goes again: the end's hour forgets how long it was.
    await erase(store, [put])
    found = await counted(store)
    assert found.keys() == {key}
    assert (found[key]["collected"], found[key]["collect_timed"], found[key]["collect_seconds"]) == (1, 0, 0)


async def test_what_commits_while_it_is_counted_is_counted_the_next_time(store: Database) -> None:
    early, late = item(1, BASE, occupied=True), item(2, BASE + timedelta(minutes=5), occupied=False)
    await write(store, [early])
    async with store.transaction() as conn:
        await insert(conn, [late])
        await mark_due(conn, {hour_of(late.at)})
        # Beside the open transaction: its mark cannot be seen, so that it cannot be taken away either.
        await count_all(store)
        assert {row["collected"] for row in (await counted(store)).values()} == {0}
    assert (await StatisticsStore(store).due(10))[1] == 1
    await count_all(store)
    assert await counted(store) == expected([early, late])


async def test_what_commits_between_the_look_and_the_end_of_a_count_stays_marked(store: Database) -> None:
    events = [Told(n, "a-1", 1, "door.opened", BASE + timedelta(minutes=n)) for n in range(3)]
    await write(store, events[:1])
    await count_all(store)
    await write(store, events[1:2])
    async with store.transaction() as conn:
        # The count has looked at the events, and waits for this row to write what it saw.
        await conn.execute("SELECT FROM door_hour FOR UPDATE")
        counting = asyncio.create_task(StatisticsStore(store).count((BASE, BASE + HOUR)))
        await eventually(lambda: waiting_for_lock(store), "the count's waiting")
        await write(store, events[2:])
    await counting
    assert (await StatisticsStore(store).due(10))[1] == 1
    await count_all(store)
    assert await counted(store) == expected(events)


async def test_an_erasure_and_a_count_wait_for_each_other(store: Database) -> None:
    put, taken = item(1, BASE, occupied=True), item(2, BASE + timedelta(minutes=5), occupied=False)
    await write(store, [put, taken])
    async with store.transaction() as conn:
        await conn.execute("DELETE FROM event WHERE seq = 1")
        await recount(conn, [("a-1", BASE)])
        counting = asyncio.create_task(StatisticsStore(store).count((BASE, BASE + HOUR)))
        # It waits for the lock; what it would have seen before the erasure is committed would be wrong.
        await eventually(lambda: waiting_for_lock(store), "the count's waiting")
    await counting
    assert await counted(store) == expected([taken])


async def test_a_row_is_stamped_only_when_it_becomes_another_one(store: Database) -> None:
    async def stamps() -> dict[Key, datetime]:
        async with store.transaction() as conn:
            rows = await (await conn.execute("SELECT hour, locker_id, door, updated_at FROM door_hour")).fetchall()
        return {(row["hour"], row["locker_id"], row["door"]): row["updated_at"] for row in rows}

    events = [Told(1, "a-1", 1, "door.opened", BASE), Told(2, "a-1", 2, "door.opened", BASE)]
    await write(store, events)
    await count_all(store)
    first = await stamps()
    await write(store, [Told(3, "a-1", 2, "door.closed", BASE)])
    await count_all(store)
    second = await stamps()
    assert second[BASE, "a-1", 1] == first[BASE, "a-1", 1]
    assert second[BASE, "a-1", 2] > first[BASE, "a-1", 2]
    # Erased to nothing: the row stays for those who follow the stamps, and goes with the sweep.
    await erase(store, [events[0]])
    third = await stamps()
    assert third[BASE, "a-1", 1] > second[BASE, "a-1", 2]
    assert await StatisticsStore(store).sweep(third[BASE, "a-1", 1]) == 0
    assert await StatisticsStore(store).sweep(third[BASE, "a-1", 1] + timedelta(microseconds=1)) == 1
    assert (await stamps()).keys() == {(BASE, "a-1", 2)}


async def test_the_job_counts_what_is_marked_and_says_what_it_did(store: Database) -> None:
    metrics = Metrics("0")
    statistics = StatisticsTask(StatisticsStore(store), metrics)
    due = metrics.registry.get_sample_value
    events = [
        Told(n, "a-1", 1, "door.opened", BASE + timedelta(hours=n // 2, days=n % 2)) for n in range(6)
    ]  # fmt: skip
    await write(store, events)
    assert await statistics.run() == {"hours": 6, "rows": 6, "left": 0}
    assert due("lockerhub_statistics_due_hours") == 0
    assert await counted(store) == expected(events)
    # What was counted just now rests; the next hub, or the next run, counts it.
    await write(store, [Told(7, "a-1", 2, "door.opened", BASE)])
    assert (await StatisticsTask(StatisticsStore(store), metrics).run())["rows"] == 1
    assert await statistics.run() == {"hours": 0, "rows": 0, "left": 0}
    assert await statistics.sweep() == {"rows": 0}


happenings = st.tuples(
    st.sampled_from(["a-1"] * 5 + ["b-2"]),
    st.sampled_from([1] * 6 + [2, None]),
    st.sampled_from(
        ["occupancy.changed"] * 8 + ["door.opened", "door.closed", "door.left_open", "door.forced", "x"]
    ),
    # Within an hour, over its end, a day later, and around the bound of the look back.
    st.sampled_from([0, 1, 24, 24 * 31, 24 * 31 + 1]),
    st.sampled_from([0, 0.004, 10, 59.999, 60 * 59, 3599.999]),
    st.sampled_from([True, True, False, False, None, "perhaps"]),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.lists(happenings, min_size=1, max_size=8)),
        st.tuples(st.just("erase"), st.lists(st.integers(0, 30), min_size=1, max_size=4)),
        st.tuples(st.just("count"), st.none()),
    ),
    min_size=1,
    max_size=8,
)


def made(seq: int, happening: tuple[str, int | None, str, int, float, object]) -> Told:
    locker, door, kind, hours, seconds, occupied = happening
    at = BASE + timedelta(hours=hours, seconds=seconds)
    return Told(seq, locker, door, kind, at, occupied if kind == "occupancy.changed" else None)


# One recount of hours so far apart that the sensor's last change is within it, and too long ago all the same.
too_long_ago: list[tuple[str, Any]] = [
    (
        "write",
        [
            ("a-1", 1, "occupancy.changed", hours, seconds, True)
            for hours, seconds in [(744, 0), (744, 10), (0, 0), (0, 0)]
        ],
    ),
    ("count", None),
    ("erase", [0, 2]),
]


def test_any_order_of_writing_counting_and_erasing_comes_to_the_same(dsn: str) -> None:
    async def go_through(store: Database, taken: list[tuple[str, Any]]) -> None:
        await clear(store)
        there: list[Told] = []
        seq = 0
        for what, given_ in taken:
            if what == "write":
                new = [made(seq + place, one) for place, one in enumerate(given_)]
                seq += len(new)
                there += new
                await write(store, new)
            elif what == "erase":
                gone = [there[place] for place in {one % len(there) for one in given_}] if there else []
                there = [one for one in there if one not in gone]
                await erase(store, gone)
            else:
                await count_all(store)
        await count_all(store)
        assert await counted(store) == comparable(expected(there))

    with asyncio.Runner() as runner:
        store = Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5)
        runner.run(store.__aenter__())

        @given(steps)
        @example(too_long_ago)
        @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        def check(taken: list[tuple[str, Any]]) -> None:
            runner.run(go_through(store, taken))

        try:
            check()
        finally:
            runner.run(store.__aexit__())


def comparable(rows: dict[Key, Row]) -> dict[Key, Row]:
    """Round as the database does: once, at the end."""
    found = {}
    for key, row in rows.items():
        occupied = row["occupied_seconds"]
        if any(row.values()) or row["occupied_after"] is not None:
            found[key] = {**row, "occupied_seconds": None if occupied is None else round(occupied)}
    return found


changes = st.lists(
    st.tuples(st.sampled_from([1, 2]), st.integers(0, 72 * 60), st.booleans()),
    max_size=12,
    unique_by=lambda one: one[1],
)


def occupied_s(toggles: list[tuple[int, int, bool]], door: int, since: datetime, until: datetime) -> float:
    """Add up for how long a door was occupied between two times, change by change."""
    total = 0.0
    of_door = [(BASE + timedelta(minutes=minute), state) for one, minute, state in sorted(toggles) if one == door]
    for place, (at, state) in enumerate(of_door):
        end = of_door[place + 1][0] if place + 1 < len(of_door) else until
        if state:
            total += max((min(end, until) - max(at, since)).total_seconds(), 0)
    return total


def test_how_full_doors_were_is_what_adding_up_each_stay_gives(dsn: str) -> None:
    async def compare(store: Database, toggles: list[tuple[int, int, bool]], first: int, hours: int) -> None:
        await clear(store)
        await write(
            store,
            [
                Told(n, "a-1", door, "occupancy.changed", BASE + timedelta(minutes=minute), state)
                for n, (door, minute, state) in enumerate(toggles)
            ],
        )
        await count_all(store)
        since = BASE + first * HOUR
        until = since + hours * HOUR
        found = {row["size"]: row for row in await StatisticsStore(store).occupied((since, until), None)}
        for door, size in ((1, "S"), (2, "XL")):
            assert found[size]["occupied_s"] == occupied_s(toggles, door, since, until)
        told = [hour_of(BASE + timedelta(minutes=minute)) for _, minute, _ in toggles]
        known = [hour for hour in told if hour < until]
        assert found["S"]["doors_known"] == bool(known)
        assert found["S"]["known_s"] == ((until - max(since, min(known))).total_seconds() if known else 0)

    with asyncio.Runner() as runner:
        store = Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5)
        runner.run(store.__aenter__())
        runner.run(with_doors(store))

        @given(changes, st.integers(-2, 75), st.integers(1, 24 * 28))
        @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        def check(toggles: list[tuple[int, int, bool]], first: int, hours: int) -> None:
            runner.run(compare(store, toggles, first, hours))

        try:
            check()
        finally:
            runner.run(store.__aexit__())


async def with_doors(store: Database) -> None:
    async with store.transaction() as conn:
        await conn.execute("DELETE FROM locker")
        await conn.execute("INSERT INTO locker (id, name) VALUES ('a-1', 'A')")
        await conn.execute(
            "INSERT INTO door (locker_id, number, label, size, grid_row, grid_column)"
            " VALUES ('a-1', 1, '1', 'S', 1, 1), ('a-1', 2, '2', 'XL', 1, 2)"
        )


async def test_a_long_span_is_the_sum_of_its_months(store: Database) -> None:
    await with_doors(store)
    month = timedelta(days=30)
    await write(store, [item(n, BASE + n * month, occupied=n % 2 == 0) for n in range(5)])
    await count_all(store)
    found = await StatisticsStore(store).occupied((BASE, BASE + 4 * month), None)
    (small,) = [row for row in found if row["size"] == "S"]
    assert small["occupied_s"] == 2 * month.total_seconds()
    assert small["known_s"] == 4 * month.total_seconds()
    # 31 days after the last hour that said something nobody knows any more.
    found = await StatisticsStore(store).occupied((BASE + 4 * month, BASE + 8 * month), None)
    (small,) = [row for row in found if row["size"] == "S"]
    assert small["occupied_s"] == (LOOK_BACK + HOUR).total_seconds()
