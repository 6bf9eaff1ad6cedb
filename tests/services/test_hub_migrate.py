"""Migrations on a real PostgreSQL, plain and with TimescaleDB."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest

from hub.errors import MigrationError, StoreRejected, StoreUnavailable
from hub.store.migrate import PLAIN, TIMESCALEDB, check, migrate, migrations, refuse_old
from hub.store.statements import statement
from tests.hub.scene import fresh_database, rows
from tests.services.conftest import Cluster, cluster, wheel_programs

pytestmark = pytest.mark.services

NUMBERS = sorted({migration.number for migration in migrations()})


@pytest.fixture
def form(request: pytest.FixtureRequest) -> str:
    return TIMESCALEDB if "timescaledb" in request.node.name else PLAIN


def test_the_files_are_numbered_without_holes_and_come_in_both_forms_or_one() -> None:
    found = migrations()
    assert list(range(1, len(NUMBERS) + 1)) == NUMBERS
    for number in NUMBERS:
        forms = {migration.form for migration in found if migration.number == number}
        assert forms in ({None}, {PLAIN, TIMESCALEDB})
    assert [migration.number for migration in found] == sorted(migration.number for migration in found)


def test_an_empty_database_is_brought_forward_once(postgres_dsn: str, form: str) -> None:
    assert check(postgres_dsn) == len(NUMBERS)
    done = migrate(postgres_dsn)
    assert (done.form, done.at, len(done.applied)) == (form, NUMBERS[-1], len(NUMBERS))
    assert check(postgres_dsn) == 0
    again = migrate(postgres_dsn)
    assert (again.form, again.at, again.applied) == (form, NUMBERS[-1], ())
    is_hypertable = rows(postgres_dsn, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") == [(1,)]
    assert is_hypertable is (form == TIMESCALEDB)
    rows(postgres_dsn, "SELECT * FROM event, reading, locker, ledger_cursor LIMIT 1")


def test_two_migrators_at_once_do_it_once(postgres_dsn: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(migrate, [postgres_dsn] * 4))
    assert sorted(len(one.applied) for one in done) == [0, 0, 0, len(NUMBERS)]
    assert rows(postgres_dsn, "SELECT count(*) FROM schema_migration") == [(len(NUMBERS),)]


def test_an_edited_migration_is_refused(postgres_dsn: str) -> None:
    migrate(postgres_dsn)
    rows(postgres_dsn, "UPDATE schema_migration SET sha256 = repeat('0', 64) WHERE number = 1")
    for ask in (migrate, check):
        with pytest.raises(MigrationError, match="migrations are never edited"):
            ask(postgres_dsn)


def test_a_newer_database_is_refused(postgres_dsn: str) -> None:
    migrate(postgres_dsn)
    rows(postgres_dsn, "INSERT INTO schema_migration (number, name, sha256) VALUES (9999, 'future', 'x')")
    for ask in (migrate, check):
        with pytest.raises(MigrationError, match="9999 future, which this version does not know"):
            ask(postgres_dsn)


def test_a_migration_that_fails_leaves_nothing_behind(postgres_dsn: str) -> None:
    rows(postgres_dsn, "CREATE TABLE quarantine (in_the_way integer)")
    with pytest.raises(StoreRejected, match="already exists"):
        migrate(postgres_dsn)
    assert rows(postgres_dsn, "SELECT to_regclass('tenant'), to_regclass('command')") == [(None, None)]
    assert check(postgres_dsn) == len(NUMBERS)
    rows(postgres_dsn, "DROP TABLE quarantine")
    assert len(migrate(postgres_dsn).applied) == len(NUMBERS)


def test_a_migration_counts_in_utc_whatever_zone_the_database_is_in(plain_postgres: Cluster) -> None:
    name = f"test_{uuid4().hex}"
    rows(plain_postgres.dsn("postgres"), f"CREATE DATABASE {name} TEMPLATE template0")
    dsn = plain_postgres.dsn(name)
    rows(dsn, f"ALTER DATABASE {name} SET timezone TO 'Pacific/Chatham'")
    rows(dsn, "CREATE FUNCTION zone_of() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
              " INSERT INTO zones VALUES (current_setting('TimeZone')); END $$")  # fmt: skip
    rows(dsn, "CREATE TABLE zones (zone text)")
    rows(dsn, "CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION zone_of()")
    migrate(dsn)
    assert rows(dsn, "SELECT DISTINCT zone FROM zones") == [("UTC",)]
    rows(plain_postgres.dsn("postgres"), f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_that_was_made_plain_stays_plain(timescaledb: Cluster) -> None:
    """Made before the extension was there, it is not asked for forms that would not fit."""
    everywhere = timescaledb.dsn("postgres")
    rows(everywhere, "CREATE DATABASE made_plain TEMPLATE template0")
    dsn = timescaledb.dsn("made_plain")
    plain = [migration for migration in migrations() if migration.form in {None, PLAIN}]
    rows(dsn, statement("migration_table"))
    for migration in plain:
        name = migration.name if migration.form is None else f"{migration.name}.{migration.form}"
        with psycopg.connect(dsn) as connection:
            connection.execute(migration.sql.encode())
            values = {"number": migration.number, "name": name, "sha256": migration.digest}
            connection.execute(statement("migration_add"), values)
    done = migrate(dsn)
    assert (done.form, done.applied) == (PLAIN, ())
    rows(everywhere, "DROP DATABASE made_plain WITH (FORCE)")


@pytest.mark.parametrize("install", ["pginstall", "pginstall18"])
def test_every_postgresql_of_the_wheel_takes_all_migrations(install: str) -> None:
    """The tests' own is 15; the wheel of the demo has 16 and 18."""
    with cluster(wheel_programs(install), {}) as running:
        dsn = running.dsn("postgres")
        done = migrate(dsn)
        assert (done.form, done.at, check(dsn)) == (PLAIN, NUMBERS[-1], 0)
        assert rows(dsn, "SELECT current_setting('server_version_num')::integer / 10000 >= 16") == [(True,)]


