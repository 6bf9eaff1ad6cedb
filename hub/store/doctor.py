"""Find out how a database is: the facts that hub.core.doctor judges."""

from datetime import datetime
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import DictRow, dict_row

from hub.core.doctor import (
    COMPRESSION_GRACE_DAYS,
    Facts,
    HubLeaseFacts,
    JobFacts,
    RetentionFacts,
    SchemaFacts,
    SeriesFacts,
    ServerFacts,
    StandbyFacts,
    TaskFacts,
)
from hub.store.dsn import connected
from hub.store.migrate import PLAIN, TIMESCALEDB, TIMESCALEDB_VERSION_MIN, check, version_of
from hub.store.partitions import COMPRESS_AFTER_DAYS
from hub.store.statements import statement

_CLOCKS: Final = {
    "event": "occurred_at",
    "reading": "sampled_at",
    "reading_hour": "bucket",
    "reading_day": "bucket",
}
_SETTINGS: Final = (
    "fsync", "full_page_writes", "synchronous_commit", "autovacuum", "timescaledb.enable_skipscan",
    "timescaledb.enable_compressed_skipscan", "timescaledb.max_tuples_decompressed_per_dml_transaction",
)  # fmt: skip
_OPTIONS: Final = "-c timezone=UTC -c lock_timeout=5s -c statement_timeout=60s -c default_transaction_read_only=on"


def collect_facts(dsn: str) -> Facts:
    """Look at everything, and change nothing. Also a database that lacks migrations is looked at.

    Raises:
        StoreUnavailable: it cannot be reached, or does not answer in a minute.
        StoreRejected: something cannot be read.
        MigrationError: it is of a newer version, or its migrations were edited.
    """
    missing = check(dsn)
    with connected(dsn, "lockerhub doctor", _OPTIONS) as conn:
        return _Look(conn).facts(missing)


def lacking_rights(dsn: str) -> list[str]:
    """Return what the role lacks to run a hub, one thing each. Raises as `connected`."""
    with connected(dsn, "lockerhub doctor", _OPTIONS) as conn:
        # A role without any right on the schema has no current one.
        if conn.execute(statement("doctor_schema")).fetchone() == (None,):
            return ["USAGE on the schema public"]
        return [str(row[0]) for row in conn.execute(statement("doctor_grants")).fetchall()]


def hubs_connected(dsn: str) -> int:
    """Return how many connections hubs and their command lines have to the database. Raises as `connected`."""
    with connected(dsn, "lockerhub doctor", _OPTIONS) as conn:
        row = conn.execute(statement("doctor_hubs")).fetchone()
        return 0 if row is None else int(row[0])


class _Look:
    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn

    def facts(self, missing: int) -> Facts:
        server = self._one(statement("doctor_server"))
        at: datetime = server.pop("at")
        server["invalid_indexes"] = tuple(server["invalid_indexes"])
        settings = {name: self._one(statement("doctor_setting"), name=name)["value"] for name in _SETTINGS}
        schema = self._schema(missing)
        whole = not missing
        series = tuple(self._series(name, schema.form) for name in _CLOCKS) if whole else ()
        return Facts(
            at=at,
            server=ServerFacts(settings=settings, **server),
            schema=schema,
            series=series,
            tables={row["name"]: row["bytes"] for row in self._all(statement("doctor_tables"), but=list(_CLOCKS))},
            upkeep=tuple(TaskFacts(**row) for row in self._all(statement("doctor_upkeep"))) if whole else (),
            jobs=tuple(JobFacts(**row) for row in self._all(statement("doctor_jobs")))
            if schema.form == TIMESCALEDB
            else (),
            retention=RetentionFacts(**self._one(statement("doctor_retention")))
            if self._has("retention_run")
            else None,
            leases=tuple(HubLeaseFacts(**row) for row in self._all(statement("doctor_leases"))) if whole else (),
            standbys=tuple(StandbyFacts(**row) for row in self._all(statement("doctor_standbys"))) if whole else (),
        )

    def _schema(self, missing: int) -> SchemaFacts:
        applied = self._all(statement("migrations_applied")) if self._has("schema_migration") else []
        form = TIMESCALEDB if any(row["name"].endswith(f".{TIMESCALEDB}") for row in applied) else PLAIN
        rows = self._all(statement("doctor_extension"))
        offered = self._all(statement("timescaledb_available"))
        installed = rows[0]["installed"] if rows else None
        could = installed or (offered[0]["default_version"] if offered else None)
        return SchemaFacts(
            form=form,
            at=max((row["number"] for row in applied), default=0),
            missing=missing,
            extension=installed,
            extension_offered=could,
            extension_enough=could is not None and version_of(could) >= TIMESCALEDB_VERSION_MIN,
        )

    def _series(self, name: str, form: str) -> SeriesFacts:
        parts = self._all(statement("doctor_series"), series=name)
        bounded = [part for part in parts if part["upper"] is not None]
        loose = [part for part in parts if part["upper"] is None]
        figures: dict[str, Any] = {}
        if form == TIMESCALEDB and name != "reading_day":
            days = COMPRESS_AFTER_DAYS + COMPRESSION_GRACE_DAYS
            figures = self._one(statement("doctor_hypertable"), series=name, days=days)
        else:
            figures = self._one(statement("doctor_series_bytes"), series=name)
            if bounded and form == PLAIN:
                figures["upto"] = bounded[-1]["upper"]
                figures["default_rows"] = sum(
                    self._part(statement("doctor_default_rows"), part)["count"] for part in loose
                )
        return SeriesFacts(
            name=name, chunks=len(bounded) or 1, **{"upto": None, **self._edges(name, bounded, loose), **figures}
        )

    def _edges(self, name: str, bounded: list[DictRow], loose: list[DictRow]) -> dict[str, datetime | None]:
        """Look into as few parts as possible: only some have an index by time alone."""
        oldest: list[datetime] = []
        newest: list[datetime] = []
        for parts, found, which in ((bounded, oldest, "oldest"), (bounded[::-1], newest, "newest")):
            for part in parts:
                at = self._part(statement("doctor_edges"), part, clock=_CLOCKS[name])[which]
                if at is not None:
                    found.append(at)
                    break
        for part in loose:
            edges = self._part(statement("doctor_edges"), part, clock=_CLOCKS[name])
            oldest += [edges["oldest"]] if edges["oldest"] else []
            newest += [edges["newest"]] if edges["newest"] else []
        return {"oldest": min(oldest, default=None), "newest": max(newest, default=None)}

    def _part(self, query: LiteralString, part: DictRow, **columns: str) -> DictRow:
        # Chunks are named with their schema by series_chunks(), quoted where they have to be.
        names = {key: sql.Identifier(column) for key, column in columns.items()}
        cursor = self._conn.cursor(row_factory=dict_row)
        row = cursor.execute(sql.SQL(query).format(part=sql.SQL(part["chunk"]), **names)).fetchone()
        assert row is not None, "an aggregate has a row"  # noqa: S101
        return row

    def _has(self, table: str) -> bool:
        return bool(self._one(statement("doctor_has"), table=table)["yes"])

    def _one(self, query: LiteralString, /, **values: object) -> DictRow:
        (row,) = self._all(query, **values)
        return row

    def _all(self, query: LiteralString, /, **values: object) -> list[DictRow]:
        return self._conn.cursor(row_factory=dict_row).execute(query, values or None).fetchall()
