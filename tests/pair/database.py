"""The database as a hub meets it: transactions that take time, lock, break, and sometimes commit without a word.

`Pool` stands where psycopg's pool stands; all of hub/store/ above it is the real code.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg_pool import PoolTimeout

from hub.store.statements import statements
from tests.pair import command_tables  # noqa: F401 - adds its statements
from tests.pair import tables as sql
from tests.pair.process import Process, running
from tests.pair.tables import Result, Row, Tables
from tests.pair.world import World

_UNREACHABLE_S: Final = 0.3
_SILENCE_S: Final = 1.5
_LOCK_TIMEOUT_S: Final = 2.0
_NOTICED_S: Final = 0.05
"""How soon the server sees that a client is gone, and rolls back."""


@dataclass(slots=True)
class Database:
    """The server. Writers wait for each other, whatever they write; readers see what is committed."""

    world: World
    tables: Tables = field(default_factory=Tables)
    statement_ms: tuple[float, float] = (0.2, 2.0)
    commit_ms: tuple[float, float] = (0.3, 3.0)
    away: bool = False
    silent_commits: int = 0
    """So many of the next commits are carried out, and not answered."""
    on_commit: list[Callable[[str], None]] = field(default_factory=list)
    writer: "Connection | None" = None
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def restore(self, tables: Tables) -> None:
        """Put an older state back; whatever was under way is rolled back."""
        writer = self.writer
        if writer is not None:
            writer.break_off()
        self.tables = tables.copy()

    def unlock(self, connection: "Connection") -> None:
        """Let the next writer in."""
        if self.writer is connection:
            self.writer = None
            waiting, self.waiting = self.waiting, []
            for wake in waiting:
                wake()


class Pool:
    """What the store uses of psycopg_pool.AsyncConnectionPool."""

    def __init__(self, conninfo: str, **options: Any) -> None:  # noqa: ANN401 - as the real one
        del conninfo, options
        self._process = running()
        self._database = self._process.world.database

    @staticmethod
    async def check_connection(connection: object) -> None:
        del connection

    async def open(self) -> None:
        """Connections are made when they are asked for."""

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - the real one's signature
        del timeout

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["Connection"]:
        database = self._database
        await asyncio.sleep(database.world.latency(*database.statement_ms) / 1e9)
        if database.away:
            await asyncio.sleep(_UNREACHABLE_S * database.world.random.random())
            raise PoolTimeout("no connection came in time")
        connection = Connection(database, self._process)
        try:
            yield connection
        except BaseException:
            connection.abandon()
            raise
        await connection.commit()


class Connection:
    """One transaction."""

    def __init__(self, database: Database, process: Process) -> None:
        self._database = database
        self._process = process
        self._tables: Tables | None = None
        self._committing = False

    async def execute(self, query: str, given: Row | None = None) -> "Answer":
        name = _names()[query]
        read = sql.reads.get(name)
        if read is not None:
            self._check()
            return Answer(read(self._tables or self._database.tables, given or {}))
        await self._lock()
        assert self._tables is not None
        return Answer(sql.writes[name](self._tables, given or {}))

    @asynccontextmanager
    async def cursor(self) -> AsyncIterator["Connection"]:
        yield self

    async def executemany(self, query: str, every: Iterable[Row]) -> None:
        for given in every:
            await self.execute(query, given)

    @asynccontextmanager
    async def copy(self, query: str) -> AsyncIterator["_Copy"]:
        await self._lock()
        copy = _Copy()
        yield copy
        assert self._tables is not None
        getattr(sql, _names()[query])(self._tables, copy.data)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        await self._lock()
        assert self._tables is not None
        saved = self._tables.copy()
        try:
            yield
        except BaseException:
            self._tables = saved
            raise

    async def rollback(self) -> None:
        self.abandon()

    def abandon(self) -> None:
        """Roll back."""
        if not self._committing:
            self._tables = None
            self._database.unlock(self)

    def break_off(self) -> None:
        """Roll back at the server's side, whatever the client is doing."""
        self._tables = None
        self._database.unlock(self)

    async def commit(self) -> None:
        """Commit, and wait for the answer. Raises psycopg.OperationalError where it does not come."""
        if self._tables is None:
            return
        process, world = self._process, self._database.world
        answer = asyncio.get_running_loop().create_future()
        world.passes(process.name, "commit.before")
        process.when_awake(lambda: self._send_commit(answer))
        await answer

    def _send_commit(self, answer: "asyncio.Future[None]") -> None:
        self._committing = True
        self._database.world.after(self._ms(), self._carry_out, answer)

    def _carry_out(self, answer: "asyncio.Future[None]") -> None:
        database, process = self._database, self._process
        world = database.world
        if database.away or self._tables is None:
            world.after(_UNREACHABLE_S, process.hand_in, _fail, answer, "the server is gone")
        else:
            database.tables = self._tables
            world.note("database", "COMMIT", process.name)
            for look in database.on_commit:
                look(process.name)
            world.passes(process.name, "commit.after")
            if database.silent_commits:
                database.silent_commits -= 1
                world.note("database", "says nothing")
                world.after(_SILENCE_S, process.hand_in, _fail, answer, "the connection was lost")
            else:
                world.after(self._ms(), process.hand_in, _succeed, answer)
        database.unlock(self)

    async def _lock(self) -> None:
        self._check()
        if self._tables is not None:
            return
        database, world = self._database, self._database.world
        while database.writer is not None:
            turn = asyncio.get_running_loop().create_future()
            database.waiting.append(lambda turn=turn: self._process.hand_in(_succeed, turn))  # type: ignore[misc]
            try:
                async with asyncio.timeout(_LOCK_TIMEOUT_S):
                    await turn
            except TimeoutError:
                raise psycopg.errors.LockNotAvailable("canceling statement due to lock timeout") from None
            self._check()
        database.writer = self
        self._tables = database.tables.copy()
        self._process.on_death.append(lambda: world.after(_NOTICED_S, self.abandon))

    def _check(self) -> None:
        if self._database.away:
            raise psycopg.OperationalError("the connection was lost")

    def _ms(self) -> float:
        return self._database.world.latency(*self._database.commit_ms) / 1e9


class Answer:
    """What the store uses of psycopg's cursor."""

    def __init__(self, result: Result) -> None:
        self.rowcount = result.count or len(result.rows)
        self._rows = result.rows

    async def fetchall(self) -> list[Row]:
        return self._rows

    async def fetchone(self) -> Row | None:
        return self._rows[0] if self._rows else None


class _Copy:
    def __init__(self) -> None:
        self.data = b""

    async def write(self, data: bytes) -> None:
        self.data += data


def _succeed(answer: "asyncio.Future[None]") -> None:
    if not answer.done():
        answer.set_result(None)


def _fail(answer: "asyncio.Future[None]", why: str) -> None:
    if not answer.done():
        answer.set_exception(psycopg.OperationalError(why))


def _names() -> dict[str, str]:
    if not _names_of:
        _names_of.update({text: name for name, text in statements().items()})
    return _names_of


_names_of: dict[str, str] = {}
