"""One alarm, and what may be done to it: the four states of ISA-18.2, shelving, suppression.

Whether its condition holds and whether somebody has acknowledged it are two things apart. An alarm is open until
both are over: the condition is gone, and somebody has seen it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from hub.core.alarms.texts import TEXTS

SHELVE_MAX: Final = timedelta(hours=24)
NOTE_CHARACTERS_MAX: Final = 200


class Severity(StrEnum):
    """How soon somebody has to act, from `critical` (now) to `low`."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class AlarmState(StrEnum):
    """Whether the condition holds, and whether somebody has acknowledged it. `normal`: neither is left; closed."""

    ACTIVE_UNACKED = "active_unacked"
    ACTIVE_ACKED = "active_acked"
    CLEARED_UNACKED = "cleared_unacked"
    NORMAL = "normal"


class Suppression(StrEnum):
    """Why an open alarm is not announced. It is kept, and shown to those who ask for it."""

    SHELVED = "shelved"
    """Somebody has put it away until a time."""
    MAINTENANCE = "maintenance"
    """Somebody works there, as planned."""
    OUT_OF_SERVICE = "out_of_service"
    """The door is."""
    FOLDED = "folded"
    """A larger alarm says it for all of its kind."""


class Skip(StrEnum):
    """Why an act does not apply to an alarm."""

    UNKNOWN = "unknown"
    NOT_OPEN = "not_open"
    ALREADY_ACKED = "already_acked"
    NOT_ACKED = "not_acked"
    NOT_SHELVED = "not_shelved"


class Spot(NamedTuple):
    """Where an alarm is. `site` only where it is of no single locker: lockers may move, and keep their alarms."""

    tenant: str
    site: str | None = None
    locker: str | None = None
    door: int | None = None
    sensor: str | None = None
    """Which one of the door's, of `SENSORS`, where an alarm is of one of them."""


Key = tuple[str, Spot]
"""An alarm's type and where it is: of each there is one open alarm at the most."""
Mark = tuple[UUID, int]
"""A place in a locker's ledger: epoch, number."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Who put an alarm away, why, and until when."""

    by: str
    why: str
    at: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An alarm as it stands. `began_at`: when the condition began; `raised_at`: when the hub last raised it."""

    id: UUID
    type: str
    severity: Severity
    tenant: str
    site: str | None
    locker: str | None
    door: int | None
    rule: str
    where: str
    state: AlarmState
    opened_at: datetime
    """When it was raised first."""
    began_at: datetime
    raised_at: datetime
    last_at: datetime
    """When the hub last heard of its condition."""
    cleared_at: datetime | None = None
    closed_at: datetime | None = None
    count: int = 1
    """How often it was raised since it is open."""
    value: float | None = None
    limit: float | None = None
    unit: str | None = None
    acked_at: datetime | None = None
    acked_by: str | None = None
    ack_note: str | None = None
    shelved: Shelf | None = None
    context: Suppression | None = None
    """Maintenance or a door out of service, where it is."""
    parent: UUID | None = None
    children: int = 0
    chattering: bool = False
    stale: bool = False
    mark: Mark | None = None
    """The newest ledger event that it was raised or cleared by."""
    sensor: str | None = None
    """Which one of its door's, where it is of one: `hook` or `item`."""
    version: int = 0
    """Of its row, as this hub knows it; 0: it has none yet."""

    @property
    def key(self) -> Key:
        """Return what there is one open alarm of."""
        site = None if self.locker else self.site
        return self.type, Spot(self.tenant, site, self.locker, self.door, self.sensor)

    @property
    def active(self) -> bool:
        """Whether its condition holds."""
        return self.state in {AlarmState.ACTIVE_UNACKED, AlarmState.ACTIVE_ACKED}

    @property
    def open(self) -> bool:
        """Whether anything is left to be done about it."""
        return self.state is not AlarmState.NORMAL

    @property
    def unacked(self) -> bool:
        """Whether it waits for somebody to see it."""
        return self.state in {AlarmState.ACTIVE_UNACKED, AlarmState.CLEARED_UNACKED}

    @property
    def suppressed(self) -> Suppression | None:
        """Why it is not announced, the strongest reason first; None if it is."""
        if self.shelved is not None:
            return Suppression.SHELVED
        if self.context is not None:
            return self.context
        return Suppression.FOLDED if self.parent is not None else None

    @property
    def annunciated(self) -> bool:
        """Whether people are to see it."""
        return self.open and self.suppressed is None

    @property
    def what(self) -> str:
        """What happened, as a sentence."""
        return TEXTS[self.type].said(self.door, self.value, self.unit, self.sensor)

    @property
    def consequence(self) -> str:
        """What it leads to if nobody does anything."""
        return TEXTS[self.type].consequence

    @property
    def todo(self) -> str:
        """What to do about it."""
        return TEXTS[self.type].todo


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """That an alarm's condition holds, and what is to be known of it."""

    key: Key
    rule: str
    severity: Severity
    at: datetime
    value: float | None = None
    limit: float | None = None
    unit: str | None = None
    mark: Mark | None = None


