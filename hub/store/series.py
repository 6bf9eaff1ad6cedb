"""The tables that fill with time: what of them is due, and how it goes, whatever the database is."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, LiteralString, TypeVar
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import DictRow

from hub.core.retention.plan import Chunk, RetentionAction, RetentionReach, may_be_held
from hub.core.retention.policy import CutOffs
from hub.core.retention.series import TimeSeriesKind
from hub.errors import StoreError, StoreUnavailable
from hub.store.database import Database
from hub.store.statements import statement

ROWS_MAX: Final = 10_000
"""The most rows of one locker that one transaction deletes, and about the most that it deletes in all."""

_LOCK_TIMEOUT_MS: Final = 50
"""Whoever writes waits for a deletion no longer than this and what the deletion itself takes."""
_STATEMENT_TIMEOUT_MS: Final = 300_000
_ATTEMPTS_MAX: Final = 200
_PAUSE_S_MIN: Final = 0.02
_PAUSE_S_MAX: Final = 0.5
_BUSY: Final = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_T = TypeVar("_T")

Connection = psycopg.AsyncConnection[DictRow]
Numbers = tuple[str, UUID, str]
"""A ledger (locker, epoch), and numbers of it: an int8multirange as text."""


@dataclass(frozen=True, slots=True)
class SeriesScope:
    """What is due in one chunk of a series, at one time, in one run."""

    run: int
    series: TimeSeriesKind
    chunk: Chunk
    cut_offs: CutOffs
    now: datetime
    held: bool
    """Whether a hold may keep some of it."""


@dataclass(frozen=True, slots=True)
class DeletedCount:
    """Rows whose time is over, how many of them holds keep, and the time of the oldest that no hold keeps."""

    due: int
    held: int
    oldest: datetime | None


class SeriesStore:
    """Counts and deletes. Errors are StoreUnavailable and StoreError."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def chunks(self, series: TimeSeriesKind) -> list[Chunk]:
        """Return the parts of a table, oldest first."""
        return [Chunk(**row) for row in await self._store.fetch("retention_chunks", {"series": series.table})]

    async def reaches(self, now: datetime) -> list[RetentionReach]:
        """Return the times that active holds name."""
        async with self._store.transaction() as conn:
            return await _reaches(conn, now)

    async def due(self, scope: SeriesScope) -> DeletedCount:
        """Count what is due."""
        async with self._reading() as conn:
            row = await _row(conn, _of(scope, statement("retention_due")), scope)
        return DeletedCount(row["due"], row["held"], row["oldest"])

    async def held(self, scope: SeriesScope) -> int:
        """Count what holds keep in the chunk, however old it is."""
        async with self._reading() as conn:
            return int((await _row(conn, _of(scope, statement("retention_held")), scope))["held"])

    async def lockers_due(self, scope: SeriesScope) -> list[tuple[str, int]]:
        """Return the lockers that have rows to delete, and how many each."""
        async with self._reading() as conn:
            found = await conn.execute(_of(scope, statement("retention_lockers_due")), _values(scope))
            return [(row["locker"], row["due"]) for row in await found.fetchall()]

    async def drop(self, scope: SeriesScope) -> int | None:
        """Drop the chunk with all of its rows; return how many. None, and nothing done, if a hold keeps some.

        Nobody writes into a chunk that old, but whoever does waits from here on, so that the rows that are
        counted are the rows that go. All others wait for the last two steps only.
        """

        async def work(conn: Connection) -> int | None:
            await conn.execute(statement("retention_hold_lock"))
            await conn.execute(statement("retention_chunk_close"), {"chunk": scope.chunk.name})
            if may_be_held(scope.chunk, await _reaches(conn, scope.now)):
                held = await _row(conn, _of(scope, statement("retention_held")), scope)
                if held["held"]:
                    return None
            numbers: list[Numbers] = []
            if scope.series.ledger:
                removed, numbers = await _all_numbers(conn, scope)
            else:
                removed = (await _row(conn, _of(scope, statement("retention_count")), scope))["count"]
            await add_step(conn, scope, RetentionAction.CHUNK, removed)
            await record_deleted_numbers(conn, numbers)
            await conn.execute(
                statement("retention_chunk_drop"),
                {**_values(scope), "series": scope.series.table, "chunk": scope.chunk.name},
            )
            return int(removed)

        return await self.patiently(work)

    async def delete(self, scope: SeriesScope, lockers: Sequence[str]) -> int:
        """Delete of each of these lockers up to `ROWS_MAX` rows, the oldest that are due; return how many went."""

        async def work(conn: Connection) -> int:
            await conn.execute(statement("retention_hold_lock"))
            exact = replace(scope, held=may_be_held(scope.chunk, await _reaches(conn, scope.now)))
            removed = 0
            numbers: list[Numbers] = []
            for locker in lockers:
                deleted, gone = await _delete(conn, exact, locker)
                removed += deleted
                numbers += gone
            await add_step(conn, scope, RetentionAction.ROWS, removed)
            # Last of all: from here to the commit whoever writes to these ledgers waits.
            await record_deleted_numbers(conn, numbers)
            return removed

        return await self.patiently(work)

    async def patiently(self, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        """Do the work in a transaction that gives way to others, again and again until it goes through.

        Raises StoreUnavailable if it does not within `_ATTEMPTS_MAX` times.
        """
        pause_s = _PAUSE_S_MIN
        for _ in range(_ATTEMPTS_MAX):
            try:
                async with self._store.transaction() as conn:
                    await _limit(conn, _LOCK_TIMEOUT_MS)
                    return await work(conn)
            except StoreUnavailable as error:
                if not isinstance(error.__cause__, _BUSY):
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _PAUSE_S_MAX)
        raise StoreUnavailable("others hold locks on the tables all the time; the next run tries again")

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Connection]:
        async with self._store.transaction() as conn:
            await _limit(conn, _STATEMENT_TIMEOUT_MS)
            yield conn


