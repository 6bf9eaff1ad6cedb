"""One SQLite file, written on a disk thread, with what waits together committed together.

Works are functions of the connection. They run in the order of their submission, many in one transaction, and
each gets its answer after the commit: with WAL and synchronous=FULL that is when the data has survived a power
cut. When the disk refuses, a hurried work fails at once, while a patient one is kept and tried again.
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
from typing import Any, Final, Generic, TypeVar, cast
from uuid import UUID, uuid4

log = logging.getLogger(__name__)

WORKS_WAITING_MAX: Final = 10_000
_RETRY_S: Final = 1.0
_SCHEMA: Final = 1
_T = TypeVar("_T")

Work = Callable[[sqlite3.Connection], _T]

_CREATE: Final = """
CREATE TABLE ledger (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT NOT NULL,
    next_seq INTEGER NOT NULL,
    acked_seq INTEGER NOT NULL,
    session INTEGER NOT NULL
);
CREATE TABLE event (
    seq INTEGER PRIMARY KEY,
    boot TEXT NOT NULL,
    clock TEXT NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE command (
    id TEXT PRIMARY KEY,
    boot TEXT NOT NULL,
    t INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL,
    reply BLOB
) WITHOUT ROWID;
"""


class DiskError(OSError):
    """The file cannot be used, or did not take a work; the text says why."""


@dataclass(slots=True)
class _Queued(Generic[_T]):
    work: Work[_T]
    done: asyncio.Future[_T]
    then: Callable[[_T], None] | None
    patient: bool


class Disk:
    """The agent's file. Make it with `open_disk`; use it from one event loop."""

    def __init__(self, connection: sqlite3.Connection, executor: Executor) -> None:
        self.dropped = 0
        """Patient works given up because `WORKS_WAITING_MAX` waited for a disk that refuses."""
        self._connection = connection
        self._executor = executor
        self._queue: deque[_Queued[Any]] = deque()
        self._busy = False
        self._retry: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(
        self, work: Work[_T], *, then: Callable[[_T], None] | None = None, patient: bool = False
    ) -> asyncio.Future[_T]:
        """Queue a work. The future is done after the commit; `then` runs just before, on the event loop.

        A hurried work (the default) fails with DiskError when the disk refuses or too much waits. A patient one
        is tried again each second; the oldest of `WORKS_WAITING_MAX` is given up, counted and logged.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[_T] = loop.create_future()
        # Nobody has to look at the future of a patient work.
        done.add_done_callback(_seen)
        if len(self._queue) >= WORKS_WAITING_MAX:
            if not patient:
                done.set_exception(DiskError(f"{WORKS_WAITING_MAX} works wait for the disk"))
                return done
            self._give_up_oldest()
        self._queue.append(_Queued(work, done, then, patient))
        self._idle.clear()
        self._start()
        return done

    async def settled(self, patience_s: float) -> None:
        """Wait until everything queued is committed, `patience_s` at the most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._idle.wait()

    async def close(self, patience_s: float) -> None:
        """Wait for what is queued, `patience_s` at the most, and close the file."""
        await self.settled(patience_s)
        if self._retry is not None:
            self._retry.cancel()
        await asyncio.get_running_loop().run_in_executor(self._executor, self._connection.close)

    def _start(self) -> None:
        if self._busy or not self._queue:
            return
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._busy = True
        batch = list(self._queue)
        self._queue.clear()
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(self._executor, _transaction, self._connection, [q.work for q in batch])
        job.add_done_callback(lambda done: self._finished(batch, done))

    def _finished(self, batch: list[_Queued[Any]], job: asyncio.Future[list[Any]]) -> None:
        self._busy = False
        error = job.exception()
        if error is None:
            for queued, result in zip(batch, job.result(), strict=True):
                if queued.then is not None:
                    queued.then(result)
                if not queued.done.done():
                    queued.done.set_result(result)
        else:
            self._refused(batch, error)
        if self._retry is None:
            self._start()
        if not self._busy and not self._queue:
            self._idle.set()

    def _refused(self, batch: list[_Queued[Any]], error: BaseException) -> None:
        log.error("the disk refuses", extra={"why": str(error), "works": len(batch)})
        patient = [queued for queued in batch if queued.patient]
        for queued in batch:
            if not queued.patient and not queued.done.done():
                queued.done.set_exception(DiskError(str(error)))
        self._queue.extendleft(reversed(patient))
        if all(queued.patient for queued in self._queue):
            self._retry = asyncio.get_running_loop().call_later(_RETRY_S, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self._start()

    def _give_up_oldest(self) -> None:
        oldest = self._queue.popleft()
        self.dropped += 1
        log.error("ledger entries lost: the disk refuses for too long", extra={"dropped": self.dropped})
        if not oldest.done.done():
            oldest.done.set_exception(DiskError("given up; the disk refused for too long"))


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What the file knew when it was opened."""

    epoch: UUID
    next_seq: int
    acked_seq: int
    session: int
    oldest_seq: int


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
        _create_or_check(connection, path)
        row = connection.execute("SELECT epoch, next_seq, acked_seq, session FROM ledger").fetchone()
        oldest = oldest_seq(connection)
    except sqlite3.Error as error:
        connection.close()
        raise DiskError(f"{path} cannot be used: {error}") from None
    epoch, next_seq, acked_seq, session = cast("tuple[str, int, int, int]", row)
    return Disk(connection, executor), LedgerState(UUID(epoch), next_seq, acked_seq, session, oldest)


def oldest_seq(connection: sqlite3.Connection) -> int:
    """Return the number of the oldest event in the file; the next one's if there is none."""
    row = connection.execute(
        "SELECT coalesce((SELECT min(seq) FROM event), (SELECT next_seq FROM ledger))"
    ).fetchone()
    return int(row[0])


def _create_or_check(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in {0, _SCHEMA}:
        connection.close()
        raise DiskError(f"{path} was written by another version (its schema is {version}, this one's {_SCHEMA})")
    if version == 0:
        connection.executescript(f"BEGIN IMMEDIATE;{_CREATE}")
        connection.execute("INSERT INTO ledger VALUES (1, ?, 1, 0, 0)", (str(uuid4()),))
        connection.execute(f"PRAGMA user_version = {_SCHEMA}")
        connection.execute("COMMIT")


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


def _seen(done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()
