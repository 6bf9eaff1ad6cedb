"""What a locker's own measurements mean: too hot, on battery, battery nearly empty. Pure.

Each is told once, and again only after the value was back by some distance: a value at its limit is one event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edge_agent.core.doors import Note
from wire.messages import EventKind

_BACK_C: Final = 3.0
_BACK_PCT: Final = 5.0
_BACK_V: Final = 0.5


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is still usual."""

    temperature_c_max: float = 50.0
    battery_pct_min: float = 20.0
    supply_v_min: float = 9.0
    """Below it the locker lives on its battery."""


class LimitMonitor:
    """Holds one sample after the other against the bounds. What was not measured changes nothing."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._hot = False
        self._empty = False
        self._powered: bool | None = None

    def check(self, values: Mapping[str, float], t: int) -> list[Note]:
        """Return what a sample, by the names of `wire.messages.Sample`, says that was not told before."""
        return [
            *self._temperature(values.get("temperature_c"), t),
            *self._power(values.get("supply_v"), t),
            *self._battery(values.get("battery_pct"), t),
        ]

    def _temperature(self, value: float | None, t: int) -> list[Note]:
        limit = self._bounds.temperature_c_max
        if value is None or (self._hot and value > limit - _BACK_C) or (not self._hot and value <= limit):
            return []
        self._hot = not self._hot
        return [_told(t, EventKind.TEMPERATURE_HIGH, value, limit, "°C")] if self._hot else []

    def _battery(self, value: float | None, t: int) -> list[Note]:
        limit = self._bounds.battery_pct_min
        if value is None or (self._empty and value < limit + _BACK_PCT) or (not self._empty and value >= limit):
            return []
        self._empty = not self._empty
        return [_told(t, EventKind.BATTERY_LOW, value, limit, "%")] if self._empty else []

    def _power(self, value: float | None, t: int) -> list[Note]:
        if value is None:
            return []
        limit = self._bounds.supply_v_min
        powered = value >= limit + _BACK_V if self._powered is False else value >= limit
        if powered is self._powered:
            return []
        # The first sample is told either way: an earlier run may have said the other thing.
        self._powered = powered
        return [_told(t, EventKind.POWER_RESTORED if powered else EventKind.POWER_LOST, value, limit, "V")]


def _told(t: int, kind: EventKind, value: float, limit: float, unit: str) -> Note:
    return Note(t, kind, data={"value": value, "limit": limit, "unit": unit})
