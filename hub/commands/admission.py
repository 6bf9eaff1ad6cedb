"""Admission control of commands: the registry's word on lockers and doors, and rates."""

import logging
from collections.abc import Collection
from typing import Final

from hub.commands.result import Refused
from hub.config.settings import CommandSettings
from hub.core.commands import CommandRefusal, Order
from hub.core.fleet import Fleet
from hub.core.rates import TokenBucket
from hub.metrics import Metrics
from wire.messages import CommandKind

_log = logging.getLogger(__name__)
_BURST_SHARE: Final = 0.25
"""A bucket holds a quarter of a minute's tokens, and ten at least."""
_BURST_MIN: Final = 10.0
_SAY_EVERY_MS: Final = 60_000.0


class AdmissionControl:
    """Refuses what the fleet does not have, and what is too much."""

    def __init__(self, config: CommandSettings, fleet: Fleet, metrics: Metrics) -> None:
        self._config = config
        self._fleet = fleet
        self._of_fleet = _bucket(config.fleet_per_minute)
        self._openings = _bucket(config.openings_fleet_per_minute)
        self._of_locker: dict[str, TokenBucket] = {}
        self._limited = metrics.command_openings_limited
        self._said_ms = float("-inf")

    def unknown(self, order: Order) -> Refused | None:
        """Refuse a locker or door that is not in the registry, or a door that is out of service."""
        locker = self._fleet.lockers.get(order.locker)
        if locker is None:
            return Refused(CommandRefusal.LOCKER_UNKNOWN, f"There is no locker {order.locker!r} in the registry.")
        if locker.spec.disabled is not None:
            return Refused(CommandRefusal.LOCKER_DISABLED, f"{order.locker} is disabled: {locker.spec.disabled}")
        if order.door is not None:
            door = locker.doors.get(order.door)
            if door is None:
                return Refused(
                    CommandRefusal.DOOR_UNKNOWN,
                    f"{order.locker} has no door {order.door}; its doors are {_doors(locker.doors)}.",
                )
            if order.kind == CommandKind.OPEN and not door.spec.in_service:
                why = f": {door.spec.service_reason}" if door.spec.service_reason else ""
                return Refused(CommandRefusal.DOOR_OUT_OF_SERVICE, f"Door {order.door} is out of service{why}.")
        return None

    def away(self, order: Order) -> Refused | None:
        """Refuse a locker of the registry that is not there now."""
        locker = self._fleet.lockers[order.locker]
        if locker.reachable:
            return None
        heard = f"was last heard at {locker.heard_at:%H:%M:%S} UTC" if locker.heard_at else "has not been heard"
        return Refused(CommandRefusal.LOCKER_OFFLINE, f"{order.locker} {heard}; nothing is queued for it.")

    def too_many(self, order: Order, now_ms: float) -> Refused | None:
        """Count one command against the limits, and refuse it above one."""
        rate = self._of_locker.get(order.locker)
        if rate is None:
            rate = self._of_locker[order.locker] = _bucket(self._config.per_locker_per_minute)
        wait_ms = rate.take(now_ms) or self._of_fleet.take(now_ms)
        if wait_ms:
            return Refused(
                CommandRefusal.RATE_LIMITED,
                f"More than {self._config.per_locker_per_minute} commands a minute for one locker, or "
                f"{self._config.fleet_per_minute} for the fleet.",
                wait_ms / 1000,
            )
        if order.kind == CommandKind.OPEN:
            wait_ms = self._openings.take(now_ms)
            if wait_ms:
                return self._too_many_openings(wait_ms, now_ms)
        return None

    def _too_many_openings(self, wait_ms: float, now_ms: float) -> Refused:
        limit = self._config.openings_fleet_per_minute
        self._limited.inc()
        if now_ms - self._said_ms >= _SAY_EVERY_MS:
            self._said_ms = now_ms
            _log.warning("Doors are to open faster than the fleet may", extra={"openings_a_minute_max": limit})
        return Refused(
            CommandRefusal.RATE_LIMITED,
            f"More than {limit} doors a minute would be opened in the whole fleet, which is this hub's limit "
            "(commands.openings_fleet_per_minute).",
            wait_ms / 1000,
        )


def _bucket(per_minute: int) -> TokenBucket:
    return TokenBucket(per_minute, max(_BURST_MIN, per_minute * _BURST_SHARE))


def _doors(doors: Collection[int]) -> str:
    return f"{min(doors)} to {max(doors)}" if doors else "none"
