"""A day at an office with lockers: who comes when, and what for. Pure; seeded, so that a day can be had again."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final
from uuid import UUID

_OPENS_AT_H: Final = 8
# How busy each hour from 08:00 on is: people come at nine, eat at twelve, and leave towards six.
_BUSY: Final = (0.7, 1.0, 0.85, 0.9, 0.55, 0.8, 0.85, 0.8, 1.0, 0.9)
_HOUR_S: Final = 3600.0
_STARTS_S: Final = 0.9 * _HOUR_S
# At speed 60 this is 1.2 to 1.7 openings a second with 25 lockers.
_VISITS_PER_LOCKER_AND_HOUR: Final = 4.1
_PEOPLE: Final = 400
_KEY_SHARE: Final = 0.002


class Errand(StrEnum):
    """What somebody comes for; goes to the hub as the command's reason."""

    PICK_UP = "pick-up"
    RETURN = "return"
    LEND = "lend"
    SEND = "send"


_TAKES: Final = frozenset({Errand.PICK_UP, Errand.LEND})


@dataclass(frozen=True, slots=True)
class Visit:
    """One person at one door. `locker` counts from 0, `door` from 1; durations are real seconds."""

    locker: int
    door: int
    errand: Errand
    actor: UUID
    by_key: bool
    """Opens with the emergency key and asks nobody."""
    item_after_s: float
    close_after_s: float
    """After the item; long where somebody forgot to close."""

    @property
    def leaves_item(self) -> bool:
        """Whether there is an item behind the door afterwards."""
        return self.errand not in _TAKES


class Workload:
    """Visits at `lockers` lockers of `doors` doors.

    Args:
        speed: how many seconds of office time pass in a second; it brings people sooner and moves them no faster.
        keys_only: everybody has a key, and nobody asks the hub.
        step_s: nobody does two things within this time (what a slow poll would miss).
        forget_share: how many of all people leave their door open for a while.
    """

    def __init__(
        self,
        random: Random,
        lockers: int,
        doors: int,
        *,
        speed: float,
        keys_only: bool = False,
        step_s: float = 0.5,
        forget_share: float = 0.004,
    ) -> None:
        self._random = random
        self._lockers = lockers
        self._doors = doors
        self._speed = speed
        self._keys_only = keys_only
        self._step_s = step_s
        self._forget_share = forget_share
        self._time_s = _STARTS_S
        self._people = [UUID(int=random.getrandbits(128), version=4) for _ in range(_PEOPLE)]
        share = 0.55
        self.occupied = [{door for door in range(1, doors + 1) if random.random() < share} for _ in range(lockers)]
        """Doors with an item behind them, by locker; `visit` keeps it up to date with what people plan."""

    @property
    def hour(self) -> float:
        """The time of day in hours; after the last hour the next day begins at once."""
        return _OPENS_AT_H + self._time_s / _HOUR_S % len(_BUSY)

    def gap_s(self) -> float:
        """Return the real seconds until the next person comes, and let the office clock go on by them."""
        busy = _BUSY[int(self._time_s / _HOUR_S) % len(_BUSY)]
        per_second = busy * self._lockers * _VISITS_PER_LOCKER_AND_HOUR / _HOUR_S * self._speed
        gap = self._random.expovariate(per_second)
        self._time_s += gap * self._speed
        return gap

    def visit(self, busy: set[tuple[int, int]]) -> Visit | None:
        """Return what the next person does, at a door that is not in `busy`; None if there is none."""
        draw = self._random
        errand = draw.choice((Errand.PICK_UP, Errand.PICK_UP, Errand.SEND, Errand.SEND, Errand.LEND, Errand.RETURN))
        locker = draw.randrange(self._lockers)
        occupied = self.occupied[locker]
        doors = [
            door
            for door in range(1, self._doors + 1)
            if (door in occupied) == (errand in _TAKES) and (locker, door) not in busy
        ]
        forgets = draw.random() < self._forget_share
        visit_times = (draw.uniform(0.5, 2.0), draw.uniform(90, 240) if forgets else draw.uniform(0.5, 4.0))
        by_key = self._keys_only or draw.random() < _KEY_SHARE
        actor = draw.choice(self._people)
        if not doors:
            return None
        door = draw.choice(doors)
        (occupied.discard if errand in _TAKES else occupied.add)(door)
        item_after_s, close_after_s = (max(seconds, self._step_s) for seconds in visit_times)
        return Visit(locker, door, errand, actor, by_key, item_after_s, close_after_s)
