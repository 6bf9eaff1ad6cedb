"""Collect units in a bounded queue and hand them to a writer in batches, by size or by age.

What is old waits in a queue of its own, the backlog: each batch takes what is new first, and leaves the backlog a
share, so that neither keeps the other out. Units of one key stay in order: as long as one of them waits, the others
go where it is.

One batch is being written at a time; what comes meanwhile forms the next. A writer that finds its database away
tries the same batch again until it is back: units wait, the queue fills, and `put` says no. Nothing is dropped
here.

An error of whatever kind is an outage first: the batch is kept and tried again. Where it may be of certain rows (a
trigger, a damaged index, a mistake of ours), smaller parts are tried, and units with which it fails again and again
while others are stored are handed back to the sink (`kept_back`): one of them does not hold up the fleet. The batch
in hand outlives `run`, so that whoever starts it again goes on where it stopped.
"""

import asyncio
import logging
import random
import time
from collections.abc import Hashable, Sequence
from typing import Final, Generic, Protocol, TypeVar

from hub.errors import CursorConflict, StoreRejected, StoreUnavailable
from hub.logs import described
from hub.metrics import Metrics
from hub.store.lane import UNBOUNDED, LaneRoom, WriteLane, WriteUnit

_log = logging.getLogger(__name__)
_BACKLOG_SHARE: Final = 0.2
"""Of a batch, where there is more than that of both."""
_RETRY_S_MIN: Final = 0.05
_SIFT_AFTER: Final = 3
"""So many failures in a row that may be of certain rows, and smaller parts are tried."""
_SIFT_TRIES_MAX: Final = 16
"""Of smaller parts, before the batch is tried as a whole again."""
_CONFLICTS_MAX: Final = 3


_U = TypeVar("_U", bound=WriteUnit)


class Sink(Protocol[_U]):
    """Where a batch goes, and who is told."""

    async def write(self, batch: Sequence[_U]) -> None:
        """Write the batch, all or nothing. Raises StoreUnavailable, StoreRejected or CursorConflict."""
        ...

    async def committed(self, batch: Sequence[_U]) -> None:
        """Hear that the batch is committed."""
        ...

    async def rejected(self, unit: _U, error: StoreRejected) -> None:
        """Settle one unit that the database will never accept. Raises as `write` does."""
        ...

    async def conflict(self, batch: Sequence[_U], error: CursorConflict) -> Sequence[_U]:
        """Settle the units whose cursors stand elsewhere, and return those that may still be written."""
        ...

    def kept_back(self, unit: _U) -> None:
        """Settle one unit that the database fails with while it takes others, and of which it refuses even parts.

        Nothing of it is stored. It must not wait, and not fail.
        """
        ...


