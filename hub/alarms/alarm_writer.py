"""Between the book and the table: what changed is written, what others changed is taken over.

Nothing that happens waits for the database. What is to be written is kept by alarm, its newest state once, so an
outage of any length takes no more room than there are alarms; it is written when the database is back. What has
come and gone meanwhile is given up above a limit, of all and of each locker: `hub.core.alarms.unwritten`.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from hub import clock
from hub.core.alarms.alarm import Alarm
from hub.core.alarms.transitions import What
from hub.core.alarms.unwritten import Unwritten
from hub.core.alarms.watch import AlarmWatch
from hub.errors import StoreRejected, StoreUnavailable
from hub.metrics import Metrics
from hub.store.alarms import Act, Acted, AlarmStore

_log = logging.getLogger(__name__)

_BATCH: Final = 500
_RETRY_S_MAX: Final = 2.0
_ACT_S_MAX: Final = 8.0
_JUDGED_EVERY_S: Final = 10.0


class AlarmWriter:
    """Writes and follows. Everything about rows goes through one lock: no answer of the database is ever overtaken.

    Args:
        watch: the alarms.
        store: their table.
        metrics: where losses are counted.
        changed: is called when alarms were changed by others.
    """

    def __init__(self, watch: AlarmWatch, store: AlarmStore, metrics: Metrics, changed: Callable[[], None]) -> None:
        self.name = "alarm"
        self._watch = watch
        self._store = store
        self._changed = changed
        self._dropped = metrics.alarms_dropped.labels("record")
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._closing = False
        self._singly = 0
        """So many of the next are written alone: one of them was refused."""
        self._others_since: datetime | None = None
        self._judged_at: datetime | None = None

    @property
    def in_flight(self) -> int:
        """Alarms whose newest state is not written."""
        return len(self._watch.book.unwritten)

    def wake(self) -> None:
        """Look whether there is something to write."""
        if self._watch.book.unwritten:
            self._wake.set()

    def close(self) -> None:
        """Let `run` end once all is written."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Write until closed and empty."""
        pause_s = 0.05
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                async with self._lock:
                    while self._watch.book.unwritten:
                        await self._flush()
                pause_s = 0.05
            except StoreUnavailable as error:
                _log.warning("Alarms cannot be written; trying again", extra={"error": str(error)})
                await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - jitter
                pause_s = min(pause_s * 2, _RETRY_S_MAX)
                self._wake.set()
                continue
            if self._closing and not self._watch.book.unwritten:
                return

    async def follow(self, every_s: float) -> None:
        """Take over what others did, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            with suppress(StoreUnavailable):
                await self.look()

    async def look(self) -> None:
        """Take over windows and alarms as they stand now. Raises StoreUnavailable."""
        now = clock.wall()
        async with self._lock:
            windows = await self._store.windows(now)
            since = self._others_since or await self._store.now()
            alarms, self._others_since = await self._store.by_others(since)
            taken = await self._take_up([alarm for alarm in alarms if self._is_news(alarm)])
            for alarm in alarms:
                if self._is_news(alarm):
                    self._take_over(alarm, now, ours_to_tell=alarm.id in taken)
            self._watch.plan(windows, now)
            if not self._watch.book.unwritten and (
                self._judged_at is None or (now - self._judged_at).total_seconds() >= _JUDGED_EVERY_S
            ):
                await self._store.judge(now)
                self._judged_at = now
        self._changed()

    async def act(
        self, ids: Sequence[UUID], act: Act, *, what: What, by: str, note: str | None, detail: Mapping[str, Any]
    ) -> Acted:
        """Do what an operator wants, in the database and then here. Raises StoreUnavailable: nothing is done."""
        try:
            async with asyncio.timeout(_ACT_S_MAX), self._lock:
                # So that the rows say what the operator saw.
                while not self._watch.book.unwritten.keys().isdisjoint(ids):
                    await self._flush()
                at = clock.wall()
                acted = await self._store.act(ids, act, what=what, by=by, at=at, note=note, detail=detail)
                for alarm in acted.done:
                    self._watch.acted(alarm, what, at)
        except TimeoutError:
            raise StoreUnavailable("alarms wait to be written, and the database does not take them") from None
        self._changed()
        return acted

    def _is_news(self, theirs: Alarm) -> bool:
        known = self._watch.book.alarms.get(theirs.id)
        return theirs.open if known is None else theirs.version > known.version

    async def _take_up(self, theirs: Sequence[Alarm]) -> set[UUID]:
        """Return which were acknowledged by a command line, and are this hub's to tell of."""
        known = self._watch.book.alarms
        acked = [
            one
            for one in theirs
            if one.id in known and one.acked_at is not None and one.acked_at != known[one.id].acked_at
        ]
        return await self._store.take_up(acked) if acked else set()

    def _take_over(self, theirs: Alarm, now: datetime, *, ours_to_tell: bool) -> None:
        if ours_to_tell:
            self._watch.acted(theirs, "acked", now)
        else:
            self._watch.adopt(theirs, now, clock.now_ms())

    async def _flush(self) -> None:
        book = self._watch.book
        batch = book.take_unwritten(1 if self._singly else _BATCH)
        self._singly = max(0, self._singly - 1)
        try:
            fate = await self._store.write(batch)
        except StoreRejected as error:
            await self._refused(batch, error)
            return
        except BaseException:
            book.give_back(batch)
            raise
        for alarm_id, version in fate.written.items():
            book.written(alarm_id, version)
        await self._meet({one.alarm.id: one for one in batch if one.alarm.id in fate.lost})

    async def _meet(self, lost: dict[UUID, Unwritten]) -> None:
        """Come to terms with rows that others have made, or changed since."""
        while lost:
            alarm_id, one = next(iter(lost.items()))
            try:
                theirs = await self._store.standing(alarm_id, one.alarm.key)
                taken = set() if theirs is None else await self._take_up([theirs])
            except BaseException:
                self._watch.book.give_back(lost.values())
                raise
            del lost[alarm_id]
            if theirs is None:
                # Its row is gone: by the rules of retention, or with a database that was put back.
                one.alarm = replace(one.alarm, version=0)
                self._watch.book.give_back([one])
                self._watch.book.written(alarm_id, 0)
                continue
            self._watch.book.give_back([one])
            self._take_over(theirs, clock.wall(), ours_to_tell=theirs.id in taken)

    async def _refused(self, batch: list[Unwritten], error: StoreRejected) -> None:
        """Find the row that the database refuses; its neighbours are written."""
        if len(batch) > 1:
            self._watch.book.give_back(batch)
            self._singly = len(batch)
            return
        (one,) = batch
        try:
            theirs = await self._store.standing(one.alarm.id, one.alarm.key)
        except StoreRejected:
            # Not even its key is one that the database could have.
            theirs = None
        except BaseException:
            self._watch.book.give_back(batch)
            raise
        if theirs is not None and theirs.id != one.alarm.id and theirs.open and one.alarm.open:
            self._watch.book.give_back(batch)
            self._watch.adopt(theirs, clock.wall(), clock.now_ms())
            return
        self._dropped.inc()
        _log.error("The database refuses an alarm; it stands in memory only", extra={"error": str(error)})


def since_closed(now: datetime) -> datetime:
    """Return since when closed alarms are remembered, so that what is told again does not raise them again."""
    return now - timedelta(hours=1)
