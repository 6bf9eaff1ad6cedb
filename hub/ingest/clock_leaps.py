"""Lockers whose clocks say what is not possible: counted, and told once a minute each."""

import logging
from typing import Final

from hub.metrics import Metrics
from hub.mqtt.quarantine import RateLimits

_log = logging.getLogger(__name__)
_LOCKERS_MAX: Final = 10_000


class ClockLeapReporter:
    """Callback of `hub.core.clocks.Clocks`."""

    def __init__(self, metrics: Metrics) -> None:
        self._count = metrics.clock_leaps
        self._limits: RateLimits[str] = RateLimits(1, 1, _LOCKERS_MAX)

    def found(self, locker: str, now_ms: float) -> None:
        """Take that a message's boot clock ran ahead of real time."""
        self._count.inc()
        if self._limits.pass_one(locker, now_ms):
            _log.warning(
                "A locker's boot clock is ahead of what is possible; it is not believed, and commands keep the"
                " deadlines that were possible before",
                extra={"locker": locker},
            )