async def add_step(conn: Connection, scope: SeriesScope, act: RetentionAction, removed: int) -> None:
    """Write down, in the transaction that did it, what was done."""
    await write_step(
        conn, scope.run, scope.series.category.value, scope.series.table, scope.chunk, act, removed
    )  # fmt: skip


async def write_step(
    conn: Connection, run: int, category: str, table: str, chunk: Chunk, act: RetentionAction, removed: int
) -> None:
    """Add to what a run has done; nothing where nothing went."""
    if removed:
        await conn.execute(
            statement("retention_step_add"),
            {
                "number": run, "category": category, "series": table, "chunk": chunk.name, "lower": chunk.lower,
                "upper": chunk.upper, "act": act.value, "removed": removed,
            },
        )  # fmt: skip


async def record_deleted_numbers(conn: Connection, numbers: Sequence[Numbers]) -> None:
    """Write down numbers of ledgers as gone."""
    if not numbers:
        return
    await conn.execute(
        statement("retention_let_go"),
        {
            "lockers": [locker for locker, _, _ in numbers],
            "epochs": [epoch for _, epoch, _ in numbers],
            "numbers": [text for _, _, text in numbers],
        },
    )


def composed(series: TimeSeriesKind, chunk: Chunk, text: LiteralString) -> sql.Composed:
    """Return a statement with the names of a series in it."""
    at = sql.Identifier(series.at)
    # The chunk itself, and not the rows between its bounds in the whole table: to plan that over hundreds of chunks
    # takes longer than to do it.
    source = chunk.name
    tenant = _column(series.tenant) if series.tenant else sql.SQL("tenant_of(r.locker_id)")
    actor, transaction = _column(series.actor), _column(series.transaction)
    return sql.SQL(text).format(
        source=sql.Identifier(*source.split(".")),
        at=at,
        tenant=tenant,
        actor=actor,
        transaction=transaction,
        received=_column(series.received),
        held=sql.SQL(
            "held_at(greatest(now(), %(now)s), {tenant}, r.locker_id, {actor}, {transaction}, r.{at})"
        ).format(tenant=tenant, actor=actor, transaction=transaction, at=at),
        due=sql.SQL(
            "r.{at} < %(latest)s AND (r.{at} < %(earliest)s OR r.{at} < cut_off_of("
            "{tenant}, %(tenants)s::text[], %(befores)s::timestamptz[], %(default)s))"
        ).format(at=at, tenant=tenant),
    )


