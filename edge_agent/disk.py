"""One SQLite file, written on a disk thread, with what waits together committed together.

Works are functions of the connection. They run in the order of their submission, many in one transaction, and
each gets its answer after the commit: with WAL and synchronous=FULL that is when the data has survived a power
cut. When the disk refuses (full, read-only, broken), a hurried work fails at once, while patient ones are kept and
tried again each second; hurried ones that come meanwhile are tried before them.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, TypeVarTuple, cast
from uuid import UUID

from edge_agent.event_rows import oldest_seq
from edge_agent.schema import SchemaError, bring_forward

log = logging.getLogger(__name__)

EVENTS_WAITING_MAX: Final = 10_000
"""Events of patient works that wait for a disk that refuses; beyond it some are given up, and counted."""
HURRIED_WAITING_MAX: Final = 1_000
_WORKS_TOGETHER_MAX: Final = 1_000
_RETRY_S: Final = 1.0
_CHUNK_BYTES: Final = 1 << 20
_T = TypeVar("_T")
_P = TypeVarTuple("_P")

Work = Callable[[sqlite3.Connection], _T]


class DiskError(OSError):
    """The file cannot be used, or did not take a work; the text says why."""


@dataclass(frozen=True, slots=True)
class Cargo:
    """The events that a patient work carries; without any, it is never given up."""

    events: int
    from_t: int
    to_t: int
    spare: bool
    """They are given up before others: they tell nothing of a door or a command."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Events that were given up: how many, and the boot-clock times of the first and the last."""

    events: int
    from_t: int
    to_t: int


@dataclass(slots=True)
class _Queued(Generic[_T]):
    work: Work[_T]
    done: asyncio.Future[_T]
    then: Callable[[_T], None] | None
    patient: bool
    cargo: Cargo | None = None
    lost: Lost | None = None
    """Of the work that tells what was lost: made anew for each attempt, and never kept."""


