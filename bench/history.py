"""Seven years in the database: how fast they are asked, how they go by the rules, and how a person is forgotten.

The history is made up (bench/history_fleet.py) and put in by COPY; everything else is done by the hub's own code:
its HTTP API, its upkeep, its retention run, its eraser and its `ledger verify`.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import psycopg

from bench.history_fleet import READINGS_DAYS, Plan
from bench.history_load import load
from bench.history_questions import ask, figures, questions
from bench.history_rules import drop_year, forget_regular
from bench.http_connection import HttpConnection
from bench.processes import BenchError
from bench.rig import Rig, rig
from hub.config.settings import DatabaseSettings
from hub.core.statistics import windows
from hub.scheduler.series import compress, roll_up
from hub.store.database import Database
from hub.store.statistics import StatisticsStore

STORES: Final = ("timescaledb", "plain")
"""One after the other; the first one's figures stand at the top of the report."""
_HOURS_AT_ONCE: Final = 24 * 365
_LIMITS: Final = {"HUB_INTAKE_SILENT_AFTER_S": "3600"}
_T = TypeVar("_T")


def measure(*, events: int, stores: list[str], seed: int = 1) -> dict[str, Any]:
    """Measure each store and return the report; see docs/benchmarks.md for its keys.

    Raises:
        BenchError: a service is missing or ended, or what the hub did was not right.
    """
    plan = Plan(events, datetime.now(UTC).date(), seed=seed)
    reports = {store: _measure_one(store, plan) for store in stores}
    first, *others = stores
    return {"benchmark": "history", **reports[first], **{store: reports[store] for store in others}}


def _measure_one(store: str, plan: Plan) -> dict[str, Any]:
    with rig(plan.lockers, doors=plan.doors, plain=store == "plain") as running:
        report: dict[str, Any] = {"store": store, "lockers": len(plan.lockers), "years": plan.years}
        report |= running.surroundings()
        if report["database"] != store:
            raise BenchError(f"a {store} database was asked for, and this one is {report['database']}")
        for step in (_fill, _tend, _question, _forget, _drop):
            began = time.monotonic()
            found = step(running, plan)
            print(f"{store} {step.__name__.strip('_')} {time.monotonic() - began:.1f} s: {found}", file=sys.stderr)
            report |= found
        report |= _verified(running)
    return report


def _fill(running: Rig, plan: Plan) -> dict[str, Any]:
    """Put the history in, and mark what follows from it as not done yet, as a migration of an old database does."""
    with psycopg.connect(running.dsn) as connection:
        connection.execute("SELECT make_partitions('event', %s, 3)", (plan.begins,))
        connection.execute("SELECT make_partitions('reading', %s, 3)", (plan.ends - timedelta(days=READINGS_DAYS),))
    began = time.monotonic()
    loaded = load(running.dsn, plan)
    took_s = time.monotonic() - began
    with psycopg.connect(running.dsn) as connection:
        connection.execute(
            "INSERT INTO statistics_due (hour) SELECT generate_series(%s::timestamptz, %s, interval '1 hour')",
            (plan.begins, plan.ends),
        )
        connection.execute(
            "UPDATE reading_rollup SET followed_to = now(), fill_next = %s, fill_last = %s",
            (plan.ends - timedelta(days=READINGS_DAYS), plan.ends),
        )
    return {
        "events": loaded.events,
        "commands": loaded.commands,
        "readings": loaded.readings,
        "load_events_per_s": round(loaded.events / took_s),
        "bytes_per_event_uncompressed": round(_event_bytes(running.dsn) / loaded.events, 1),
    }


def _tend(running: Rig, plan: Plan) -> dict[str, Any]:
    """Do all upkeep that is due."""
    took = {}
    for name, work in (("compress_s", _compress), ("statistics_s", _count), ("rollup_s", _roll_up)):
        began = time.monotonic()
        _with_store(running.dsn, work)
        took[name] = round(time.monotonic() - began, 1)
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    (events,) = _row(running.dsn, "SELECT count(*) FROM event")
    return {
        **took,
        "bytes_per_event": round(_event_bytes(running.dsn) / events, 1),
        "chunks": _chunks(running.dsn),
        "regular_events": plan.regular_events,
    }


async def _compress(store: Database) -> None:
    while (did := await compress(store)) and did["compressed"]:
        pass


async def _count(store: Database) -> None:
    statistics = StatisticsStore(store)
    while hours := (await statistics.due(_HOURS_AT_ONCE))[0]:
        for window in windows(hours, gap=timedelta(days=2), longest=timedelta(days=7)):
            await statistics.count(window)


async def _roll_up(store: Database) -> None:
    while not (await roll_up(store))["done"]:
        pass


def _question(running: Rig, plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with running.hub(_LIMITS):
        connection = HttpConnection(running.http_port)
        for question in questions(plan):
            found |= figures(question, ask(connection, question, plan.seed))
        connection.close()
    return found


def _forget(running: Rig, plan: Plan) -> dict[str, Any]:
    found = _with_store(running.dsn, lambda store: forget_regular(running, plan, store))
    (left,) = _row(running.dsn, f"SELECT count(*) FROM event WHERE actor_id = '{plan.regular}'")
    if left:
        raise BenchError(f"{left} events of an erased person are left")
    return found


def _drop(running: Rig, plan: Plan) -> dict[str, Any]:
    (before,) = _row(running.dsn, "SELECT count(*) FROM event")
    found = _with_store(running.dsn, lambda store: drop_year(running, plan, store))
    (after,) = _row(running.dsn, "SELECT count(*) FROM event")
    oldest = datetime.now(UTC) - timedelta(days=365.25 * (plan.years - 1) + 1)
    (older,) = _row(running.dsn, f"SELECT count(*) FROM event WHERE occurred_at < '{oldest.isoformat()}'")
    if older:
        raise BenchError(f"{older} events are left whose time was over")
    return {**found, "dropped_events": before - after}


def _verified(running: Rig) -> dict[str, Any]:
    """Count all ledgers again. Raises BenchError where one is not complete."""
    report = json.loads(running.run_hub_command("ledger", "verify", "--json"))
    return {"ledgers": report["ledgers"], "ledgers_incomplete": report["incomplete"]}


def _event_bytes(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        if _is_timescaledb(connection):
            row = connection.execute("SELECT hypertable_size('event')").fetchone()
        else:
            row = connection.execute(
                "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('event')"
            ).fetchone()
    assert row is not None
    return int(row[0])


def _chunks(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        if _is_timescaledb(connection):
            row = connection.execute("SELECT count(*) FROM show_chunks('event')").fetchone()
        else:
            row = connection.execute("SELECT count(*) FROM pg_partition_tree('event') WHERE isleaf").fetchone()
    assert row is not None
    return int(row[0])


def _is_timescaledb(connection: "psycopg.Connection[Any]") -> bool:
    return connection.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").rowcount == 1


def _row(dsn: str, query: str) -> tuple[Any, ...]:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row


def _with_store(dsn: str, work: Callable[[Database], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        settings = DatabaseSettings()
        async with Database(
            dsn,
            connections_max=settings.connections_max,
            statement_timeout_ms=settings.statement_timeout_ms,
            connect_timeout_s=settings.connect_timeout_s,
        ) as store:
            return await work(store)

    return asyncio.run(run())
