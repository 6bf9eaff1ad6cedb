"""The store with a real PostgreSQL, plain and with TimescaleDB: what is written is what is read."""

import struct
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given, settings

from hub.core.fleet import DoorSpec, LockerSpec
from hub.core.ledger import Key
from hub.errors import StoreRejected, StoreUnavailable
from hub.store.binary_copy import HEADER, TRAILER, event_rows, reading_row
from hub.store.database import Database
from hub.store.history import History
from hub.store.ledgers import Ledgers
from hub.store.readings import write_readings, write_readings_apart
from hub.store.rows import EventsQuery, EventUnit, Quarantined, ReadingsQuery, ReadingUnit
from hub.store.statements import statement
from tests.hub.scene import fresh_database, rows
from tests.services.conftest import Cluster
from tests.wire.strategies import batches, samples
from wire.messages import Clock, Event, EventBatch, Sample

pytestmark = pytest.mark.services

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
EPOCH = UUID(int=7)
KEY: Key = ("berlin-01", EPOCH)


@pytest.fixture(params=["plain_postgres", "timescaledb"])
def dsn(request: pytest.FixtureRequest) -> Iterator[str]:
    cluster: Cluster = request.getfixturevalue(request.param)
    with fresh_database(cluster) as name:
        yield name


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Database]:
    async with Database(dsn, connections_max=4, statement_timeout_ms=5000, connect_timeout_s=5) as made:
        yield made


