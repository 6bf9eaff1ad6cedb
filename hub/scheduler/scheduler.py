"""Scheduler of periodic tasks: partitions, compression, roll-ups, statistics, retention.

Each task has a row in the table `upkeep`, so that a restart does not repeat what was done, all hubs see
what one of them did, and a task that does not run any more is noticed: by `hub doctor`, by the alert UpkeepLate.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from hub import clock
from hub.core.task_schedule import due_in_s
from hub.errors import HubError, StoreUnavailable
from hub.logs import described
from hub.metrics import Metrics
from hub.store import task_runs as table
from hub.store.database import Database
from hub.store.task_runs import advisory_lock
from hub.tasks import Make

_log = logging.getLogger(__name__)

_LOOK_S_MAX: Final = 60.0
"""How long a hub goes without a look at a task's row, which another hub or a command line may have changed."""
_AWAY_S: Final = 10.0
_STAGGER_S: Final = 0.5
"""Tasks begin one after another: a hub that starts has other things to do."""


@dataclass(frozen=True)
class PeriodicTask:
    """A task: its name ([a-z_]), how often it is to be done, and how."""

    name: str
    every_s: float
    run: Callable[[], Awaitable[dict[str, Any]]]
    """Does it and returns what it did, as JSON has it, without anything personal. Raises HubError when it failed.
    It may be ended at any point, and has to be right when two of it run at once."""


class Scheduler:
    """Runs each periodic task when it is due, one hub at a time."""

    def __init__(self, store: Database, metrics: Metrics, periodic_tasks: Sequence[PeriodicTask]) -> None:
        self._store = store
        self._metrics = metrics
        self._periodic_tasks = tuple(periodic_tasks)
        for task in self._periodic_tasks:
            metrics.upkeep_period.labels(task.name).set(task.every_s)

    def tasks(self) -> dict[str, Make]:
        """Return the tasks that go round until they are cancelled: one for each of them, so that none waits."""
        return {
            f"upkeep.{task.name}": partial(self._follow, task, place * _STAGGER_S)
            for place, task in enumerate(self._periodic_tasks)
        }

    async def turn(self, task: PeriodicTask) -> float:
        """Do the task if it is due and nobody else does it; return after how many seconds to look again.

        A failed task is counted, logged, written down and tried again later. Raises StoreUnavailable if the
        database is away before or after it.
        """
        wait_s = await self._look(task)
        if wait_s > 0:
            return wait_s
        async with advisory_lock(self._store, task.name) as got:
            # Another hub may have done it between the look and the lock.
            wait_s = await self._look(task) if got else _LOOK_S_MAX
            if wait_s > 0:
                return wait_s
            await table.begin(self._store, task.name)
            await self._do(task)
        return await self._look(task)

    async def _follow(self, task: PeriodicTask, first_s: float) -> None:
        await asyncio.sleep(first_s)
        while True:
            try:
                wait_s = await self.turn(task)
            except StoreUnavailable as error:
                _log.warning("Upkeep waits for the database", extra={"task": task.name, "error": str(error)})
                wait_s = _AWAY_S
            await asyncio.sleep(min(wait_s, _LOOK_S_MAX))

    async def _look(self, task: PeriodicTask) -> float:
        known = await table.load_task(self._store, task.name, task.every_s)
        self._metrics.upkeep_last_success.labels(task.name).set(known.good_at)
        return due_in_s(known.ages, task.every_s)

    async def _do(self, task: PeriodicTask) -> None:
        began_ms = clock.now_ms()
        try:
            did = await task.run()
        except HubError as error:
            await self._failed(task, str(error))
        except Exception as error:  # noqa: BLE001 - decided: a task's defect must not stop the doors; it is told
            await self._failed(task, **described(error))
        else:
            await table.succeeded(self._store, task.name, did)
            self._metrics.upkeep_runs.labels(task.name, "succeeded").inc()
            _log.info("Upkeep done", extra={"task": task.name, "did": did})
        self._metrics.upkeep_seconds.labels(task.name).set((clock.now_ms() - began_ms) / 1000)

    async def _failed(self, task: PeriodicTask, error: str, where: str | None = None) -> None:
        self._metrics.upkeep_runs.labels(task.name, "failed").inc()
        _log.error("Upkeep failed", extra={"task": task.name, "error": error, "where": where})
        await table.failed(self._store, task.name, error)
