"""Partitions, chunks and roll-ups of the tables that fill with time, a bounded step of their upkeep each."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import DictRow

from hub.errors import StoreUnavailable
from hub.store.database import Database
from hub.store.statements import statement
from hub.store.translate import translate_errors

Connection = psycopg.AsyncConnection[DictRow]

COMPRESS_AFTER_DAYS: Final = 90
"""Longer than the longest outage whose events come in late; samples that are older are not rolled up any more."""
MONTHS_AHEAD: Final = 3
PARTITIONS_MAX: Final = 48
"""How many are made in one run; those that are left come with the next one."""
_VACUUM_MAX: Final = 20
_OVERLAP_S: Final = 300
"""Far longer than a transaction of the hub can take, from the stamp of its rows to its commit."""
_STEP_S: Final = 3600


async def on_timescaledb(store: Database) -> bool:
    """Say which of the two forms the tables have."""
    rows = await store.fetch("series_on_timescaledb")
    return bool(rows[0]["yes"])


async def partitions_wanted(conn: Connection) -> list[tuple[str, date]]:
    """Return (series, month) of partitions that are to be made, on plain PostgreSQL, PARTITIONS_MAX at the most."""
    values = {"ahead": MONTHS_AHEAD, "limit": PARTITIONS_MAX}
    rows = await (await conn.execute(statement("partitions_wanted"), values)).fetchall()
    return [(row["series"], row["month"]) for row in rows]


async def make_partition(conn: Connection, series: str, month: date) -> int:
    """Make one partition, with the rows that came before it. Returns how many those were."""
    with translate_errors():
        values = {"series": series, "month": month}
        row = await (await conn.execute(statement("partition_make"), values)).fetchone()
    return int(row["moved"] or 0) if row else 0


@dataclass(frozen=True, slots=True)
class CompressibleChunk:
    """A chunk that is to be compressed."""

    name: str
    opened: bool
    """It was compressed before; late rows or a deletion have opened it."""


async def chunks_to_compress(conn: Connection) -> list[CompressibleChunk]:
    """Return the chunks that are old enough and not compressed, or not as a whole."""
    values = {"days": COMPRESS_AFTER_DAYS}
    rows = await (await conn.execute(statement("chunks_to_compress"), values)).fetchall()
    return [CompressibleChunk(row["chunk"], row["opened"]) for row in rows]


async def compress(conn: Connection, chunk: CompressibleChunk) -> None:
    """Compress one chunk, in a transaction of its own. Raises StoreUnavailable if somebody uses it."""
    with translate_errors():
        await conn.execute(statement("chunk_compress"), {"chunk": chunk.name})


async def vacuum(conn: Connection, *, timescaledb: bool) -> AsyncIterator[str]:
    """Vacuum those parts of the series that have dead rows, one by one; yield the name of each.

    What was deleted stands in the file until then. Parts that somebody else works on are left for the next time.
    """
    relations = [row["relation"] for row in await _all(conn, statement("series_relations"))]
    if timescaledb:
        relations += [row["relation"] for row in await _all(conn, statement("series_relations_compressed"))]
    values = {"relations": relations, "limit": _VACUUM_MAX}
    for row in await (await conn.execute(statement("relations_with_dead_rows"), values)).fetchall():
        name = sql.Identifier(row["schema"], row["name"])
        try:
            with translate_errors():
                await conn.execute(sql.SQL(statement("relation_vacuum")).format(relation=name))
        except StoreUnavailable:
            if conn.closed:
                raise
            continue
        yield f"{row['schema']}.{row['name']}"


@dataclass(frozen=True, slots=True)
class Rolled:
    """What one step of the roll-ups did."""

    hours: int
    days: int
    done: bool
    """There is nothing left to do."""


async def roll_up(conn: Connection) -> Rolled:
    """Roll up one day of the samples that were there before, or an hour of those that have come since."""
    with translate_errors():
        async with conn.transaction():
            state = await (await conn.execute(statement("rollup_take"), {"step_s": _STEP_S})).fetchone()
            assert state is not None, "the migration made the row"  # noqa: S101
            if state["fill_next"] is not None:
                day = datetime.combine(state["fill_next"], time(), UTC)
                row = await (await conn.execute(statement("rollup_fill"), {"day": day})).fetchone()
                await conn.execute(statement("rollup_filled"))
                return _rolled(row, done=False)
            values = {
                "followed_to": state["followed_to"], "until": state["until"], "overlap_s": _OVERLAP_S,
                "days": COMPRESS_AFTER_DAYS,
            }  # fmt: skip
            row = await (await conn.execute(statement("rollup_follow"), values)).fetchone()
            await conn.execute(statement("rollup_followed"), {"until": state["until"]})
            return _rolled(row, done=state["until"] >= state["now"])


async def _all(conn: Connection, query: LiteralString) -> Sequence[dict[str, Any]]:
    return await (await conn.execute(query)).fetchall()


def _rolled(row: DictRow | None, *, done: bool) -> Rolled:
    return Rolled((row and row["hours"]) or 0, (row and row["days"]) or 0, done)