def fresh(alarm_id: UUID, seen: Occurrence, *, site: str | None, where: str, now: datetime) -> Alarm:
    """Return a new alarm."""
    kind, spot = seen.key
    return Alarm(
        id=alarm_id, type=kind, severity=seen.severity, tenant=spot.tenant, site=site, locker=spot.locker,
        door=spot.door, sensor=spot.sensor, rule=seen.rule, where=where, state=AlarmState.ACTIVE_UNACKED,
        opened_at=now, began_at=min(seen.at, now), raised_at=now, last_at=now, value=seen.value, limit=seen.limit,
        unit=seen.unit, mark=seen.mark,
    )  # fmt: skip


def again(alarm: Alarm, seen: Occurrence, now: datetime) -> Alarm:
    """Return an open alarm whose condition was seen once more: the same one, counted.

    One that was cleared is active again, and is not acknowledged, whoever had seen it before.
    """
    told = replace(
        alarm, count=alarm.count + 1, last_at=now, severity=seen.severity, rule=seen.rule,
        mark=seen.mark or alarm.mark,
    )  # fmt: skip
    if seen.value is not None or not alarm.active:
        # A word without a value does not undo a reading of the same condition.
        told = replace(told, value=seen.value, limit=seen.limit, unit=seen.unit)
    if alarm.active:
        return told
    return replace(
        told, state=AlarmState.ACTIVE_UNACKED, began_at=min(seen.at, now), raised_at=now, cleared_at=None,
        closed_at=None, acked_at=None, acked_by=None, ack_note=None,
    )  # fmt: skip


def cleared(alarm: Alarm, now: datetime, mark: Mark | None = None) -> Alarm:
    """Return an active alarm whose condition is gone. Where it was acknowledged, it is closed."""
    if alarm.state is AlarmState.ACTIVE_ACKED:
        return closed(replace(alarm, cleared_at=now, last_at=now, mark=mark or alarm.mark), now)
    return replace(
        alarm, state=AlarmState.CLEARED_UNACKED, cleared_at=now, last_at=now, stale=False, mark=mark or alarm.mark
    )  # fmt: skip


def acknowledged(alarm: Alarm, by: str, note: str | None, now: datetime) -> Alarm | Skip:
    """Return the alarm with the word that somebody has seen it."""
    if not alarm.open:
        return Skip.NOT_OPEN
    if not alarm.unacked:
        return Skip.ALREADY_ACKED
    seen = replace(alarm, acked_at=now, acked_by=by, ack_note=note)
    if alarm.active:
        return replace(seen, state=AlarmState.ACTIVE_ACKED)
    return closed(seen, now)


def unacknowledged(alarm: Alarm) -> Alarm | Skip:
    """Return the alarm as if nobody had seen it. One that is closed stays closed."""
    if not alarm.open:
        return Skip.NOT_OPEN
    if alarm.unacked:
        return Skip.NOT_ACKED
    return replace(alarm, state=AlarmState.ACTIVE_UNACKED, acked_at=None, acked_by=None, ack_note=None)


def put_away(alarm: Alarm, shelf: Shelf) -> Alarm | Skip:
    """Return the alarm shelved; one that is shelved already has a new end. Raises ValueError for a bad end."""
    if not timedelta() < shelf.until - shelf.at <= SHELVE_MAX:
        raise ValueError("an alarm is shelved for at most 24 hours, and for more than none")
    return replace(alarm, shelved=shelf) if alarm.open else Skip.NOT_OPEN


def taken_back(alarm: Alarm) -> Alarm | Skip:
    """Return the alarm without its shelf."""
    if not alarm.open:
        return Skip.NOT_OPEN
    return Skip.NOT_SHELVED if alarm.shelved is None else replace(alarm, shelved=None)


def closed(alarm: Alarm, now: datetime) -> Alarm:
    """Return an alarm of which nothing is left."""
    return replace(alarm, state=AlarmState.NORMAL, closed_at=now, shelved=None, chattering=False, stale=False)
