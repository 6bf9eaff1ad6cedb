"""Look at the whole fleet once a second: who has fallen silent, and how many are how."""

import asyncio
from contextlib import suppress
from typing import Final

from hub import clock
from hub.core.fleet import Fleet
from hub.ingest.events import EventIngest
from hub.ingest.telemetry import TelemetryIngest
from hub.live import Broadcaster
from hub.metrics import Metrics
from hub.mqtt.connections import MqttConnections

_SWEEP_S: Final = 1.0
_HEARD_S: Final = 1.0
_LOOK_S: Final = 0.05


class ReachabilitySweep:
    """The task."""

    def __init__(
        self,
        intake: EventIngest,
        telemetry: TelemetryIngest,
        links: MqttConnections,
        fleet: Fleet,
        live: Broadcaster,
        metrics: Metrics,
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
            deaf = self._telemetry.ingest_stalled(clock.now_ms(), linked=self._links.telemetry.connected)
            if not (self._links.ingest.connected and deaf):
                self._fleet.sweep(now_ms=clock.now_ms(), at=clock.wall())
            self._live.wake()
            lockers, doors = self._fleet.counts()
            for state, count in lockers.items():
                self._metrics.lockers.labels(state).set(count)
            for state, count in doors.items():
                self._metrics.doors.labels(state).set(count)
            await asyncio.sleep(_SWEEP_S)


async def fleet_heard(links: MqttConnections, fleet: Fleet) -> None:
    """Return once the lockers that are there have been heard over the links, or after a second.

    Agents say their presence at once when a hub announces itself: when no more come, those are all.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_HEARD_S):
            before = -1
            while True:
                online = fleet.counts()[0].get("online", 0) if links.connected else 0
                if online and online in {before, len(fleet.lockers)}:
                    return
                before = online
                await asyncio.sleep(_LOOK_S)
