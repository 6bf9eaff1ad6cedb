"""The upkeep of the time series: partitions ahead of time, compression, roll-ups of telemetry.

Every step is a transaction of its own and a run ends when its time is up, so that it can be ended at any point and
the next run goes on from there. See decision 0008 for why the hub does it, and not policies inside TimescaleDB.
"""

from typing import Any, Final

from hub import clock
from hub.errors import StoreError, StoreRejected, StoreUnavailable
from hub.scheduler.scheduler import PeriodicTask
from hub.store import partitions
from hub.store.database import Database
from hub.store.task_runs import dedicated_connection

PARTITIONS_EVERY_S: Final = 6 * 3600.0
COMPRESSION_EVERY_S: Final = 3600.0
ROLLUP_EVERY_S: Final = 300.0
_COMPRESSION_S_MAX: Final = 1800.0
_ROLLUP_S_MAX: Final = 240.0


def series_tasks(store: Database) -> list[PeriodicTask]:
    """Return the periodic tasks of the tables `event` and `reading`."""
    return [
        PeriodicTask("partitions", PARTITIONS_EVERY_S, lambda: make_partitions(store)),
        PeriodicTask("compression", COMPRESSION_EVERY_S, lambda: compress(store)),
        PeriodicTask("rollup", ROLLUP_EVERY_S, lambda: roll_up(store)),
    ]


async def make_partitions(store: Database) -> dict[str, Any]:
    """Make the coming months' partitions, and empty the default ones. TimescaleDB makes its chunks by itself."""
    if await partitions.on_timescaledb(store):
        return {}
    made, moved, failed = 0, 0, []
    async with dedicated_connection(store, "partitions") as conn:
        for name, month in await partitions.partitions_wanted(conn):
            try:
                moved += await partitions.make_partition(conn, name, month)
                made += 1
            except StoreError as error:
                failed.append(f"{name} {month:%Y-%m}: {error}")
    if failed:
        raise StoreRejected(f"{len(failed)} partitions could not be made; {failed[0]}")
    return {"made": made, "moved": moved}


async def compress(store: Database) -> dict[str, Any]:
    """Compress old chunks, on TimescaleDB; vacuum what has dead rows, on both."""
    timescaledb = await partitions.on_timescaledb(store)
    began_ms = clock.now_ms()
    did = {"compressed": 0, "again": 0, "busy": 0, "vacuumed": 0}
    failed = []
    async with dedicated_connection(store, "compression", statement_timeout_s=3600) as conn:
        for chunk in await partitions.chunks_to_compress(conn) if timescaledb else []:
            if clock.now_ms() - began_ms > _COMPRESSION_S_MAX * 1000:
                break
            try:
                await partitions.compress(conn, chunk)
                did["again" if chunk.opened else "compressed"] += 1
            except StoreUnavailable:
                if conn.closed:
                    raise
                # Somebody reads it or writes to it. There is time: the next run comes.
                did["busy"] += 1
            except StoreRejected as error:
                failed.append(f"{chunk.name}: {error}")
        async for _ in partitions.vacuum(conn, timescaledb=timescaledb):
            did["vacuumed"] += 1
    if failed:
        raise StoreRejected(f"{len(failed)} chunks could not be compressed; {failed[0]}")
    return did


async def roll_up(store: Database) -> dict[str, Any]:
    """Bring `reading_hour` and `reading_day` up to the samples that are stored."""
    began_ms = clock.now_ms()
    hours = days = steps = 0
    done = False
    async with dedicated_connection(store, "rollup") as conn:
        while not done and clock.now_ms() - began_ms < _ROLLUP_S_MAX * 1000:
            step = await partitions.roll_up(conn)
            hours, days, steps, done = hours + step.hours, days + step.days, steps + 1, step.done
    return {"hours": hours, "days": days, "steps": steps, "done": done}
