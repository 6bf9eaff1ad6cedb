"""The surroundings of a simulated locker: a room that warms and cools, a supply, a battery, a radio."""

from random import Random
from typing import Final

_HEATS_C: Final = 9.0
_HEAT_C_MAX: Final = 62.0
_DRAINS_PCT: Final = 6.0
_CHARGES_PCT: Final = 4.0
_EMPTY_PCT: Final = 3.0
_USUAL_C_MAX: Final = 35.0
_USUAL_PCT_MIN: Final = 60.0


class Environment:
    """Values that wander slowly around what is usual; each `sample` takes them one step on."""

    def __init__(self, random: Random) -> None:
        self.heated = False
        """Something warms the cabinet far beyond what is usual."""
        self.powered = True
        """Off, the locker lives on its battery."""
        self._random = random
        self._temperature_c = random.uniform(19, 24)
        self._humidity_pct = random.uniform(35, 50)
        self._supply_v = random.uniform(11.9, 12.3)
        self._battery_pct = random.uniform(92, 100)
        self._rssi_dbm = random.uniform(-68, -48)

    def sample(self) -> dict[str, float]:
        """Return the next values, by the names of `wire.messages.Sample`."""
        if self.heated:
            self._temperature_c = min(_HEAT_C_MAX, self._temperature_c + _HEATS_C)
        elif self._temperature_c > _USUAL_C_MAX:
            self._temperature_c -= _HEATS_C
        else:
            self._temperature_c = self._wander(self._temperature_c, 0.1, 15, _USUAL_C_MAX)
        self._humidity_pct = self._wander(self._humidity_pct, 0.3, 20, 80)
        self._supply_v = self._wander(self._supply_v, 0.02, 11.4, 12.6)
        if not self.powered:
            self._battery_pct = max(_EMPTY_PCT, self._battery_pct - _DRAINS_PCT)
        elif self._battery_pct < _USUAL_PCT_MIN:
            self._battery_pct += _CHARGES_PCT
        else:
            self._battery_pct = self._wander(self._battery_pct, 0.05, _USUAL_PCT_MIN, 100)
        self._rssi_dbm = self._wander(self._rssi_dbm, 0.8, -85, -40)
        return {
            "temperature_c": round(self._temperature_c, 2),
            "humidity_pct": round(self._humidity_pct, 1),
            "supply_v": round(self._supply_v, 2) if self.powered else 0.0,
            "battery_pct": round(self._battery_pct, 1),
            "rssi_dbm": round(self._rssi_dbm, 1),
        }

    def _wander(self, value: float, step: float, least: float, most: float) -> float:
        return min(most, max(least, value + self._random.gauss(0, step)))
