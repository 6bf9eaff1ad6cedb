"""Sightings: an event or a measurement, and its place, as alarms need them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from hub.core.alarms.alarm import Mark

# The two that are made for every event are not frozen, which would cost a microsecond each; nobody changes them.


@dataclass(slots=True)
class Where:
    """Place of a sighting. `site` is the locker's, empty if it has none."""

    tenant: str
    site: str
    locker: str
    door: int | None = None
    sensor: str | None = None


class Reading(NamedTuple):
    """Measured value that came with an event, as far as it has one."""

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
    """Details in an event's data: its lock board or sensor, the board's doors, the measured value."""

    board: str = ""
    doors: frozenset[int] = frozenset()
    reading: Reading | None = None
    sensor: str | None = None


NO_DETAILS: Final = Details()
