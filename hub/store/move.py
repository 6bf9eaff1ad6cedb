"""Move a database from native partitions to TimescaleDB, in place, with the hub stopped.

The tables are exchanged first, in one transaction: from then on the database has the other form, with empty
hypertables beside the old partitions. Then the rows are copied, a week of one partition in a transaction, each
partition is compared with what came of it, and last of all the old ones are dropped. It can be ended at any point;
the next call goes on. Until it is through, hubs and migrations refuse this database (hub.store.migrate).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

from hub.errors import MigrationError
from hub.store.dsn import connected
from hub.store.migrate import PLAIN, TIMESCALEDB, create_extension, form_of, migrations, refuse_old
from hub.store.partitions import MONTHS_AHEAD
from hub.store.statements import statement

_CLOCKS: Final = {"event": "occurred_at", "reading": "sampled_at", "reading_hour": "bucket"}
FORMS_KNOWN: Final = {"series"}
"""The migrations with two forms that `_exchange` makes of one the other; a new one has to be thought of there."""
_SLICE: Final = timedelta(days=7)
_PARTITIONS_MAX: Final = 10_000
_CLOSING_S_MAX: Final = 1.0

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class MoveResult:
    """What is in the hypertables now."""

    rows: dict[str, int]
    """By table."""


def move(dsn: str, tell: Tell) -> MoveResult:
    """Move the series to hypertables, or go on with it. `tell` hears of each step.

    Raises:
        MigrationError: it cannot be done, or the copy is not what it was copied from; nothing is lost in any case.
        StoreUnavailable: the database is away; call again.
    """
    with connected(dsn, "lockerhub move", "-c timezone=UTC") as conn:
        refuse_old(conn.info.server_version)
        conn.execute(statement("migration_lock"))
        return _Move(conn, tell).run()


class _Move:
    def __init__(self, conn: psycopg.Connection, tell: Tell) -> None:
        self._conn = conn
        self._tell = tell

    def run(self) -> MoveResult:
        deadline = time.monotonic() + _CLOSING_S_MAX
        while others := self._value(statement("move_others")):
            # One that was closed a moment ago is still seen.
            if time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            raise MigrationError(
                f"{others} connections of a hub are open on this database: stop the hub (and its command lines), "
                "then move"
            )
        if not self._value(statement("move_under_way")):
            self._check()
            self._empty_default()
            with self._conn.transaction():
                self._exchange()
            self._tell("the tables are exchanged; the rows come now")
        for series in _CLOCKS:
            self._copy(series)
        return self._finish()

    def _check(self) -> None:
        if form_of(self._conn) != PLAIN:
            raise MigrationError("the tables are hypertables already: there is nothing to move")
        applied = {row[0] for row in self._conn.execute(statement("migrations_applied"))}
        if {one.number for one in migrations()} - applied:
            raise MigrationError("the database lacks migrations: `hub migrate` first")
        if not create_extension(self._conn):
            raise MigrationError(
                "this server cannot give TimescaleDB 2.28.3 or newer to this database: install it with its "
                "licensed part, add timescaledb to shared_preload_libraries, and restart the server; a superuser, "
                "or this role if it owns the database, creates the extension"
            )

    def _empty_default(self) -> None:
        """Give every row a month's partition, so that each partition can be compared with its span of time."""
        wanted = {"ahead": MONTHS_AHEAD, "limit": _PARTITIONS_MAX}
        for series, month in self._conn.execute(statement("partitions_wanted"), wanted).fetchall():
            self._conn.execute(statement("partition_make"), {"series": series, "month": month})
        left = self._value(statement("move_default_rows"))
        if left:
            raise MigrationError(f"{left} rows came to the default partitions meanwhile: stop what writes them")

    def _exchange(self) -> None:
        self._run(statement("move_state_table"))
        for series in _CLOCKS:
            self._run(statement("move_parts_add"), series=series, old=f"{series}_plain")
            self._replace(series)
        for series in ("event", "reading"):
            self._run(statement("move_make_hypertable"), series=series, clock=_CLOCKS[series])
        self._run(statement("move_drop_function"))
        self._run(statement("move_replace_function"))
        forms = [one for one in migrations() if one.form == TIMESCALEDB]
        # The first of them makes the tables, which are there; the others change them.
        for migration in forms[1:]:
            self._conn.execute(migration.sql.encode())
        for one in forms:
            self._run(
                statement("move_relabel"), number=one.number, name=f"{one.name}.{one.form}", sha256=one.digest
            )

    def _replace(self, series: str) -> None:
        """Put an empty table of the same columns, checks, key and indexes in the old one's place."""
        keys = self._conn.execute(statement("move_constraints"), {"series": series}).fetchall()
        indexes = self._conn.execute(statement("move_indexes"), {"series": series}).fetchall()
        for name, _ in [*indexes, *keys]:
            self._change(statement("move_rename_index"), name=name, old=f"{name}_plain")
        self._change(statement("move_rename_table"), name=series, old=f"{series}_plain")
        self._change(statement("move_make_like"), name=series, old=f"{series}_plain")
        for name, definition in keys:
            self._change(statement("move_add_key"), {"definition": definition}, name=series, key=name)
        for name, definition in indexes:
            if name == "reading_hour_time":
                # Only the table without chunks needs it.
                continue
            # The text is the server's own; of a partitioned table it says ON ONLY.
            self._conn.execute(definition.replace(" ON ONLY ", " ON ", 1).encode())

    def _copy(self, series: str) -> None:
        names = {"name": sql.Identifier(series), "clock": sql.Identifier(_CLOCKS[series])}
        for part, since, until, upto in self._conn.execute(statement("move_parts"), {"series": series}).fetchall():
            names["part"] = sql.Identifier(part)
            copied = self._copy_part(series, part, upto, names)
            self._tell(f"{part}: {copied} rows copied")
            span = {"since": since, "until": until}
            digest = sql.SQL(statement("move_digest"))
            old = self._conn.execute(digest.format(**{**names, "name": names["part"]}), span).fetchone()
            new = self._conn.execute(digest.format(**names), span).fetchone()
            if old != new:
                raise MigrationError(
                    f"{part} has {old and old[0]} rows and {series} has {new and new[0]} of the same time, or what "
                    "is in them differs: something else has written to one of them. Nothing was dropped; compare "
                    "them, put right what is wrong, and call again"
                )
            self._run(statement("move_verified"), series=series, part=part)

    def _copy_part(self, series: str, part: str, upto: datetime, names: Mapping[str, sql.Composable]) -> int:
        copied = 0
        while True:
            at = self._value(sql.SQL(statement("move_next")).format(**names), upto=upto)
            if at is None:
                return copied
            until = at + _SLICE
            with self._conn.transaction():
                done = self._conn.execute(
                    sql.SQL(statement("move_copy")).format(**names), {"since": at, "until": until}
                )
                self._run(statement("move_progress"), series=series, part=part, until=until)
            copied += done.rowcount
            upto = until

    def _finish(self) -> MoveResult:
        rows = {}
        with self._conn.transaction():
            for series in _CLOCKS:
                names = {"name": sql.Identifier(series), "old": sql.Identifier(f"{series}_plain")}
                counts = self._conn.execute(sql.SQL(statement("move_counts")).format(**names)).fetchone()
                if counts is None or counts[0] != counts[1]:
                    raise MigrationError(
                        f"{series} does not have as many rows as before: {counts}; nothing was dropped"
                    )
                rows[series] = counts[1]
                self._change(statement("move_drop"), old=f"{series}_plain")
            self._run(statement("move_drop_state"))
        self._run(statement("series_settings"))
        for series in _CLOCKS:
            self._change(statement("move_analyze"), name=series)
        return MoveResult(rows)

    def _change(self, query: LiteralString, raw: dict[str, str] | None = None, /, **names: str) -> None:
        parts: dict[str, sql.Composable] = {key: sql.Identifier(name) for key, name in names.items()}
        # What the server itself has written down as its definition.
        parts |= {key: sql.SQL(text) for key, text in (raw or {}).items()}
        self._conn.execute(sql.SQL(query).format(**parts))

    def _run(self, query: LiteralString, /, **values: object) -> None:
        self._conn.execute(query, values or None)

    def _value(self, query: LiteralString | sql.Composed, /, **values: object) -> Any:  # noqa: ANN401 - any column
        row = self._conn.execute(query, values or None).fetchone()
        return None if row is None else row[0]
