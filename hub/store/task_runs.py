"""The table of the upkeep, and the lock that lets one process at a time do a task."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb

from hub.core.task_schedule import TaskAges
from hub.store.database import Database
from hub.store.statements import statement
from hub.store.translate import translate_errors

_ERROR_CHARS_MAX: Final = 500


@asynccontextmanager
async def advisory_lock(store: Database, name: str) -> AsyncIterator[bool]:
    """Hold the task's lock for the block; yields whether it was free. Raises StoreUnavailable.

    The lock is a session's, on a connection of its own without a transaction, so it holds nothing up however long
    the block takes, and is gone with its holder. That a broken connection frees it early is why every task has to
    be right when it runs twice at once; being alone spares work.
    """
    conn = await _connect(store, name, statement_timeout_s=0)
    try:
        with translate_errors():
            row = await (await conn.execute(statement("upkeep_alone"), {"key": _key(name)})).fetchone()
        yield row is not None and bool(row["got"])
        # The lock goes with its connection, but only when the server has noticed. Whoever is cancelled does not ask
        # for it: a database that does not answer would hold up a hub that stops.
        with suppress(psycopg.Error):
            await conn.execute(statement("upkeep_release"))
    finally:
        await conn.close()


@asynccontextmanager
async def dedicated_connection(
    store: Database, name: str, *, statement_timeout_s: int = 600
) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
    """Connect for long work that must not take a connection from the pool; each statement commits by itself.

    Whoever is in its way is waited for for two seconds: locks that wait hold up all who come after them. Raises
    StoreUnavailable (also where a lock was not to be had) or StoreRejected.
    """
    conn = await _connect(store, f"{name} work", statement_timeout_s=statement_timeout_s)
    try:
        with translate_errors():
            yield conn
    finally:
        await conn.close()


@dataclass(frozen=True, slots=True)
class TaskRow:
    """What the table says of a task."""

    ages: TaskAges
    good_at: float
    """Unix time in seconds: of its last success, or of when it was first known."""


async def load_task(store: Database, task: str, every_s: float) -> TaskRow:
    """Read a task's row; make it if there is none, with how often it is to be done."""
    async with store.transaction() as conn:
        await conn.execute(statement("upkeep_know"), {"task": task, "every_s": every_s})
        row = await (await conn.execute(statement("upkeep_state"), {"task": task})).fetchone()
    assert row is not None, "made in the same transaction"  # noqa: S101
    return TaskRow(TaskAges(row["succeeded_ago_s"], row["tried_ago_s"]), row["good_at"])


async def begin(store: Database, task: str) -> None:
    """Write down that a run begins."""
    async with store.transaction() as conn:
        await conn.execute(statement("upkeep_begin"), {"task": task})


async def succeeded(store: Database, task: str, did: dict[str, Any]) -> None:
    """Write down that it went well, and what it did."""
    async with store.transaction() as conn:
        await conn.execute(statement("upkeep_succeeded"), {"task": task, "did": Jsonb(did)})


async def failed(store: Database, task: str, error: str) -> None:
    """Write down that it failed, and why."""
    async with store.transaction() as conn:
        await conn.execute(statement("upkeep_failed"), {"task": task, "error": error[:_ERROR_CHARS_MAX]})


async def _connect(store: Database, name: str, *, statement_timeout_s: int) -> psycopg.AsyncConnection[DictRow]:
    async with store.transaction() as pooled:
        like = {**pooled.info.get_parameters(), "password": pooled.info.password}
    like["application_name"] = f"lockerhub {name}"
    like["options"] = (
        f"-c timezone=UTC -c statement_timeout={statement_timeout_s}s -c lock_timeout=2s"
        " -c idle_session_timeout=0 -c idle_in_transaction_session_timeout=60s"
        # As series_settings() has them; PostgreSQL by itself takes any name with a dot.
        " -c timescaledb.enable_skipscan=off -c timescaledb.enable_compressed_skipscan=off"
        " -c timescaledb.max_tuples_decompressed_per_dml_transaction=0"
    )
    connecting = asyncio.ensure_future(
        psycopg.AsyncConnection.connect(make_conninfo(**like), autocommit=True, row_factory=dict_row)
    )
    with translate_errors():
        try:
            return await asyncio.shield(connecting)
        except asyncio.CancelledError:
            # One that is cancelled in the middle would leave an open connection behind; it ends by its own timeout.
            with suppress(psycopg.Error):
                await (await connecting).close()
            raise


def _key(name: str) -> int:
    digest = sha256(f"lockerhub upkeep {name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)