class Disk:
    """The agent's file. Make it with `open_disk`; use it from one event loop."""

    def __init__(self, connection: sqlite3.Connection, executor: Executor, path: Path) -> None:
        self.given_up = 0
        """Events given up because `EVENTS_WAITING_MAX` waited for a disk that refuses."""
        self.refusals = 0
        """Transactions that the disk did not take."""
        self.tell_lost: Callable[[Lost], tuple[Work[Any], Callable[[Any], None]]] | None = None
        """Makes (work, then) of what was lost; it is written before what still waits."""
        self._connection = connection
        self._executor = executor
        self._path = path
        self._queue: deque[_Queued[Any]] = deque()
        self._events_waiting = 0
        self._hurried = 0
        self._lost: Lost | None = None
        self._busy = False
        self._closed = False
        self._retry: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(
        self,
        work: Work[_T],
        *,
        then: Callable[[_T], None] | None = None,
        patient: bool = False,
        cargo: Cargo | None = None,
    ) -> asyncio.Future[_T]:
        """Queue a work. The future is done after the commit; `then` runs just before, on the event loop.

        A hurried work (the default) fails with DiskError when the disk refuses or too many wait. A patient one is
        tried again each second. Where more than `EVENTS_WAITING_MAX` events wait, the oldest spare ones are given
        up, then the oldest of all; what was lost is told with `tell_lost` as soon as the disk takes writes again.
        """
        done: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        # Nobody has to look at the future of a patient work.
        done.add_done_callback(_seen)
        if self._closed:
            done.set_exception(DiskError("the file is closed"))
            return done
        if not patient and self._hurried >= HURRIED_WAITING_MAX:
            done.set_exception(DiskError(f"{HURRIED_WAITING_MAX} works wait for the disk"))
            return done
        self._idle.clear()
        self._enter(_Queued(work, done, then, patient, cargo))
        self._give_up_beyond_limit()
        self._start()
        return done

    async def read(self, work: Work[_T]) -> _T:
        """Run a work that only reads what is committed; it needs no disk that takes writes. Raises DiskError."""
        try:
            return await self._run(work, self._connection)
        except sqlite3.Error as error:
            raise DiskError(str(error)) from None

    async def _run(self, work: Callable[[*_P], _T], *given: *_P) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *given)

    async def leave_no_copies(self, text: bytes) -> None:
        """See to it that a text which no row has any more is nowhere in the file, nor in the log beside it.

        The log, which has older pages, is emptied. Then the file itself is looked through, some at a time: where
        SQLite has merged pages, copies of rows stay behind in gaps that `secure_delete` does not reach. It happens
        where old events are pruned, and is rare; only then the whole file is written anew, and all wait for it.

        Raises:
            DiskError: it may still be there.
        """
        await self.read(_empty_log)
        start, chunk = 0, b""
        while start == 0 or len(chunk) == _CHUNK_BYTES:
            chunk = await self._run(_chunk, self._path, start)
            if text in chunk:
                log.warning("the file is written anew: it had copies of what was deleted")
                await self.read(lambda connection: connection.execute("VACUUM").fetchall())
                await self.read(_empty_log)
                return
            # A text may lie across two chunks.
            start += _CHUNK_BYTES - len(text) + 1

    async def settled(self, patience_s: float) -> None:
        """Wait until everything queued is committed, `patience_s` at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._idle.wait()

    async def close(self, patience_s: float) -> None:
        """Wait for what is queued, `patience_s` at the most, and close the file."""
        if not self._closed:
            await self.settled(patience_s)
        self._closed = True
        self._retry_later(None)
        await asyncio.get_running_loop().run_in_executor(self._executor, self._connection.close)

    def _enter(self, queued: _Queued[Any]) -> None:
        self._queue.append(queued)
        self._count(queued, 1)

    def _count(self, queued: _Queued[Any], sign: int) -> None:
        self._events_waiting += sign * (queued.cargo.events if queued.cargo else 0)
        self._hurried += 0 if queued.patient else sign

    def _start(self) -> None:
        if self._busy or self._closed:
            return
        batch = self._hurried_ones() if self._retry is not None else self._oldest_ones()
        if not batch:
            return
        self._busy = True
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self._executor, _transaction, self._connection, [q.work for q in batch])
        job.add_done_callback(lambda done: self._finished(batch, done))

    def _hurried_ones(self) -> list[_Queued[Any]]:
        if not self._hurried:
            return []
        batch = [queued for queued in self._queue if not queued.patient]
        self._queue = deque(queued for queued in self._queue if queued.patient)
        for queued in batch:
            self._count(queued, -1)
        return batch

    def _oldest_ones(self) -> list[_Queued[Any]]:
        batch: list[_Queued[Any]] = []
        if self._lost is not None and self.tell_lost is not None:
            work, then = self.tell_lost(self._lost)
            done = asyncio.get_running_loop().create_future()
            batch.append(_Queued(work, done, then, patient=True, lost=self._lost))
            self._lost = None
        while self._queue and len(batch) < _WORKS_TOGETHER_MAX:
            queued = self._queue.popleft()
            self._count(queued, -1)
            batch.append(queued)
        return batch

    def _finished(self, batch: list[_Queued[Any]], job: asyncio.Future[list[Any]]) -> None:
        self._busy = False
        error = job.exception()
        if error is None:
            self._retry_later(None)
            for queued, result in zip(batch, job.result(), strict=True):
                if queued.then is not None:
                    queued.then(result)
                if not queued.done.done():
                    queued.done.set_result(result)
        else:
            self._refused(batch, error)
        self._start()
        if not self._busy and not self._queue and self._lost is None:
            self._idle.set()

    def _refused(self, batch: list[_Queued[Any]], error: BaseException) -> None:
        log.error("the disk refuses", extra={"why": str(error), "works": len(batch)})
        self.refusals += 1
        for queued in reversed(batch):
            if queued.lost is not None:
                self._lost = _together(queued.lost, self._lost)
            elif queued.patient:
                self._queue.appendleft(queued)
                self._count(queued, 1)
            elif not queued.done.done():
                queued.done.set_exception(DiskError(str(error)))
        self._give_up_beyond_limit()
        if self._retry is None and (self._lost is not None or any(queued.patient for queued in self._queue)):
            self._retry_later(_RETRY_S)

    def _retry_later(self, seconds: float | None) -> None:
        if self._retry is not None:
            self._retry.cancel()
        waits = seconds is not None and not self._closed
        self._retry = asyncio.get_running_loop().call_later(seconds or 0, self._try_again) if waits else None

    def _try_again(self) -> None:
        self._retry = None
        self._start()

    def _give_up_beyond_limit(self) -> None:
        while self._events_waiting > EVENTS_WAITING_MAX:
            place = next(
                (i for i, queued in enumerate(self._queue) if queued.cargo and queued.cargo.spare),
                next(i for i, queued in enumerate(self._queue) if queued.cargo),
            )
            queued = self._queue[place]
            del self._queue[place]
            self._count(queued, -1)
            self._give_up(queued)

    def _give_up(self, queued: _Queued[Any]) -> None:
        cargo = cast("Cargo", queued.cargo)
        self._lost = _together(Lost(cargo.events, cargo.from_t, cargo.to_t), self._lost)
        self.given_up += cargo.events
        log.error("ledger entries given up: the disk refuses for too long", extra={"events": self.given_up})
        if not queued.done.done():
            queued.done.set_exception(DiskError("given up; the disk refused for too long"))


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What the file knew when it was opened."""

    epoch: UUID
    next_seq: int
    acked_seq: int
    session: int
    oldest_seq: int
    settings: dict[str, str]
    """What the hub has configured, by name."""


