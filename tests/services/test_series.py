"""The upkeep of the series on both databases: partitions and what fell beside them, compression, roll-ups."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from hub.errors import StoreRejected
from hub.scheduler import series
from hub.store.database import Database
from tests.hub.scene import eventually, fresh_database, rows
from tests.services.conftest import Cluster

pytestmark = pytest.mark.services

EPOCH = "0192f0c1-0000-7000-8000-000000000001"


@pytest.fixture(scope="module", params=["plain", "timescaledb"])
def dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    running = {"plain": "plain_postgres"}.get(request.param, request.param)
    with fresh_database(request.getfixturevalue(running)) as dsn:
        yield dsn


@pytest.fixture
async def plain(plain_postgres: Cluster) -> AsyncIterator[str]:
    """A database with all partitions of this month, whenever the one that it is copied from was made."""
    with fresh_database(plain_postgres) as dsn:
        async with connected(dsn) as store:
            await series.make_partitions(store)
        yield dsn


@pytest.fixture
def hypertables(timescaledb: Cluster) -> Iterator[str]:
    with fresh_database(timescaledb) as dsn:
        yield dsn


def connected(dsn: str) -> Database:
    return Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5)


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Database]:
    async with connected(dsn) as store:
        yield store


async def ask(dsn: str, query: str, *values: object) -> list[Any]:
    return await asyncio.to_thread(rows, dsn, query, *values)


def event_at(dsn: str, at: datetime, seq: int, actor: str | None = None) -> None:
    rows(
        dsn,
        "INSERT INTO event VALUES (%s, now(), 'default', 'berlin-01', %s, %s, 'door.opened', 1, %s, NULL, NULL,"
        " 'synced', now(), NULL)",
        at, EPOCH, seq, actor,
    )  # fmt: skip


def sample(dsn: str, at: datetime, locker: str = "berlin-01", **values: object) -> None:
    columns = ["sampled_at", "received_at", "locker_id", *values]
    places = ", ".join(["%s"] * len(columns))
    rows(dsn, f"INSERT INTO reading ({', '.join(columns)}) VALUES ({places})", at, at, locker, *values.values())


# Partitions


async def test_rows_that_came_before_their_partition_are_moved_into_it(plain: str) -> None:
    for seq, month in enumerate((5, 6, 7, 12), 1):
        event_at(plain, datetime(2023, month, 31 if month != 6 else 30, 12, tzinfo=UTC), seq)
    sample(plain, datetime(2024, 2, 29, 23, 59, 59, 999_999, UTC), temperature_c=1)
    sample(plain, datetime(2024, 3, 1, tzinfo=UTC), temperature_c=2)
    before = rows(plain, "SELECT * FROM event ORDER BY seq")
    assert rows(plain, "SELECT count(*) FROM event_default") == [(4,)]
    async with connected(plain) as store:
        assert await series.make_partitions(store) == {"made": 6, "moved": 6}
        assert await series.make_partitions(store) == {"made": 0, "moved": 0}
    assert rows(plain, "SELECT * FROM event ORDER BY seq") == before
    assert rows(plain, "SELECT (SELECT count(*) FROM event_default), (SELECT count(*) FROM reading_default)") == [
        (0, 0)
    ]
    assert rows(plain, "SELECT temperature_c FROM reading_2024_02") == [(1.0,)]
    assert rows(plain, "SELECT temperature_c FROM reading_2024_03") == [(2.0,)]
    # A partition made so is as one made ahead: the same indexes, the same bounds.
    made = "SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass"
    assert rows(plain, made, "reading_2024_02") == rows(plain, made, "reading_default")
    with pytest.raises(psycopg.errors.CheckViolation):
        rows(plain, "INSERT INTO reading_2024_02 SELECT * FROM reading_2024_03")


async def test_a_partition_that_cannot_be_made_now_is_told_and_stops_no_other(plain: str) -> None:
    sample(plain, datetime(2024, 2, 1, tzinfo=UTC))
    event_at(plain, datetime(2024, 5, 1, tzinfo=UTC), 1)
    async with connected(plain) as store:
        with psycopg.connect(plain) as writer:
            # A writer in the default partition that does not come to an end.
            writer.execute(
                "INSERT INTO reading (sampled_at, received_at, locker_id) VALUES ('2024-02-02', now(), 'x')"
            )
            with pytest.raises(
                StoreRejected, match=r"1 partitions could not be made; reading 2024-02: .*lock timeout"
            ):
                await series.make_partitions(store)
            assert rows(plain, "SELECT count(*) FROM event_2024_05") == [(1,)]
            assert rows(plain, "SELECT count(*) FROM reading_default") == [(1,)]
        assert await series.make_partitions(store) == {"made": 1, "moved": 2}


async def test_who_writes_while_a_partition_is_made_waits_and_is_not_refused(plain: str) -> None:
    """A writer that had chosen the default partition before it had to wait would be refused as unacceptable."""
    insert = "INSERT INTO reading (sampled_at, received_at, locker_id) VALUES ('2024-02-02', now(), 'x')"
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    sample(plain, datetime(2024, 2, 1, tzinfo=UTC))

    async def make() -> list[Any]:
        return await ask(plain, "SELECT make_partition('reading', '2024-02-01')")

    with psycopg.connect(plain) as first:
        first.execute(insert)
        making = asyncio.create_task(make(), name="make")
        await eventually(lambda: _are(plain, waiting, 1), "the maker waits for the first writer")
        second = asyncio.create_task(ask(plain, insert), name="second")
        await eventually(lambda: _are(plain, waiting, 2), "the second writer waits for the maker")
    # What the first one wrote came after the first move, and was found by the second.
    assert await making == [(2,)]
    await second
    assert rows(plain, "SELECT (SELECT count(*) FROM reading_2024_02), (SELECT count(*) FROM reading_default)") == [
        (3, 0)
    ]


async def _are(dsn: str, query: str, count: int) -> bool:
    return await ask(dsn, query) == [(count,)]


async def test_coming_months_are_made_beside_rows_of_other_months(plain: str) -> None:
    """Rows in the default partition must never keep a partition from being made."""
    rows(plain, "DROP TABLE event_default, reading_default")
    for name in ("event", "reading"):
        parts = rows(plain, "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %s::regclass", name)
        for (part,) in parts:
            rows(plain, f"DROP TABLE {part}")
        rows(plain, f"CREATE TABLE {name}_default PARTITION OF {name} DEFAULT")
    event_at(plain, datetime.now(UTC), 1)
    async with connected(plain) as store:
        assert await series.make_partitions(store) == {"made": 8, "moved": 1}


# Compression


async def test_old_chunks_are_compressed_and_again_after_late_rows_and_erasure(hypertables: str) -> None:
    dsn, now = hypertables, datetime.now(UTC)
    person = "0192f0c1-0000-7000-8000-00000000000a"
    for seq in range(1, 41):
        event_at(dsn, now - timedelta(days=100 + seq / 10), seq, person if seq % 4 == 0 else None)
    event_at(dsn, now, 41)
    sample(dsn, now - timedelta(days=120), temperature_c=20)
    everything = await ask(dsn, "SELECT * FROM event ORDER BY seq")
    chunks = "SELECT count(*) FILTER (WHERE is_compressed), count(*) FROM timescaledb_information.chunks"
    async with connected(dsn) as store:
        first = await series.compress(store)
        ((compressed, total),) = await ask(dsn, chunks)
        assert first["compressed"] == compressed >= 2
        assert total == compressed + 1
        assert await ask(dsn, "SELECT * FROM event ORDER BY seq") == everything
        again = await series.compress(store)
        assert (again["compressed"], again["again"]) == (0, 0)

        event_at(dsn, now - timedelta(days=102), 42)
        await ask(dsn, "DELETE FROM event WHERE locker_id = 'berlin-01' AND actor_id = %s", person)
        left = await ask(dsn, "SELECT * FROM event ORDER BY seq")
        assert len(left) == 41 + 1 - 10
        opened = await series.compress(store)
        assert opened["again"] >= 1
        assert await ask(dsn, "SELECT * FROM event ORDER BY seq") == left
        assert (await series.compress(store))["again"] == 0


async def test_a_chunk_in_use_is_left_for_later(hypertables: str) -> None:
    event_at(hypertables, datetime.now(UTC) - timedelta(days=100), 1)
    async with connected(hypertables) as store:
        with psycopg.connect(hypertables) as reader:
            reader.execute("LOCK TABLE event IN SHARE ROW EXCLUSIVE MODE")
            did = await series.compress(store)
            assert (did["compressed"], did["busy"]) == (0, 1)
        assert (await series.compress(store))["compressed"] == 1


async def test_what_was_deleted_leaves_the_files(store: Database, dsn: str) -> None:
    for seq in range(1, 4):
        event_at(dsn, datetime.now(UTC), seq)
    rows(dsn, "DELETE FROM event WHERE seq <= 2")
    rows(dsn, "SELECT pg_stat_force_next_flush()")
    dead = (
        "SELECT sum(n_dead_tup)::integer FROM pg_stat_all_tables WHERE relid IN (SELECT inhrelid FROM pg_inherits)"
    )
    assert await ask(dsn, dead) == [(2,)]
    did = await series.compress(store)
    assert did["vacuumed"] >= 1
    assert await ask(dsn, dead) == [(0,)]
    assert await ask(dsn, "SELECT seq FROM event") == [(3,)]


# Roll-ups


async def rolled(dsn: str, table: str, **where: object) -> list[Any]:
    query = (
        f"SELECT locker_id, bucket, samples, temperature_c_min, temperature_c_avg, temperature_c_max,"
        f" temperature_c_count, cpu_pct_avg, cpu_pct_count, disk_free_mb_min, outbox_events_max, board_errors_max,"
        f" dropped_max FROM {table} WHERE locker_id = %s ORDER BY bucket"
    )
    return await ask(dsn, query, where.get("locker", "berlin-01"))


async def test_samples_are_rolled_up_by_hour_and_day(store: Database, dsn: str) -> None:
    rows(dsn, "TRUNCATE reading, reading_hour, reading_day")
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)
    sample(dsn, day, temperature_c=10, disk_free_mb=500, outbox_events=1, dropped=3)
    sample(dsn, day + timedelta(minutes=59, seconds=59), temperature_c=20, disk_free_mb=400, board_errors=2)
    sample(dsn, day + timedelta(hours=1), temperature_c=60, cpu_pct=5)
    sample(dsn, day + timedelta(hours=2))
    sample(dsn, day - timedelta(microseconds=1), temperature_c=-1)
    sample(dsn, day, "paris-02", temperature_c=99)
    did = await series.roll_up(store)
    assert (did["hours"], did["days"], did["done"]) == (5, 3, True)
    one = "berlin-01"
    yesterday = (one, day - timedelta(hours=1), 1, -1, -1, -1, 1, None, 0, None, None, None, None)
    assert await rolled(dsn, "reading_hour") == [
        yesterday,
        (one, day, 2, 10, 15, 20, 2, None, 0, 400, 1, 2, 3),
        (one, day + timedelta(hours=1), 1, 60, 60, 60, 1, 5, 1, None, None, None, None),
        (one, day + timedelta(hours=2), 1, None, None, None, 0, None, 0, None, None, None, None),
    ]
    assert await rolled(dsn, "reading_day") == [
        (one, day - timedelta(days=1), *yesterday[2:]),
        # Of three samples, and not of two hours: 30, and not 37.5.
        (one, day, 4, 10, 30, 60, 3, 5, 1, 400, 1, 2, 3),
    ]

    # Late samples change what was rolled up; the same run again changes nothing.
    sample(dsn, day + timedelta(minutes=30), temperature_c=60)
    await series.roll_up(store)
    assert (await rolled(dsn, "reading_hour"))[1][2:7] == (3, 10, 30, 60, 3)
    assert (await rolled(dsn, "reading_day"))[1][2:7] == (5, 10, 37.5, 60, 4)
    once = await rolled(dsn, "reading_hour")
    await series.roll_up(store)
    assert await rolled(dsn, "reading_hour") == once


async def test_a_roll_up_outlives_its_samples(store: Database, dsn: str) -> None:
    rows(dsn, "TRUNCATE reading, reading_hour, reading_day")
    at = datetime.now(UTC) - timedelta(days=3)
    sample(dsn, at, temperature_c=10)
    sample(dsn, at - timedelta(days=95), temperature_c=10)
    await series.roll_up(store)
    before = (await rolled(dsn, "reading_hour"), await rolled(dsn, "reading_day"))
    # Older samples than the window are none of its business: their chunk may be compressed, or half of it gone.
    assert [len(one) for one in before] == [1, 1]
    rows(dsn, "DELETE FROM reading")
    sample(dsn, at + timedelta(hours=30), "paris-02")
    await series.roll_up(store)
    assert (await rolled(dsn, "reading_hour"), await rolled(dsn, "reading_day")) == before


async def test_samples_of_before_are_rolled_up_day_by_day(store: Database, dsn: str) -> None:
    rows(dsn, "TRUNCATE reading, reading_hour, reading_day")
    for age in (200, 199, 197):
        sample(dsn, datetime.now(UTC) - timedelta(days=age), temperature_c=age)
    rows(dsn, "UPDATE reading SET stored_at = '2000-01-01 00:00+00'")
    rows(
        dsn,
        "UPDATE reading_rollup SET followed_to = now(), fill_next = first::date, fill_last = last::date"
        " FROM (SELECT min(sampled_at) AT TIME ZONE 'UTC' AS first, max(sampled_at) AT TIME ZONE 'UTC' AS last"
        " FROM reading) AS there",
    )
    did = await series.roll_up(store)
    assert did == {"hours": 3, "days": 3, "steps": 5, "done": True}
    assert [row[4] for row in await rolled(dsn, "reading_day")] == [200, 199, 197]
    assert await ask(dsn, "SELECT fill_next FROM reading_rollup") == [(None,)]


async def test_a_sample_whose_transaction_ended_late_is_rolled_up(store: Database, dsn: str) -> None:
    """Its stamp is of when the transaction began: of before the last step, which could not see it."""
    rows(dsn, "TRUNCATE reading, reading_hour, reading_day")
    await series.roll_up(store)
    sample(dsn, datetime.now(UTC) - timedelta(days=1), temperature_c=1)
    rows(dsn, "UPDATE reading SET stored_at = stored_at - interval '2 minutes'")
    assert (await series.roll_up(store))["hours"] == 1


async def test_a_hub_that_was_away_catches_up_hour_by_hour(store: Database, dsn: str) -> None:
    rows(dsn, "TRUNCATE reading, reading_hour, reading_day")
    sample(dsn, datetime.now(UTC) - timedelta(days=1), temperature_c=1)
    rows(dsn, "UPDATE reading_rollup SET followed_to = now() - interval '5 hours 30 minutes'")
    did = await series.roll_up(store)
    assert (did["steps"], did["done"], did["hours"]) == (6, True, 1)