def test_a_server_that_is_too_old_is_refused() -> None:
    refuse_old(150_000)
    with pytest.raises(MigrationError, match="the server is PostgreSQL 14, and Lockerhub needs 15 or newer"):
        refuse_old(149_999)


def test_what_a_dump_does_not_carry_is_set_again(timescaledb: Cluster) -> None:
    with fresh_database(timescaledb) as dsn:
        name = rows(dsn, "SELECT current_database()")[0][0]
        rows(dsn, f"ALTER DATABASE {name} RESET ALL")
        assert rows(dsn, "SHOW timescaledb.enable_skipscan") == [("on",)]
        migrate(dsn)
        assert rows(dsn, "SHOW timescaledb.enable_skipscan") == [("off",)]
        # A role that does not own the database sets it for itself.
        rows(dsn, "DROP ROLE IF EXISTS keeper")
        rows(dsn, "CREATE ROLE keeper LOGIN")
        rows(dsn, f"ALTER DATABASE {name} RESET ALL")
        keeper = dsn.replace("lockerhub@", "keeper@")
        rows(keeper, "SELECT series_settings()")
        assert rows(keeper, "SHOW timescaledb.enable_compressed_skipscan") == [("off",)]
        assert rows(dsn, "SHOW timescaledb.enable_compressed_skipscan") == [("on",)]
        rows(dsn, f"ALTER ROLE keeper IN DATABASE {name} RESET ALL")
        rows(dsn, "DROP ROLE keeper")


def test_a_database_that_is_not_there() -> None:
    for ask in (migrate, check):
        with pytest.raises(StoreUnavailable) as away:
            ask("postgresql://hub:hunter2@127.0.0.1:1/nothing")
        assert "hunter2" not in str(away.value)