def cut_off_values(cut_offs: CutOffs) -> dict[str, Any]:
    """Return the parameters by which statements know what is due."""
    return {
        "default": cut_offs.default,
        "earliest": cut_offs.earliest,
        "latest": cut_offs.latest,
        "tenants": list(cut_offs.tenants),
        "befores": list(cut_offs.tenants.values()),
    }


async def _reaches(conn: Connection, now: datetime) -> list[RetentionReach]:
    rows = await (await conn.execute(statement("retention_holds"), {"now": now})).fetchall()
    return [RetentionReach(row["since"], row["before"]) for row in rows]


async def _all_numbers(conn: Connection, scope: SeriesScope) -> tuple[int, list[Numbers]]:
    """Return how many rows a chunk has, and their numbers."""
    found = await conn.execute(_of(scope, statement("retention_ledgers")), _values(scope))
    ledgers = await found.fetchall()
    dense = [row for row in ledgers if row["dense"]]
    holes = [row for row in ledgers if not row["dense"]]
    numbers = [(row["locker"], row["epoch"], f"{{[{row['first']},{row['last']}]}}") for row in dense]
    if holes:
        names = {"lockers": [row["locker"] for row in holes], "epochs": [row["epoch"] for row in holes]}
        exact = await conn.execute(
            _of(scope, statement("retention_ledgers_with_holes")), {**_values(scope), **names}
        )
        numbers += [(row["locker"], row["epoch"], row["numbers"]) for row in await exact.fetchall()]
    return sum(row["count"] for row in ledgers), numbers


async def _delete(conn: Connection, scope: SeriesScope, locker: str) -> tuple[int, list[Numbers]]:
    values = {**_values(scope), "locker": locker, "rows_max": ROWS_MAX}
    batch = await (await conn.execute(_of(scope, statement("retention_batch")), values)).fetchone()
    if batch is None or not batch["due"]:
        return 0, []
    values["last"] = batch["last"]
    counted = await _one(conn, _of(scope, statement("retention_batch_count")), values)
    numbers: list[Numbers] = []
    if scope.series.ledger:
        found = await conn.execute(_of(scope, statement("retention_delete_numbered")), values)
        ledgers = await found.fetchall()
        deleted: int = sum(row["deleted"] for row in ledgers)
        numbers = [(locker, row["epoch"], row["numbers"]) for row in ledgers]
    else:
        deleted = (await conn.execute(_of(scope, statement("retention_delete")), values)).rowcount
    left = await _one(conn, _of(scope, statement("retention_batch_count")), values)
    if deleted != counted or left:
        # Databases have lost or kept rows here before: rather nothing than the wrong ones.
        raise StoreError(
            f"{scope.chunk.name}: {counted} rows of {locker} were to go, {deleted} went and {left} stayed; "
            "nothing was deleted"
        )
    return deleted, numbers


async def _limit(conn: Connection, lock_timeout_ms: int) -> None:
    await conn.execute(
        statement("retention_limits"),
        {"lock_timeout_ms": lock_timeout_ms, "statement_timeout_ms": _STATEMENT_TIMEOUT_MS},
    )


def _of(scope: SeriesScope, text: LiteralString) -> sql.Composed:
    return composed(scope.series, scope.chunk, text)


def _column(name: str | None) -> sql.Composable:
    return sql.SQL("NULL") if name is None else sql.SQL("r.{}").format(sql.Identifier(name))


def _values(scope: SeriesScope) -> dict[str, Any]:
    return {
        **cut_off_values(scope.cut_offs),
        "lower": scope.chunk.lower or "-infinity",
        "upper": scope.chunk.upper or "infinity",
        "now": scope.now,
        "holds": scope.held,
    }


async def _row(conn: Connection, query: sql.Composed, scope: SeriesScope) -> DictRow:
    return await _one_row(conn, query, _values(scope))


async def _one(conn: Connection, query: sql.Composed, values: dict[str, Any]) -> int:
    return int((await _one_row(conn, query, values))["due"])


async def _one_row(conn: Connection, query: sql.Composed, values: dict[str, Any]) -> DictRow:
    row = await (await conn.execute(query, values)).fetchone()
    assert row is not None, "it counts"  # noqa: S101
    return row