def same(one: object, other: object) -> bool:
    """The same JSON value; jsonb keeps numbers as decimals."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return isinstance(other, int | float) and one == float(other)
    return type(one) is type(other) and one == other


def copied(connection: psycopg.Connection, name: str, made: list[bytes], query: str) -> list[tuple[Any, ...]]:
    """COPY rows in, read them back, and leave nothing behind."""
    try:
        with connection.cursor() as cursor:
            with cursor.copy(statement(name)) as copy:
                copy.write(HEADER + b"".join(made) + TRAILER)
            return cursor.execute(query).fetchall()
    finally:
        connection.rollback()


def test_every_event_comes_back_as_it_was_sent(dsn: str) -> None:
    query = (
        "SELECT seq, kind, door, actor_id, command_id, transaction_id, clock, data, occurred_at, received_at,"
        " extract(epoch FROM stamped_at) * 1000, tenant_id, locker_id, epoch, time_source FROM event ORDER BY seq"
    )

    @given(batches)
    @settings(max_examples=60, deadline=None)
    def check(connection: psycopg.Connection, batch: EventBatch) -> None:
        made = event_rows(
            batch, skip=0, tenant="default", locker="berlin-01", occurred=[NOW_MS] * len(batch.events),
            received_ms=NOW_MS + 1,
        )  # fmt: skip
        found = copied(connection, "copy_event", made, query)
        assert len(found) == len(batch.events)
        for place, (event, row) in enumerate(zip(batch.events, found, strict=True)):
            clock = (event.clock or batch.clock).value
            expected = (
                batch.first + place,
                event.kind,
                event.door,
                event.actor,
                event.command,
                event.transaction,
                clock,
            )
            assert row[:7] == expected
            assert same(event.data, row[7])
            assert row[8:10] == (NOW, NOW + timedelta(milliseconds=1))
            assert row[10:] == (event.at, "default", "berlin-01", batch.epoch, "boot")

    with psycopg.connect(dsn) as connection:
        check(connection)


def test_every_reading_comes_back_as_it_was_sent(dsn: str) -> None:
    columns = (
        "temperature_c", "humidity_pct", "supply_v", "battery_pct", "rssi_dbm", "cpu_temp_c", "cpu_pct",
        "memory_pct", "disk_free_mb", "outbox_events", "board_errors", "dropped", "extra",
    )  # fmt: skip
    query = f"SELECT sampled_at, received_at, locker_id, time_source, {', '.join(columns)} FROM reading"

    @given(samples)
    @settings(max_examples=60, deadline=None)
    def check(connection: psycopg.Connection, sample: Sample) -> None:
        made = reading_row(sample, locker="berlin-01", sampled_ms=NOW_MS, received_ms=NOW_MS + 1)
        (row,) = copied(connection, "copy_reading", [made], query)
        assert row[:4] == (NOW, NOW + timedelta(milliseconds=1), "berlin-01", "boot")
        for name, value in zip(columns, row[4:], strict=True):
            sent = getattr(sample, name)
            if isinstance(sent, float):
                # The column is of four bytes.
                assert struct.pack("f", value) == struct.pack("f", sent)
            else:
                assert same(sent, value)

    with psycopg.connect(dsn) as connection:
        check(connection)


def unit(first: int, events: list[Event], key: Key = KEY, at: datetime = NOW) -> EventUnit:
    batch = EventBatch(
        v=1, boot=UUID(int=1), t=1, at=NOW_MS, clock=Clock.SYNCED, epoch=key[1], first=first, events=events
    )
    at_ms = int(at.timestamp() * 1000)
    made = event_rows(
        batch, skip=0, tenant="default", locker=key[0], occurred=[at_ms] * len(events), received_ms=NOW_MS
    )
    return EventUnit(key, first, first + len(events), made, None, NOW_MS, "topic", b"payload", len(made))


def opened(door: int | None = 1, kind: str = "door.opened") -> Event:
    return Event(t=1, at=1, kind=kind, door=door)


async def test_a_database_that_is_not_there_is_unavailable() -> None:
    store = Database(
        "postgresql://nobody@127.0.0.1:1/nothing", connections_max=4, statement_timeout_ms=500, connect_timeout_s=1
    )
    async with store:
        with pytest.raises(StoreUnavailable):
            await store.ping()


async def test_pages_of_events_have_no_hole_and_no_repeat(store: Database) -> None:
    first = 1
    expected: list[tuple[datetime, int]] = []
    for minute in range(6):
        at = NOW - timedelta(minutes=minute // 2)
        await Ledgers(store).write_events([unit(first, [opened()] * 5, at=at)])
        expected += [(at, seq) for seq in range(first, first + 5)]
        first += 5
    await Ledgers(store).write_events([unit(1, [opened()], key=("paris-02", EPOCH))])
    expected.sort(reverse=True)
    found: list[tuple[datetime, int]] = []
    after: tuple[datetime, UUID, int] | None = None
    while True:
        page = await store.events_of(
            EventsQuery("berlin-01", NOW - timedelta(days=1), NOW + timedelta(days=1), 7, after=after)
        )
        found += [(row["occurred_at"], row["seq"]) for row in page]
        if len(page) < 7:
            break
        after = (page[-1]["occurred_at"], page[-1]["epoch"], page[-1]["seq"])
    assert found == expected


async def test_filters_of_events(store: Database) -> None:
    await Ledgers(store).write_events(
        [
            unit(1, [opened(1), opened(2), opened(2, "door.closed"), opened(None, "tamper.on")]),
            unit(5, [opened(2)], at=NOW + timedelta(seconds=1)),
        ]
    )

    async def found(**wanted: Any) -> list[int]:  # noqa: ANN401 - fields of EventsQuery
        query: dict[str, Any] = {
            "since": NOW, "until": NOW + timedelta(days=1), "limit": 100, **wanted,
        }  # fmt: skip
        return [row["seq"] for row in await store.events_of(EventsQuery("berlin-01", **query))]

    assert await found() == [5, 4, 3, 2, 1]
    assert await found(door=2) == [5, 3, 2]
    assert await found(kind="door.opened") == [5, 2, 1]
    assert await found(door=2, kind="door.closed") == [3]
    assert await found(since=NOW + timedelta(milliseconds=1)) == [5]
    # The end is excluded.
    assert await found(until=NOW + timedelta(seconds=1)) == [4, 3, 2, 1]
    assert await found(limit=2) == [5, 4]
    assert await found(kind="'; DROP TABLE event; --") == []


async def test_the_newest_events_are_of_the_last_day(store: Database) -> None:
    now = datetime.now(UTC)
    await Ledgers(store).write_events(
        [unit(1, [opened()], at=now - timedelta(days=2)), unit(2, [opened()] * 3, at=now - timedelta(hours=1))]
    )
    assert [row["seq"] for row in await store.events_newest(2)] == [4, 3]
    assert [row["seq"] for row in await store.events_newest(100)] == [4, 3, 2]


async def test_pages_of_readings(store: Database) -> None:
    made = [
        reading_row(Sample(t=1, supply_v=float(n)), locker="berlin-01", sampled_ms=NOW_MS + n, received_ms=NOW_MS)
        for n in range(5)
    ]
    await write_readings(store, [ReadingUnit(made, NOW_MS, "t", b"")])
    query = ReadingsQuery("berlin-01", NOW, NOW + timedelta(seconds=1), 3)
    page = await History(store).readings(query)
    assert [row["supply_v"] for row in page] == [4, 3, 2]
    rest = await History(store).readings(
        ReadingsQuery("berlin-01", NOW, NOW + timedelta(seconds=1), 3, (page[-1]["at"], 1))
    )
    assert [row["supply_v"] for row in rest] == [1, 0]


async def test_a_doubtful_reading_is_stored_unless_it_is_there_already(store: Database, dsn: str) -> None:
    """As after a COMMIT that was not answered, or of a message that another hub may have stored."""

    def row(number: int, *, at: int = 0, received: int = 0) -> bytes:
        sample = Sample(t=number, cpu_pct=0.1 + number, outbox_events=number, extra={"b": 1e22, "a": number / 3})
        return reading_row(sample, locker="berlin-01", sampled_ms=NOW_MS + at, received_ms=NOW_MS + received)

    bare = reading_row(Sample(t=1), locker="berlin-01", sampled_ms=NOW_MS, received_ms=NOW_MS)
    elsewhere = reading_row(Sample(t=1), locker="paris-02", sampled_ms=NOW_MS, received_ms=NOW_MS)
    assert await write_readings(store, [ReadingUnit([row(1), row(2), bare], NOW_MS, "t", b"")]) == 0
    again = ReadingUnit(
        [row(1, received=7), row(3), bare, row(2, at=1), elsewhere], NOW_MS, "t", b"", doubtful=True
    )
    certain = ReadingUnit([row(4), row(4)], NOW_MS, "t", b"")
    assert await write_readings(store, [again, certain]) == 2
    assert await write_readings(store, [again]) == 5
    apart = await write_readings_apart(store, again)
    assert (apart.repeated, apart.refused) == (5, [])
    found = rows(dsn, "SELECT locker_id, outbox_events FROM reading ORDER BY outbox_events NULLS LAST, locker_id")
    assert [number for _, number in found] == [1, 2, 2, 3, 4, 4, None, None]


async def test_a_doubtful_reading_that_is_refused_costs_its_neighbours_nothing(store: Database, dsn: str) -> None:
    rows(dsn, "ALTER TABLE reading ADD CHECK (outbox_events <> 13)")
    made = [
        reading_row(Sample(t=1, outbox_events=n), locker="berlin-01", sampled_ms=NOW_MS, received_ms=NOW_MS)
        for n in (11, 12, 13, 14)
    ]
    await write_readings(store, [ReadingUnit(made[:1], NOW_MS, "t", b"")])
    unit = ReadingUnit(made, NOW_MS, "t", b"", doubtful=True)
    with pytest.raises(StoreRejected):
        await write_readings(store, [unit])
    apart = await write_readings_apart(store, unit)
    assert (apart.repeated, [place for place, _ in apart.refused]) == (1, [2])
    assert rows(dsn, "SELECT outbox_events FROM reading ORDER BY 1") == [(11,), (12,), (14,)]


async def test_quarantine_keeps_what_it_is_given(store: Database, dsn: str) -> None:
    kept = Quarantined(NOW, "lh/\N{SYMBOL FOR NULL}", "malformed", 'a "detail"', bytes(range(256)), 999)
    await store.write_quarantine([kept, kept])
    query = "SELECT received_at, topic, reason, detail, payload, payload_bytes FROM quarantine"
    expected = (NOW, kept.topic, "malformed", 'a "detail"', kept.payload, 999)
    assert rows(dsn, query) == [expected, expected]


async def test_the_registry_comes_back_as_it_was_written(store: Database, dsn: str) -> None:
    doors = (
        DoorSpec(1, 'a,"b\\ (c) {d} NULL', "S", 1, 1),
        DoorSpec(2, "ä", "XL", 99, 2),
        DoorSpec(999, "{}", "M", 1, 99),
    )
    spec = LockerSpec("berlin-01", "default", "Berlin, lobby", "", doors)
    empty = LockerSpec("aachen-01", "default", "Aachen", "Aachen", ())
    before = await store.registry_version()
    assert await store.add_locker(spec)
    assert await store.add_locker(empty)
    assert not await store.add_locker(LockerSpec("berlin-01", "default", "Other", "x", ()))
    assert await store.registry() == [empty, spec]
    middle = await store.registry_version()
    assert middle > before
    rows(dsn, "UPDATE door SET in_service = false, service_reason = 'bent, \"badly\"' WHERE number = 2")
    assert await store.registry_version() > middle
    found = (await store.registry())[1].doors[1]
    assert (found.in_service, found.service_reason) == (False, 'bent, "badly"')


async def test_readings_are_counted_since_their_receipt(store: Database) -> None:
    made = [reading_row(Sample(t=1), locker="berlin-01", sampled_ms=NOW_MS, received_ms=NOW_MS) for _ in range(3)]
    await write_readings(store, [ReadingUnit(made, NOW_MS, "t", b"")])
    assert await store.readings_since(["berlin-01", "paris-02"], NOW) == 3
    assert await store.readings_since(["paris-02"], NOW) == 0
    assert await store.readings_since(["berlin-01"], NOW + timedelta(seconds=1)) == 0


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("event", ("occurred_at", "received_at", "stamped_at")),
        ("reading", ("sampled_at", "received_at", "stored_at")),
    ],
)
async def test_a_time_that_could_not_be_read_back_is_not_stored(
    dsn: str, table: str, columns: tuple[str, ...]
) -> None:
    usual = {
        "event": "received_at, occurred_at, stamped_at, tenant_id, locker_id, epoch, seq, kind, clock",
        "reading": "received_at, sampled_at, stored_at, locker_id",
    }[table]
    values = {
        "event": ", 'default', 'berlin-01', gen_random_uuid(), 1, 'door.opened', 'synced'",
        "reading": ", 'b'",
    }
    for column in columns:
        for time in ("infinity", "-infinity", "10000-01-01 00:00+00", "0044-03-15 00:00+00 BC"):
            names = f"{column}, {usual.replace(f'{column}, ', '')}"
            insert = f"INSERT INTO {table} ({names}) VALUES (%s, now(), now(){values[table]})"
            # Infinity has no chunk on TimescaleDB, so that it does not even come to the check.
            with pytest.raises((psycopg.errors.CheckViolation, psycopg.errors.DatetimeFieldOverflow)):
                rows(dsn, insert, time)
    assert rows(dsn, f"SELECT count(*) FROM {table}") == [(0,)]


@pytest.mark.parametrize(
    "time",
    [
        datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=12))),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    ],
    ids=["year 10000", "before year 1"],
)
async def test_a_time_beyond_the_years_of_utc_is_refused_before_it_is_sent(store: Database, time: datetime) -> None:
    with pytest.raises(StoreRejected, match="outside of the years that there are in UTC"):
        async with store.transaction() as conn:
            await conn.execute("SELECT %s::timestamptz::text", (time,))
    async with store.transaction() as conn:
        there = datetime(2026, 11, 20, 10, tzinfo=timezone(timedelta(hours=1)))
        found = await (await conn.execute("SELECT %s AS one, %s AS many", (there, [there]))).fetchone()
    assert found == {"one": there, "many": [there]}
