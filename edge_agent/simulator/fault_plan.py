"""Plan of random faults at lockers, as operators meet them. Pure; seeded, so that a run can be repeated."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final

_PAUSE_A_LOCKER_S: Final = 120.0
_PER_S_MAX: Final = 0.25
"""However large the fleet: what nobody can look at shows nothing."""


class Fault(StrEnum):
    """Kind of fault."""

    FORCED = "forced"
    STUCK = "stuck"
    FLICKER = "flicker"
    BOARD = "board"
    POWER = "power"
    HEAT = "heat"
    TAMPER = "tamper"
    DENIED = "denied"
    OFFLINE = "offline"


# How often each comes, and for how many seconds it stays.
_KINDS: Final[dict[Fault, tuple[int, float, float]]] = {
    Fault.FORCED: (4, 15, 60),
    Fault.STUCK: (4, 60, 180),
    Fault.FLICKER: (2, 15, 40),
    Fault.BOARD: (2, 20, 75),
    Fault.POWER: (2, 30, 120),
    Fault.HEAT: (2, 60, 120),
    Fault.TAMPER: (1, 10, 40),
    Fault.DENIED: (3, 10, 20),
    Fault.OFFLINE: (2, 60, 150),
}


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One trouble. `locker` counts from 0, `door` from 1; it is over after `seconds`."""

    trouble: Fault
    locker: int
    door: int
    seconds: float


class FaultPlan:
    """Draws troubles for `lockers` lockers of `doors` doors.

    Args:
        random: decides.
        lockers: how many there are.
        doors: of each.
        share: 0 (none) to 1 (one every two minutes at each locker, and one in four seconds of all at the most).
        weak: the lockers whose line to the broker can be cut.
    """

    def __init__(self, random: Random, lockers: int, doors: int, *, share: float, weak: list[int]) -> None:
        self._random = random
        self._lockers = lockers
        self._doors = doors
        self._weak = weak
        self._per_s = min(_PER_S_MAX, share * lockers / _PAUSE_A_LOCKER_S)
        self._kinds = [kind for kind in Fault if weak or kind is not Fault.OFFLINE]
        self._weights = [_KINDS[kind][0] for kind in self._kinds]

    def gap_s(self) -> float:
        """Return the seconds until the next one; infinite where there is none."""
        return self._random.expovariate(self._per_s) if self._per_s else float("inf")

    def next(self) -> PlannedFault:
        """Return the next one."""
        draw = self._random
        (kind,) = draw.choices(self._kinds, self._weights)
        _, least_s, most_s = _KINDS[kind]
        locker = draw.choice(self._weak) if kind is Fault.OFFLINE else draw.randrange(self._lockers)
        return PlannedFault(kind, locker, draw.randint(1, self._doors), draw.uniform(least_s, most_s))