class Batcher(Generic[_U]):
    """The queue before one table.

    Args:
        name: the table, for metrics and logs.
        sink: the writer.
        queue_rows_max: `put` refuses above it.
        queue_bytes_max: and above this, as its callers say how large units are.
        key_share: the part of the queue that what waits of one key may take, so that none takes all of it.
        backlog_rows_max: and, of the backlog, above this; so the rest is always left to what is new.
        flush_rows_max: a batch is closed at this size. Of each queue, a unit goes in even where it is larger than
            what is left.
        flush_age_ms_max: and no unit waits longer than this for its batch to begin, while the writer is free.
        retry_s_max: the longest pause between two attempts at one batch.
    """

    def __init__(
        self,
        name: str,
        sink: Sink[_U],
        metrics: Metrics,
        *,
        queue_rows_max: int,
        flush_rows_max: int,
        flush_age_ms_max: float,
        queue_bytes_max: int = UNBOUNDED,
        key_share: float = 1.0,
        backlog_rows_max: int = 0,
        retry_s_max: float = 2.0,
    ) -> None:
        self.name = name
        self._sink = sink
        room = LaneRoom(queue_rows_max, queue_bytes_max, key_share)
        self._live: WriteLane[_U] = WriteLane(room)
        self._backlog: WriteLane[_U] = WriteLane(room.part(backlog_rows_max))
        self._lanes: dict[Hashable, WriteLane[_U]] = {}
        self._hand: list[_U] = []
        """The batch that is being written: its units that are not settled."""
        self._writing_rows = 0
        self._writing_bytes = 0
        self._commits = 0
        self._writing_since_s: float | None = None
        self._flush_rows_max = flush_rows_max
        self._flush_age_s = flush_age_ms_max / 1000
        self._retry_s_max = retry_s_max
        self._waker = asyncio.Event()
        self._full = asyncio.Event()
        self._closing = False
        self._batch_rows = metrics.batch_rows.labels(name)
        self._batch_seconds = metrics.batch_seconds.labels(name)
        self._failures = metrics.batch_failures.labels(name)
        self._kept_back = metrics.batch_kept_back.labels(name)
        self._last_commit = metrics.last_commit.labels(name)
        self._refused = {
            limit: metrics.batch_refused.labels(name, limit)
            for limit in ("rows", "bytes", "share", "backlog_rows", "backlog_bytes", "backlog_share")
        }
        metrics.queue_bytes_max.labels(name).set(queue_bytes_max if queue_bytes_max < UNBOUNDED else float("inf"))
        metrics.queue_bytes.labels(name).set_function(lambda: self.waiting_bytes)
        metrics.queue_rows_max.labels(name).set(queue_rows_max)
        metrics.queue_rows.labels(name).set_function(lambda: self.in_flight)
        if backlog_rows_max:
            metrics.queue_rows_max.labels(f"{name}_backlog").set(backlog_rows_max)
            metrics.queue_rows.labels(f"{name}_backlog").set_function(lambda: self._backlog.rows)

    @property
    def in_flight(self) -> int:
        """Records that were put and are neither committed nor settled."""
        return self._live.rows + self._backlog.rows + self._writing_rows

    @property
    def waiting_bytes(self) -> int:
        """The memory of what is in flight, as far as callers of `put` say how large it is."""
        return self._live.bytes + self._backlog.bytes + self._writing_bytes

    @property
    def writing_for_s(self) -> float:
        """How long the batch that is being written has been trying, 0 for none."""
        return 0.0 if self._writing_since_s is None else time.monotonic() - self._writing_since_s

    def room(self, count: int, *, key: Hashable = None, old: bool = False, size: int = 0) -> "WriteLane[_U] | None":
        """Return where a unit of `count` records would go; None if it is not taken. One above the limit goes alone.

        Args:
            count: its records.
            size: the memory that it takes, in bytes.
            key: whose it is: units of one key are written in the order in which they were put.
            old: whether it goes to the backlog, if it may choose.
        """
        if self._closing:
            return None
        lane = None if key is None else self._lanes.get(key)
        if lane is None:
            # A table without a backlog has one queue for all.
            lane = self._backlog if old and self._backlog.rows_max else self._live
        limit = lane.refuses(count, size, key)
        if limit is None:
            in_flight = self._live.rows + self._backlog.rows + self._writing_rows
            if not in_flight:
                return lane
            if in_flight + count > self._live.rows_max:
                limit = "rows"
            elif self.waiting_bytes + size > self._live.bytes_max:
                limit = "bytes"
            else:
                return lane
        elif lane is self._backlog:
            limit = f"backlog_{limit}"
        self._refused[limit].inc()
        return None

    def put(self, unit: _U, *, key: Hashable = None, old: bool = False, size: int = 0) -> bool:
        """Take a unit, or return False at the limit. `key`, `old` and `size` as for `room`."""
        lane = self.room(unit.count, key=key, old=old, size=size)
        if lane is None:
            return False
        self.put_in(lane, unit, key, size)
        return True

    def put_in(self, lane: "WriteLane[_U]", unit: _U, key: Hashable = None, size: int = 0) -> None:
        """Take a unit where `room` has just said that it goes."""
        lane.put(unit, key, size)
        if key is not None:
            self._lanes[key] = lane
        self._waker.set()
        if self._live.rows + self._backlog.rows >= self._flush_rows_max:
            self._full.set()

    async def run(self) -> None:
        """Write batches until closed and empty. Started again after an error, it goes on with the batch in hand."""
        while True:
            if not self._hand:
                await self._waker.wait()
                if not self._closing and self._waiting_rows < self._flush_rows_max:
                    await self._age()
                self._hand = self._take()
            if self._hand:
                self._writing_since_s = time.monotonic()
                try:
                    await self._write()
                finally:
                    self._writing_since_s = None
                    if not self._hand:
                        self._writing_bytes = 0
            elif self._closing:
                return

    def close(self) -> None:
        """Take no more; `run` ends once the queue is empty."""
        self._closing = True
        self._waker.set()
        self._full.set()

    async def _age(self) -> None:
        try:
            async with asyncio.timeout(self._flush_age_s):
                await self._full.wait()
        except TimeoutError:
            return

    @property
    def _waiting_rows(self) -> int:
        return self._live.rows + self._backlog.rows

    def _take(self) -> list[_U]:
        share: list[_U] = []
        self._writing_bytes = 0
        if self._backlog:
            share = self._take_from(self._backlog, int(self._flush_rows_max * _BACKLOG_SHARE))
        batch = self._take_from(self._live, self._flush_rows_max - self._writing_rows) + share
        if self._backlog and self._writing_rows < self._flush_rows_max:
            # What is new has left room.
            batch += self._take_from(self._backlog, self._flush_rows_max - self._writing_rows)
        if not self._live and not self._backlog and not self._closing:
            self._waker.clear()
        if self._waiting_rows < self._flush_rows_max and not self._closing:
            self._full.clear()
        return batch

    def _take_from(self, lane: WriteLane[_U], rows_max: int) -> list[_U]:
        units, rows, taken_bytes = lane.take(rows_max, self._lanes)
        self._writing_rows += rows
        self._writing_bytes += taken_bytes
        return units

    async def _write(self) -> None:
        """Write what is in hand, for as long as that takes."""
        pause_s = _RETRY_S_MIN
        suspicions = 0
        while self._hand:
            about_rows = await self._attempt(self._hand)
            if about_rows is None:
                continue
            suspicions = suspicions + 1 if about_rows else 0
            if suspicions >= _SIFT_AFTER and await self._sift():
                pause_s = _RETRY_S_MIN
                continue
            await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - jitter
            pause_s = min(pause_s * 2, self._retry_s_max)

    async def _attempt(self, batch: Sequence[_U]) -> bool | None:
        """Write a batch once. None: it is settled. Otherwise it failed: whether that may be for certain rows."""
        try:
            await self._settle(batch)
        except StoreUnavailable as error:
            about_rows, why = error.about_rows, {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - decided: a defect is met by these rows, and kept as an outage is
            about_rows, why = True, described(error)
        else:
            return None
        self._failures.inc()
        _log.warning("The database does not take the %s batch; trying again", self.name, extra=why)
        return about_rows

    async def _settle(self, batch: Sequence[_U]) -> None:
        """Write what is acceptable of a batch, and settle the rest. What raises leaves units in hand."""
        pending = batch
        while pending:
            started = time.monotonic()
            try:
                await self._sink.write(pending)
            except CursorConflict as error:
                self._failures.inc()
                pending = await self._meet(pending, error)
            except StoreRejected as error:
                self._failures.inc()
                if len(pending) == 1:
                    await self._reject(pending[0], error)
                    return
                # Halved until the unit that is not acceptable stands alone; its neighbours are stored.
                middle = len(pending) // 2
                await self._settle(pending[:middle])
                await self._settle(pending[middle:])
                return
            else:
                self._batch_rows.observe(_records(pending))
                self._batch_seconds.observe(time.monotonic() - started)
                self._last_commit.set_to_current_time()
                await self._committed(pending)
                return

    async def _committed(self, batch: Sequence[_U]) -> None:
        self._commits += 1
        try:
            await self._sink.committed(batch)
        except Exception as error:  # noqa: BLE001 - decided: the rows are stored, and would be there twice
            self._failed("A %s batch is stored, and something behind it failed", error)
        self._leave(batch)

    async def _meet(self, batch: Sequence[_U], error: CursorConflict) -> Sequence[_U]:
        writable = await self._sink.conflict(batch, error)
        there = set(map(id, writable))
        self._leave([unit for unit in batch if id(unit) not in there])
        return writable

    async def _reject(self, unit: _U, error: StoreRejected) -> None:
        for _ in range(_CONFLICTS_MAX):
            try:
                await self._sink.rejected(unit, error)
            except CursorConflict as conflict:
                if not await self._meet([unit], conflict):
                    return
            except StoreRejected as again:
                # What writes its acceptable parts is refused as a whole.
                self._keep_back(unit, str(again))
                return
            else:
                self._leave([unit])
                return
        self._keep_back(unit, "its ledger is advanced by somebody else again and again")

    async def _sift(self) -> bool:
        """Try smaller parts of a batch that fails; return whether something was stored.

        A unit that fails alone, twice, while others go through is kept back. Where nothing goes through, it is the
        database, and all is kept in hand.
        """
        if self._writing_rows < self._flush_rows_max:
            # Others have to be there to compare with.
            self._hand += self._take()
        commits = self._commits
        parts = _halves(self._hand)
        suspects: list[_U] = []
        for _ in range(_SIFT_TRIES_MAX):
            if not parts:
                break
            part = parts.pop()
            about_rows = await self._attempt(part)
            if about_rows is False:
                return self._commits > commits
            if about_rows:
                left = self._still_in_hand(part)
                if len(left) > 1:
                    parts += _halves(left)
                else:
                    suspects += left
        if self._commits == commits:
            return False
        for unit in suspects:
            if await self._attempt([unit]):
                self._keep_back(unit, "the database fails with it, and takes others")
        return True

    def _keep_back(self, unit: _U, why: str) -> None:
        self._kept_back.inc()
        _log.error("A message of the %s batch cannot be stored", self.name, extra={"error": why})
        try:
            self._sink.kept_back(unit)
        except Exception as error:  # noqa: BLE001 - decided: it would be met again and again, and the fleet waits
            self._failed("A message of the %s batch could not be handed back", error)
        self._leave([unit])

    def _failed(self, what: str, error: Exception) -> None:
        self._failures.inc()
        _log.error(what, self.name, extra=described(error))

    def _still_in_hand(self, units: Sequence[_U]) -> list[_U]:
        there = set(map(id, self._hand))
        return [unit for unit in units if id(unit) in there]

    def _leave(self, units: Sequence[_U]) -> None:
        """Take settled units out of the hand: at once, so that the books balance at every moment."""
        self._writing_rows -= _records(units)
        if len(units) == len(self._hand):
            self._hand = []
        else:
            gone = set(map(id, units))
            self._hand = [unit for unit in self._hand if id(unit) not in gone]


def _records(units: Sequence[WriteUnit]) -> int:
    return sum(unit.count for unit in units)


def _halves(units: list[_U]) -> list[list[_U]]:
    """Return both halves, the first one last, without empty ones."""
    middle = len(units) // 2
    return [half for half in (units[middle:], units[:middle]) if half]