def open_disk(directory: Path, executor: Executor) -> tuple[Disk, LedgerState]:
    """Open `agent.db` in the directory, or make it with a new epoch. It blocks; call it before the work begins.

    Raises:
        DiskError: the directory or the file cannot be used, or another version wrote it.
    """
    path = directory / "agent.db"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2.0)
    except (OSError, sqlite3.Error) as error:
        raise DiskError(f"{path} cannot be opened: {error}") from None
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # What is deleted is overwritten at once. It costs a page of zeros where a page is freed; a VACUUM each time
        # that somebody is to be forgotten would keep doors waiting while the whole file is written.
        connection.execute("PRAGMA secure_delete = ON")
        bring_forward(connection)
        row = connection.execute("SELECT epoch, next_seq, acked_seq, session FROM ledger").fetchone()
        settings = dict(connection.execute("SELECT name, value FROM setting").fetchall())
        oldest = oldest_seq(connection)
    except SchemaError as error:
        connection.close()
        raise DiskError(f"{path} was written by another version: {error}") from None
    except sqlite3.Error as error:
        connection.close()
        raise DiskError(f"{path} cannot be used: {error}") from None
    epoch, next_seq, acked_seq, session = cast("tuple[str, int, int, int]", row)
    return Disk(connection, executor, path), LedgerState(
        UUID(epoch), next_seq, acked_seq, session, oldest, settings
    )


def _transaction(connection: sqlite3.Connection, works: list[Work[Any]]) -> list[Any]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = [work(connection) for work in works]
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return results


def _empty_log(connection: sqlite3.Connection) -> None:
    busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise DiskError("the log beside the file is in use, and was not emptied")


def _chunk(path: Path, start: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(_CHUNK_BYTES)
    except OSError as error:
        raise DiskError(f"{path} cannot be looked through: {error}") from None


def _together(one: Lost, other: Lost | None) -> Lost:
    if other is None:
        return one
    # Of another boot a time may be smaller than the one before it: no more is said than what all of them lie in.
    return Lost(one.events + other.events, min(one.from_t, other.from_t), max(one.to_t, other.to_t))


def _seen(done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()
