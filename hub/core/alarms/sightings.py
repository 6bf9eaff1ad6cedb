"""What is seen, as far as alarms need it: where, which event, what was measured."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from hub.core.alarms.alarm import Mark

# The two that are made for every event are not frozen, which would cost a microsecond each; nobody changes them.


@dataclass(slots=True)
class Where:
    """Where something was seen. `site` is the locker's, empty if it has none."""

    tenant: str
    site: str
    locker: str
    door: int | None = None
    sensor: str | None = None


class Reading(NamedTuple):
    """What a locker measured when it told an event, as far as it says so."""

    value: float
    limit: float | None = None
    unit: str | None = None


@dataclass(slots=True)
class Sighting:
    """An event, as far as alarms need it."""

    kind: str
    at: datetime
    mark: Mark | None = None
    closed_s: float | None = None
    """For how long the door had been closed; None: it was not, or nobody knows."""
    of_job: bool = False
    """A job has asked for it, so that many at once are what somebody wanted."""
    reading: Reading | None = None


@dataclass(frozen=True, slots=True)
class Details:
    """What an event's data says: which lock board or sensor it is of, the board's doors, and what was measured."""

    board: str = ""
    doors: frozenset[int] = frozenset()
    reading: Reading | None = None
    sensor: str | None = None


NO_DETAILS: Final = Details()
