"""Bring a database's schema forward: numbered .sql files, each in a transaction of its own.

A file `NNNN_name.sql` is for every database; `NNNN_name.timescaledb.sql` and `NNNN_name.plain.sql` are two forms
of one step. Which form a database has is decided at its first migration and kept.
"""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import psycopg

from hub.errors import MigrationError
from hub.store.dsn import connected
from hub.store.statements import statement

TIMESCALEDB: Final = "timescaledb"
PLAIN: Final = "plain"
TIMESCALEDB_VERSION_MIN: Final = (2, 28, 3)
"""Older ones lose or keep rows wrongly when single rows are erased from compressed chunks."""

POSTGRESQL_VERSION_MIN: Final = 15

_FOLDER: Final = Path(__file__).with_name("migrations")


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    number: int
    name: str
    form: str | None
    """TIMESCALEDB, PLAIN, or None for both."""
    sql: str

    @property
    def digest(self) -> str:
        """The SHA-256 of its text, in hex."""
        return sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a run of `migrate` found and did."""

    form: str
    applied: tuple[str, ...]
    at: int
    """The number of the newest migration in the database."""


def migrations() -> list[Migration]:
    """Return all migrations in order."""
    found = []
    for path in sorted(_FOLDER.glob("*.sql")):
        stem, _, form = path.name.removesuffix(".sql").partition(".")
        number, _, name = stem.partition("_")
        found.append(Migration(int(number), name, form or None, path.read_text()))
    return found


def migrate(dsn: str) -> Migrated:
    """Apply what is missing. Safe to run at any time, and from several places at once.

    Raises:
        MigrationError: the server is too old, a move of the tables is not through, the database is newer than this
            version, or a migration that was applied has changed.
        ConfigError, StoreUnavailable, StoreRejected: as `connected`.
    """
    with connected(dsn, "lockerhub migrate") as conn:
        refuse_old(conn.info.server_version)
        conn.execute(statement("migration_zone"))
        conn.execute(statement("migration_lock"))
        try:
            _refuse_while_moving(conn)
            return _migrate(conn)
        finally:
            conn.execute(statement("migration_unlock"))


def check(dsn: str) -> int:
    """Return how many migrations are missing. Raises as `migrate` does."""
    with connected(dsn, "lockerhub check") as conn:
        _refuse_while_moving(conn)
        if not _one(conn, "migration_exists"):
            return len({migration.number for migration in migrations()})
        applied = _applied(conn)
        return len({m.number for m in migrations()} - applied.keys())


def version_of(extension: str) -> tuple[int, ...]:
    """Return the numbers of an extension's version, without the end of one that is no release ("2.30.0-dev")."""
    return tuple(int(part) for part in extension.partition("-")[0].split("."))


def refuse_old(server_version: int) -> None:
    """Raise MigrationError for a server (as PQserverVersion has it: 150004) that is too old."""
    if server_version // 10_000 < POSTGRESQL_VERSION_MIN:
        raise MigrationError(
            f"the server is PostgreSQL {server_version // 10_000}, and Lockerhub needs "
            f"{POSTGRESQL_VERSION_MIN} or newer: upgrade it (pg_upgrade keeps the data), then migrate"
        )


def _refuse_while_moving(conn: psycopg.Connection) -> None:
    if _one(conn, "move_under_way"):
        raise MigrationError(
            "the tables of this database are being moved to TimescaleDB: `hub move-to-timescaledb` goes on with it"
        )


def _migrate(conn: psycopg.Connection) -> Migrated:
    conn.execute(statement("migration_table"))
    applied = _applied(conn)
    form = _form(conn, applied)
    done = []
    for migration in migrations():
        if migration.form not in {None, form} or migration.number in applied:
            continue
        with conn.transaction():
            conn.execute(migration.sql.encode())
            conn.execute(
                statement("migration_add"),
                {"number": migration.number, "name": _label(migration), "sha256": migration.digest},
            )
        done.append(f"{migration.number:04d} {_label(migration)}")
    if form == TIMESCALEDB:
        # Each time: they are the database's and not its tables', so a backup that was put back has none of them.
        conn.execute(statement("series_settings"))
    newest = max(migration.number for migration in migrations())
    return Migrated(form, tuple(done), newest)


def _applied(conn: psycopg.Connection) -> dict[int, str]:
    known = {(m.number, _label(m)): m.digest for m in migrations()}
    applied: dict[int, str] = {}
    for number, name, digest in conn.execute(statement("migrations_applied")).fetchall():
        if (number, name) not in known:
            raise MigrationError(
                f"the database has migration {number:04d} {name}, which this version does not know: "
                "run the version that made it, or a newer one"
            )
        if known[number, name] != digest:
            raise MigrationError(
                f"migration {number:04d} {name} is not the text that was applied to this database: "
                "migrations are never edited, a change is a new one"
            )
        applied[number] = name
    return applied


def _form(conn: psycopg.Connection, applied: dict[int, str]) -> str:
    return _form_applied(applied) or (TIMESCALEDB if create_extension(conn) else PLAIN)


def form_of(conn: psycopg.Connection) -> str | None:
    """Return which form the database has; None before its first migration. Raises MigrationError as `migrate`."""
    return _form_applied(_applied(conn))


def create_extension(conn: psycopg.Connection) -> bool:
    """Create TimescaleDB in the database if the server has one that is new enough, and whole. Says whether."""
    found = conn.execute(statement("timescaledb_available")).fetchone()
    if found is None or version_of(found[1] or found[0]) < TIMESCALEDB_VERSION_MIN:
        return False
    whole = False
    try:
        with conn.transaction() as made:
            conn.execute(statement("timescaledb_create"))
            # A build without its licensed part has no compression, of which our form is made.
            if _one(conn, "timescaledb_license") != "timescale":
                raise psycopg.Rollback(made)
            whole = True
    except psycopg.errors.InsufficientPrivilege:
        return False
    return whole


def _form_applied(applied: dict[int, str]) -> str | None:
    forms = [name.partition(".")[2] for name in applied.values() if "." in name]
    return forms[0] if forms else None


def _label(migration: Migration) -> str:
    return migration.name if migration.form is None else f"{migration.name}.{migration.form}"


def _one(conn: psycopg.Connection, name: str) -> object:
    row = conn.execute(statement(name)).fetchone()
    return None if row is None else row[0]
