"""Health of the hub itself: one picture a second for who looks, from figures that are kept anyway."""

import asyncio
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub import clock
from hub.core.accounting import Disposition, MessageAccounting
from hub.errors import StoreError
from hub.health.checks import Check, run_checks
from hub.live import Broadcaster, Changes, Topic, TopicScope
from hub.live.views import StaticView
from hub.metrics import Metrics
from hub.schemas.health import (
    AccountsView,
    HubHealthView,
    LagView,
    LinkView,
    QueueView,
    RatesView,
    SlowViewerView,
    UpkeepView,
    ViewersView,
)
from hub.schemas.notifications import ChannelView
from hub.store.database import Database

_PICTURE_S: Final = 0.9
"""A picture that is younger is shown again, whoever asks."""
_UPKEEP_S: Final = 10.0
_LAG_PROBE_S: Final = 0.25
_LAG_PROBES: Final = round(60 / _LAG_PROBE_S)
_STATM: Final = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class HealthParts:
    """Parts that the picture is drawn from."""

    version: str
    hub: str
    checks: Mapping[str, Check]
    live: Broadcaster
    accounts: MessageAccounting
    in_flight: Callable[[], tuple[int, int]]
    store: Database
    metrics: Metrics
    channels: Callable[[], list[ChannelView]] = list
    """Ways of notification, as they are shown."""


@dataclass(frozen=True, slots=True)
class _Counts:
    at_s: float
    cpu_s: float
    messages: float
    events: int
    readings: int
    commands: float


class HealthMonitor:
    """Makes the picture when somebody asks, once a second at the most."""

    def __init__(self, parts: HealthParts) -> None:
        self._parts = parts
        self._started_at = clock.wall()
        self._lags_ms: deque[float] = deque(maxlen=_LAG_PROBES)
        self._before = self._count()
        self._rates = RatesView(0.0, 0.0, 0.0, 0.0)
        self._cpu_ratio = 0.0
        self._picture: HubHealthView | None = None
        self._made_s = float("-inf")
        self._making = asyncio.Lock()
        self._upkeep: list[UpkeepView] = []
        self._upkeep_s = float("-inf")

    def kind(self) -> Topic:
        """Return the live view of it."""
        return Topic("health", TopicScope.NOTHING, lambda _: _View(self))

    async def probe(self) -> None:
        """Watch how late the event loop is, until cancelled."""
        observe = self._parts.metrics.loop_lag.observe
        while True:
            before = clock.now_ms()
            await asyncio.sleep(_LAG_PROBE_S)
            lag_ms = max(0.0, clock.now_ms() - before - _LAG_PROBE_S * 1000)
            self._lags_ms.append(lag_ms)
            observe(lag_ms / 1000)

    async def view(self) -> HubHealthView:
        """Return the picture."""
        async with self._making:
            if self._picture is None or time.monotonic() - self._made_s >= _PICTURE_S:
                self._picture = await self._draw()
                self._made_s = time.monotonic()
            return self._picture

    async def _draw(self) -> HubHealthView:
        parts = self._parts
        checks = await run_checks(parts.checks)
        await self._look_at_upkeep()
        self._measure()
        lags = self._lags_ms
        live = parts.live
        viewers = live.viewers
        return HubHealthView(
            version=parts.version,
            hub=parts.hub,
            started_at=self._started_at,
            ready=all(said == "ok" for said in checks.values()),
            checks=checks,
            loop_lag_ms=LagView(round(lags[-1], 2) if lags else 0.0, round(max(lags, default=0.0), 2)),
            rss_mb=round(_rss_bytes() / 1e6, 1),
            cpu_ratio=self._cpu_ratio,
            rates=self._rates,
            queues=self._queues(),
            links=self._links(),
            viewers=ViewersView(len(viewers), live.viewers_max, live.behind),
            slow_viewers=[
                SlowViewerView(one.number, one.queued, sorted(one.views), one.resyncs)
                for one in sorted(viewers, key=lambda one: one.number)
                if one.is_lagging
            ],
            accounts=self._accounts(),
            upkeep=self._upkeep,
            notify=parts.channels(),
        )

    def _measure(self) -> None:
        before, now = self._before, self._count()
        span_s = now.at_s - before.at_s
        if span_s < _PICTURE_S / 2:
            return
        self._before = now
        self._rates = RatesView(
            *(
                round((after - earlier) / span_s, 1)
                for after, earlier in (
                    (now.messages, before.messages),
                    (now.events, before.events),
                    (now.readings, before.readings),
                    (now.commands, before.commands),
                )
            )
        )
        self._cpu_ratio = round((now.cpu_s - before.cpu_s) / span_s, 3)

    def _count(self) -> _Counts:
        parts = self._parts
        metrics = parts.metrics
        return _Counts(
            time.monotonic(),
            time.process_time(),
            sum(metrics.samples(metrics.messages).values()),
            parts.accounts.events.settled[Disposition.STORED],
            parts.accounts.samples.settled[Disposition.STORED],
            sum(
                count for labels, count in metrics.samples(metrics.command_requests).items() if "accepted" in labels
            ),
        )

    def _queues(self) -> list[QueueView]:
        metrics = self._parts.metrics
        depths, dropped = metrics.samples(metrics.queue_rows), metrics.samples(metrics.batch_dropped)
        return [
            QueueView(labels[0], int(depths.get(labels, 0)), int(capacity), int(dropped.get(labels, 0)))
            for labels, capacity in sorted(metrics.samples(metrics.queue_rows_max).items())
        ]

    def _links(self) -> list[LinkView]:
        metrics = self._parts.metrics
        connects = metrics.samples(metrics.mqtt_connects)
        return [
            LinkView(labels[0], bool(up), max(0, int(connects.get(labels, 0)) - 1))
            for labels, up in sorted(metrics.samples(metrics.mqtt_connected).items())
        ]

    def _accounts(self) -> AccountsView:
        accounts = self._parts.accounts
        both = (accounts.events, accounts.samples)
        return AccountsView(
            received=sum(tally.received for tally in both),
            in_flight=sum(self._parts.in_flight()),
            **{outcome.value: sum(tally.settled[outcome] for tally in both) for outcome in Disposition},
        )

    async def _look_at_upkeep(self) -> None:
        if time.monotonic() - self._upkeep_s < _UPKEEP_S:
            return
        self._upkeep_s = time.monotonic()
        try:
            rows = await self._parts.store.fetch("upkeep_tasks")
        except StoreError:
            return  # the checks tell; what was known stays
        self._upkeep = [UpkeepView(**row) for row in rows]


class _View(StaticView):
    refresh_s: float | None = 1.0

    def __init__(self, health: HealthMonitor) -> None:
        self._health = health
        self._picture: HubHealthView | None = None
        self._is_new = False

    async def prepare(self) -> None:
        """Have the first picture made."""
        self._picture = await self._health.view()

    async def refresh(self) -> None:
        """Have the next one made."""
        self._picture = await self._health.view()
        self._is_new = True

    def snapshot(self) -> HubHealthView | None:
        """Return the newest one."""
        return self._picture

    def diff(self, turn: Changes) -> HubHealthView | None:
        """Return the newest one, if it was not told."""
        del turn
        is_new, self._is_new = self._is_new, False
        return self._picture if is_new else None


def _rss_bytes() -> int:
    """Return the memory in use; where the system does not tell, the most that ever was."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
