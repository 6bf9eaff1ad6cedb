"""Collect units in a bounded queue and hand them to a writer in batches, by size or by age.

One batch is being written at a time; what comes meanwhile forms the next. A writer that finds its database away
tries the same batch again until it is back: units wait, the queue fills, and `put` says no. Nothing is dropped
here, except the units still waiting when `drain` runs out of time, which it returns.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from hub.errors import CursorConflict, StoreRejected, StoreUnavailable
from hub.metrics import Metrics

_log = logging.getLogger(__name__)


class Unit(Protocol):
    """What is written whole or not at all; `count` is its number of records."""

    @property
    def count(self) -> int:
        """How many records it settles."""
        ...


_U = TypeVar("_U", bound=Unit)
_R = TypeVar("_R")


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


class Batcher(Generic[_U]):
    """The queue before one table.

    Args:
        name: the table, for metrics and logs.
        sink: the writer.
        queue_rows_max: `put` refuses above it.
        flush_rows_max: a batch is closed at this size.
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
        retry_s_max: float = 2.0,
    ) -> None:
        self.name = name
        self._sink = sink
        self._queue: deque[_U] = deque()
        self._rows = 0
        self._writing_rows = 0
        self._rows_max = queue_rows_max
        self._flush_rows_max = flush_rows_max
        self._flush_age_s = flush_age_ms_max / 1000
        self._retry_s_max = retry_s_max
        self._waker = asyncio.Event()
        self._full = asyncio.Event()
        self._closing = False
        self._batch_rows = metrics.batch_rows.labels(name)
        self._batch_seconds = metrics.batch_seconds.labels(name)
        self._failures = metrics.batch_failures.labels(name)
        self._last_commit = metrics.last_commit.labels(name)
        metrics.queue_rows_max.labels(name).set(queue_rows_max)
        metrics.queue_rows.labels(name).set_function(lambda: self.in_flight)

    @property
    def in_flight(self) -> int:
        """Records that were put and are neither committed nor settled."""
        return self._rows + self._writing_rows

    def room(self, count: int) -> bool:
        """Say whether a unit of `count` records would be taken. One above the limit goes in alone."""
        return not self._closing and (not self.in_flight or self.in_flight + count <= self._rows_max)

    def put(self, unit: _U) -> bool:
        """Take a unit, or return False at the limit."""
        if not self.room(unit.count):
            return False
        self._queue.append(unit)
        self._rows += unit.count
        self._waker.set()
        if self._rows >= self._flush_rows_max:
            self._full.set()
        return True

    async def run(self) -> None:
        """Write batches until closed and empty."""
        while True:
            await self._waker.wait()
            if not self._closing and self._rows < self._flush_rows_max:
                await self._age()
            batch = self._take()
            if batch:
                try:
                    await self._write(batch)
                finally:
                    self._writing_rows = 0
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

    def _take(self) -> list[_U]:
        batch: list[_U] = []
        while self._queue and (not batch or self._writing_rows + self._queue[0].count <= self._flush_rows_max):
            unit = self._queue.popleft()
            batch.append(unit)
            self._rows -= unit.count
            self._writing_rows += unit.count
        if not self._queue and not self._closing:
            self._waker.clear()
        if self._rows < self._flush_rows_max and not self._closing:
            self._full.clear()
        return batch

    async def _write(self, batch: Sequence[_U]) -> None:
        pending = batch
        while pending:
            started = time.monotonic()
            try:
                await self._persist(partial(self._sink.write, pending))
            except CursorConflict as error:
                self._failures.inc()
                writable = await self._persist(partial(self._sink.conflict, pending, error))
                self._settled(_records(pending) - _records(writable))
                pending = writable
            except StoreRejected as error:
                self._failures.inc()
                await self._isolate(pending, error)
                return
            else:
                self._batch_rows.observe(_records(pending))
                self._batch_seconds.observe(time.monotonic() - started)
                self._last_commit.set_to_current_time()
                await self._sink.committed(pending)
                self._settled(_records(pending))
                return

    async def _isolate(self, batch: Sequence[_U], error: StoreRejected) -> None:
        """Halve the batch until the unit that is not acceptable stands alone; its neighbours are stored."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._write(batch[:middle])
            await self._write(batch[middle:])
            return
        try:
            await self._persist(partial(self._sink.rejected, batch[0], error))
        except CursorConflict as conflict:
            writable = await self._persist(partial(self._sink.conflict, batch, conflict))
            if writable:
                await self._isolate(writable, error)
                return
        self._settled(_records(batch))

    def _settled(self, count: int) -> None:
        # At once, and not when the whole batch is through: the books balance at every moment.
        self._writing_rows -= count

    async def _persist(self, attempt: Callable[[], Awaitable[_R]]) -> _R:
        """Try again for as long as the database is away."""
        pause_s = 0.05
        while True:
            try:
                return await attempt()
            except StoreUnavailable as error:
                self._failures.inc()
                _log.warning(
                    "The database does not take the %s batch; trying again", self.name, extra={"error": str(error)}
                )
            await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - jitter
            pause_s = min(pause_s * 2, self._retry_s_max)


def _records(units: Sequence[Unit]) -> int:
    return sum(unit.count for unit in units)
