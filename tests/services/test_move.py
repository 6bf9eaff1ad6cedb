"""From native partitions to TimescaleDB: the same rows, and the schema of a database that was made there."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from hub.core.verify import judge
from hub.errors import MigrationError
from hub.scheduler import series
from hub.store.database import Database
from hub.store.ledgers import Ledgers
from hub.store.migrate import PLAIN, TIMESCALEDB, check, migrate, migrations
from hub.store.move import FORMS_KNOWN, move
from hub.store.statements import statement
from tests.hub.scene import fresh_database, register, rows
from tests.services.conftest import Cluster

pytestmark = pytest.mark.services

TABLES = ("event", "reading", "reading_hour", "reading_day")
EPOCH = "0192f0c1-0000-7000-8000-000000000001"


@pytest.fixture
def plain_dsn(timescaledb: Cluster) -> Iterator[str]:
    """A database that was made before its server had TimescaleDB."""
    everywhere, name = timescaledb.dsn("postgres"), f"test_{uuid4().hex}"
    rows(everywhere, f"CREATE DATABASE {name} TEMPLATE template0")
    dsn = timescaledb.dsn(name)
    rows(dsn, statement("migration_table"))
    with psycopg.connect(dsn) as connection:
        for one in migrations():
            if one.form in {None, PLAIN}:
                connection.execute(one.sql.encode())
                label = one.name if one.form is None else f"{one.name}.{one.form}"
                values = {"number": one.number, "name": label, "sha256": one.digest}
                connection.execute(statement("migration_add"), values)
    yield dsn
    rows(everywhere, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def store(plain_dsn: str) -> AsyncIterator[Database]:
    async with connected(plain_dsn) as store:
        yield store


def connected(dsn: str) -> Database:
    return Database(dsn, connections_max=4, statement_timeout_ms=10_000, connect_timeout_s=5)


async def fill(dsn: str) -> None:
    """Put in some months of two lockers, also of months without a partition; roll up the samples."""
    await register(dsn, ["berlin-01", "paris-02"])
    now = datetime.now(UTC)
    rows(
        dsn,
        "INSERT INTO event SELECT %s - n * interval '17 hours', now(), 'default', 'berlin-01', %s, 401 - n,"
        " 'door.opened', 1, CASE WHEN n %% 5 = 0 THEN %s::uuid END, NULL, NULL, 'synced', now(), '{\"n\": 1}'"
        " FROM generate_series(1, 400) AS n",
        now, EPOCH, EPOCH,
    )  # fmt: skip
    rows(dsn, "INSERT INTO ledger_cursor (locker_id, epoch, next_seq) VALUES ('berlin-01', %s, 401)", EPOCH)
    rows(
        dsn,
        "INSERT INTO reading (sampled_at, received_at, locker_id, temperature_c)"
        " SELECT %s - n * interval '7 hours', now(), 'paris-02', n FROM generate_series(1, 300) AS n",
        now,
    )
    async with connected(dsn) as store:
        await series.roll_up(store)


def everything(dsn: str) -> dict[str, Any]:
    return {table: sorted(rows(dsn, f"SELECT one::text FROM {table} AS one")) for table in TABLES}


def shape(dsn: str) -> dict[str, Any]:
    """Return all that a migration could lay hold of: columns, checks and keys, indexes, functions, labels."""
    own = "= ANY (%s::text[])"
    return {
        "columns": rows(
            dsn,
            "SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default"
            f" FROM information_schema.columns WHERE table_name {own} ORDER BY 1, 3",
            list(TABLES),
        ),
        "constraints": rows(
            dsn,
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            f" WHERE conrelid::regclass::text {own} AND contype <> 'n' ORDER BY 1, 2",
            list(TABLES),
        ),
        "indexes": rows(
            dsn,
            f"SELECT tablename, indexname, indexdef FROM pg_indexes WHERE tablename {own} ORDER BY 1, 2",
            list(TABLES),
        ),
        "triggers": rows(
            dsn,
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger"
            f" WHERE tgrelid::regclass::text {own} ORDER BY 1, 2",
            list(TABLES),
        ),
        "functions": rows(
            dsn,
            "SELECT proname, pg_get_function_identity_arguments(p.oid), prosrc FROM pg_proc p"
            " WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS (SELECT FROM pg_depend d"
            " WHERE d.objid = p.oid AND d.deptype = 'e') ORDER BY 1, 2",
        ),
        "settings": rows(
            dsn,
            "SELECT hypertable::text, segmentby, orderby, index"
            " FROM timescaledb_information.hypertable_columnstore_settings ORDER BY 1",
        ),
        "chunks": rows(
            dsn,
            "SELECT hypertable_name, column_name, time_interval FROM timescaledb_information.dimensions ORDER BY 1",
        ),
        "applied": rows(dsn, "SELECT number, name, sha256 FROM schema_migration ORDER BY 1"),
    }  # fmt: skip


async def verified(store: Database) -> list[Any]:
    ledgers = Ledgers(store)
    found = [
        judge(counted)
        async for row in ledgers.each(locker=None)
        if (counted := await ledgers.count((row["locker"], row["epoch"])))
    ]
    return [astuple(one) for one in found]


class Cut(Exception):  # noqa: N818 - somebody pulls the plug
    pass


async def test_a_moved_database_is_as_one_that_was_made_there(plain_dsn: str, timescaledb: Cluster) -> None:
    dsn = plain_dsn
    await fill(dsn)
    before = await asyncio.to_thread(everything, dsn)
    assert len(before["event"]) == 400
    assert rows(dsn, "SELECT count(*) > 0 FROM event_default") == [(True,)]
    async with connected(dsn) as store:
        ledgers = await verified(store)

    heard: list[str] = []

    def cut(text: str) -> None:
        heard.append(text)
        if len(heard) in {1, 4, 9}:
            raise Cut

    for _ in range(3):
        with pytest.raises(Cut):
            await asyncio.to_thread(move, dsn, cut)
        for ask in (migrate, check):
            with pytest.raises(MigrationError, match="`hub move-to-timescaledb` goes on with it"):
                ask(dsn)
    moved = await asyncio.to_thread(move, dsn, heard.append)
    assert moved.rows == {name: len(before[name]) for name in ("event", "reading", "reading_hour")}
    assert await asyncio.to_thread(everything, dsn) == before
    assert (
        rows(dsn, "SELECT relname FROM pg_class WHERE relname LIKE '%%plain%%' OR relname LIKE 'event_2%%'") == []
    )

    with fresh_database(timescaledb) as fresh:
        assert shape(dsn) == shape(fresh)
    again = migrate(dsn)
    assert (again.form, again.applied, check(dsn)) == (TIMESCALEDB, (), 0)
    async with connected(dsn) as store:
        assert await verified(store) == ledgers
        did = await series.compress(store)
        assert did["compressed"] > 10
        assert await asyncio.to_thread(everything, dsn) == before
        rows(dsn, "INSERT INTO reading (sampled_at, received_at, locker_id) VALUES (now(), now(), 'paris-02')")
        assert (await series.roll_up(store))["done"]
    with pytest.raises(MigrationError, match="nothing to move"):
        await asyncio.to_thread(move, dsn, heard.append)


async def test_a_copy_that_is_not_what_it_was_made_from_is_told_and_nothing_dropped(plain_dsn: str) -> None:
    await fill(plain_dsn)

    def meddle(text: str) -> None:
        if text.startswith("event_2"):
            rows(plain_dsn, "UPDATE event SET kind = 'door.closed' WHERE seq = (SELECT min(seq) FROM event)")

    with pytest.raises(
        MigrationError, match=r"event_20\d\d_\d\d has (\d+) rows and event has \1 of the same time, or"
    ):
        await asyncio.to_thread(move, plain_dsn, meddle)
    assert rows(plain_dsn, "SELECT count(*) FROM event_plain") == [(400,)]


async def test_not_beside_a_hub(store: Database, plain_dsn: str) -> None:
    await store.fetch("registry_version")
    with pytest.raises(MigrationError, match="connections of a hub are open on this database: stop the hub"):
        await asyncio.to_thread(move, plain_dsn, lambda _: None)


async def test_not_without_the_extension(plain_postgres: Cluster) -> None:
    with fresh_database(plain_postgres) as dsn:
        with pytest.raises(MigrationError, match="add timescaledb to shared_preload_libraries"):
            await asyncio.to_thread(move, dsn, lambda _: None)
        rows(dsn, "DELETE FROM schema_migration WHERE number = 12")
        with pytest.raises(MigrationError, match="`hub migrate` first"):
            await asyncio.to_thread(move, dsn, lambda _: None)


def test_a_new_migration_with_two_forms_has_to_be_thought_of_by_the_move() -> None:
    forms = [one for one in migrations() if one.form == TIMESCALEDB]
    assert {one.name for one in forms} == FORMS_KNOWN
    assert len(forms) == 2
