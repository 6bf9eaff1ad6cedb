"""The statistics' job: hours whose events changed are counted again, newest first, a bounded time at a go."""

from datetime import timedelta
from typing import Any, Final

from hub import clock
from hub.core.statistics import Rests, hours_in, windows
from hub.metrics import Metrics
from hub.scheduler.scheduler import PeriodicTask
from hub.store.database import Database
from hub.store.statistics import StatisticsStore

COUNT_EVERY_S: Final = 30.0
HOURS_MAX: Final = 24 * 31
"""How many hours one run takes on."""
_WINDOW_MAX: Final = timedelta(days=1)
"""The most that is counted in one transaction."""
_RUN_MS_MAX: Final = 20_000.0
_REST_PER_MS: Final = 20.0
"""Counting the same hours again and again takes a twentieth of a connection at the most."""
_SWEEP_EVERY_S: Final = 86_400.0
_EMPTY_KEPT: Final = timedelta(days=7)
"""How long a row stays that came to count nothing, so that those who follow the table see it change."""


class StatisticsTask:
    """Counts what is marked. Two at once do no harm: they wait for each other, and count the same."""

    def __init__(self, store: StatisticsStore, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._rests = Rests(_REST_PER_MS)

    async def run(self) -> dict[str, Any]:
        """Count marked hours until none is left, or the run's time is over. Raises StoreError."""
        began_ms = clock.now_ms()
        due, _ = await self._store.due(HOURS_MAX)
        counted = changed = 0
        for window in windows(self._rests.ready(due, began_ms), gap=timedelta(0), longest=_WINDOW_MAX):
            window_ms = clock.now_ms()
            changed += await self._store.count(window)
            self._rests.counted(window, window_ms, clock.now_ms())
            counted += hours_in(window)
            if clock.now_ms() - began_ms > _RUN_MS_MAX:
                break
        _, left = await self._store.due(1)
        self._metrics.statistics_due.set(left)
        return {"hours": counted, "rows": changed, "left": left}

    async def sweep(self) -> dict[str, Any]:
        """Delete rows that have counted nothing for a week."""
        return {"rows": await self._store.sweep(clock.wall() - _EMPTY_KEPT)}


def statistics_tasks(store: Database, metrics: Metrics) -> list[PeriodicTask]:
    """Return the periodic tasks of the table `door_hour`."""
    statistics = StatisticsTask(StatisticsStore(store), metrics)
    return [
        PeriodicTask("statistics", COUNT_EVERY_S, statistics.run),
        PeriodicTask("statistics_sweep", _SWEEP_EVERY_S, statistics.sweep),
    ]
