"""Retention in a running hub: once a day by itself, whenever a person asks for it, and its figures."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from hub import clock
from hub.config.settings import RetentionSettings
from hub.core.retention.manifest import moment
from hub.core.retention.plan import RetentionAction
from hub.core.retention.policy import Category, Policy
from hub.core.retention.verdict import ProofVerdict
from hub.core.task_schedule import due_in_s
from hub.errors import HubError, StoreUnavailable
from hub.metrics import Metrics
from hub.retention.run import RetentionRun
from hub.retention.verification import trusted_keys, verify
from hub.scheduler.scheduler import PeriodicTask
from hub.store.database import Database
from hub.store.holds import Holds
from hub.store.task_runs import advisory_lock, load_task

TASK: Final = "retention"
"""The name of its periodic task, and of the lock that lets one process at a time run it."""
EVERY_S: Final = 86_400.0

_LOOK_EVERY_S: Final = 600.0
_log = logging.getLogger(__name__)


class RetentionService:
    """Runs retention. `ask` lets it run now, in a task of its own (`run`)."""

    def __init__(
        self, store: Database, retention: RetentionRun, config: RetentionSettings, metrics: Metrics
    ) -> None:
        self.retention = retention
        self._config = config
        self._store = store
        self._holds = Holds(store)
        self._metrics = metrics
        self._asked_by: str | None = None
        self._asked = asyncio.Event()
        for category in Category:
            metrics.retention_chunks.labels(category.value)
            for act in RetentionAction:
                metrics.retention_removed.labels(category.value, act.value)
        for result in ("complete", "failed"):
            metrics.retention_runs.labels(result)

    def task(self) -> PeriodicTask:
        """Return the daily run."""
        return PeriodicTask(TASK, EVERY_S, self._daily)

    async def verify(self) -> ProofVerdict:
        """Hold all proofs against the database and their files. Nothing is changed.

        Raises:
            ConfigError: a key cannot be read.
            StoreUnavailable: the database is away, or a count took longer than its statements may.
        """
        keys = await asyncio.to_thread(trusted_keys, self._config)
        return await verify(self._store, self.retention, keys)

    async def ask(self, by: str) -> bool:
        """Let it run now. False, and nothing happens, if it runs already, here or elsewhere."""
        async with advisory_lock(self._store, TASK) as got:
            if not got or self._asked.is_set():
                return False
        self._asked_by = by
        self._asked.set()
        return True

    async def run(self) -> None:
        """Go on until cancelled: run when asked, and tell the metrics from time to time."""
        while True:
            try:
                await self.look(clock.wall())
            except HubError as error:
                _log.warning("Retention cannot be looked at", extra={"error": str(error)})
            try:
                await asyncio.wait_for(self._asked.wait(), _LOOK_EVERY_S)
            except TimeoutError:
                continue
            await self._run_as_asked(self._asked_by or "hub")
            self._asked.clear()

    async def look(self, now: datetime) -> None:
        """Tell the metrics when it last went through, how old the oldest rows are, and how old they may be."""
        policy = await self.retention.policy()
        newest = await self.retention.newest_complete()
        if newest is not None:
            self._metrics.retention_last_success.set(newest.timestamp())
        self._metrics.legal_holds.set(await self._holds.active())
        oldest = await self.retention.store.oldest_free(policy, now)
        for category, at in oldest.items():
            labels = (category.value,)
            self._metrics.retention_cut_off.labels(*labels).set(policy.cut_offs(category, now).earliest.timestamp())
            # Where there is nothing, nothing is too old.
            self._metrics.retention_oldest.labels(*labels).set((now if at is None else at).timestamp())

    async def state(self, now: datetime) -> tuple[Policy, bool, datetime]:
        """Return the policy, whether it runs right now, and when it is to run next."""
        async with advisory_lock(self._store, TASK) as free:
            running = not free
        known = await load_task(self._store, TASK, EVERY_S)
        return await self.retention.policy(), running, now + timedelta(seconds=due_in_s(known.ages, EVERY_S))

    async def _daily(self) -> dict[str, Any]:
        return await self._counted("hub")

    async def _run_as_asked(self, by: str) -> None:
        try:
            async with advisory_lock(self._store, TASK) as got:
                if not got:
                    _log.warning("Retention was asked for and runs elsewhere already", extra={"operator": by})
                    return
                await self._counted(by)
        except StoreUnavailable as error:
            _log.warning("Retention was asked for; the database is away", extra={"error": str(error)})
        except HubError as error:
            _log.error("Retention failed", extra={"error": str(error)})
        except Exception:  # noqa: BLE001 - decided: a defect here must not stop the doors; the daily run tries again
            _log.exception("Retention failed by a defect")

    async def _counted(self, by: str) -> dict[str, Any]:
        try:
            manifest = await self.retention.run(clock.wall(), by)
        except HubError:
            self._metrics.retention_runs.labels("failed").inc()
            raise
        self._metrics.retention_runs.labels("complete").inc()
        return self._count(manifest)

    def _count(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        removed: dict[str, int] = {}
        chunks = 0
        for one in manifest["done"]:
            removed[one["category"]] = removed.get(one["category"], 0) + one["removed"]
            self._metrics.retention_removed.labels(one["category"], one["by"]).inc(one["removed"])
            if one["by"] == RetentionAction.CHUNK:
                self._metrics.retention_chunks.labels(one["category"]).inc()
                chunks += 1
        self._metrics.retention_last_success.set(moment(manifest["ended_at"]).timestamp())
        return {"number": manifest["number"], "removed": removed, "chunks": chunks}
