"""Look at the whole fleet once a second: who has fallen silent, and how many are how."""

import asyncio
from typing import Final

from hub import clock
from hub.core.fleet import Fleet
from hub.intake import Intake
from hub.links import Links
from hub.live import Live
from hub.metrics import Metrics
from hub.telemetry import Telemetry

_SWEEP_S: Final = 1.0


class Sweep:
    """The task."""

    def __init__(
        self, intake: Intake, telemetry: Telemetry, links: Links, fleet: Fleet, live: Live, metrics: Metrics
    ) -> None:
        self._intake = intake
        self._telemetry = telemetry
        self._links = links
        self._fleet = fleet
        self._live = live
        self._metrics = metrics

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._intake.look()
            deaf = self._telemetry.deaf(clock.now_ms(), linked=self._links.telemetry.connected)
            if not (self._links.ingest.connected and deaf):
                self._fleet.sweep(now_ms=clock.now_ms(), at=clock.wall())
            self._live.wake()
            lockers, doors = self._fleet.counts()
            for state, count in lockers.items():
                self._metrics.lockers.labels(state).set(count)
            for state, count in doors.items():
                self._metrics.doors.labels(state).set(count)
            await asyncio.sleep(_SWEEP_S)
