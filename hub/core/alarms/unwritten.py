"""Alarms whose newest state is not in the database yet: bounded in all and for each locker.

What is open, and what has a row, is written sooner or later. Of what began and ended while the database was away,
the oldest is given up at a limit, and counted: of all at the limit of all, of its locker at that of its locker, so
that one locker whose alarms come and go takes the room of no other. Above twice as many as may be open there is
always such a one: of what waits, at the most one half is open now, and one half was when the database went away.
What one takes is bounded as well: its texts are, and its steps are counted.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from uuid import UUID

from hub.core.alarms.alarm import Alarm, AlarmState


@dataclass(frozen=True, slots=True)
class AlarmStep:
    """A line of an alarm's journal. `who` is None for the hub itself; `state` is the one afterwards."""

    id: UUID
    alarm: UUID
    at: datetime
    who: str | None
    what: str
    note: str | None
    state: AlarmState


@dataclass(slots=True)
class Unwritten:
    """Newest state of an alarm, and the steps of its journal, that are to be written."""

    alarm: Alarm
    steps: list[AlarmStep] = field(default_factory=list)


class UnwrittenAlarms(Mapping[UUID, Unwritten]):
    """By alarm, the oldest first.

    Args:
        alarms_max: the limit of all.
        per_locker_max: that of one locker.
    """

    def __init__(self, alarms_max: int, per_locker_max: int) -> None:
        self.dropped = 0
        """Given up at the limit of all."""
        self.over_share = 0
        """Given up at the limit of their locker."""
        self._alarms_max = alarms_max
        self._per_locker_max = per_locker_max
        self._all: dict[UUID, Unwritten] = {}
        self._of_locker: dict[str, dict[UUID, None]] = {}
        self._over: dict[UUID, None] = {}
        """Those that are closed and have no row."""
        self._being_written: set[UUID] = set()

    def __getitem__(self, alarm_id: UUID) -> Unwritten:
        return self._all[alarm_id]

    def __iter__(self) -> Iterator[UUID]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def put(self, alarm: Alarm) -> None:
        """Take an alarm's newest state; at a limit the oldest that is over goes."""
        waiting = self._all.get(alarm.id)
        if waiting is None:
            self._insert(Unwritten(alarm))
            self._bound(alarm)
        else:
            waiting.alarm = alarm
            self._judge(alarm)

    def replace(self, one: Unwritten) -> None:
        """Take what is to be written of an alarm instead of what was."""
        self.pop(one.alarm.id)
        self._insert(one)

    def versioned(self, alarm_id: UUID, version: int) -> None:
        """Hear which version an alarm's row has."""
        self._being_written.discard(alarm_id)
        waiting = self._all.get(alarm_id)
        if waiting is not None:
            waiting.alarm = replace(waiting.alarm, version=version)
            self._judge(waiting.alarm)

    def pop(self, alarm_id: UUID) -> Unwritten | None:
        """Take one, if it is there."""
        one = self._all.pop(alarm_id, None)
        if one is None:
            return None
        self._over.pop(alarm_id, None)
        locker = one.alarm.locker
        if locker is not None:
            of_locker = self._of_locker[locker]
            del of_locker[alarm_id]
            if not of_locker:
                del self._of_locker[locker]
        return one

    def take(self, limit: int) -> list[Unwritten]:
        """Take so many to be written, the oldest first."""
        taken = [one for name in list(islice(self._all, limit)) if (one := self.pop(name)) is not None]
        self._being_written = {one.alarm.id for one in taken}
        return taken

    def give_back(self, taken: Iterable[Unwritten]) -> None:
        """Put back what could not be written, before all others; what came meanwhile is newer."""
        back: dict[UUID, Unwritten] = {}
        for one in taken:
            self._being_written.discard(one.alarm.id)
            later = self.pop(one.alarm.id)
            if later is not None:
                one.alarm = later.alarm
                one.steps += later.steps
            back[one.alarm.id] = one
        self._all = {**back, **self._all}
        of_lockers: dict[str, dict[UUID, None]] = {}
        for one in back.values():
            if one.alarm.locker is not None:
                of_lockers.setdefault(one.alarm.locker, {})[one.alarm.id] = None
        for locker, names in of_lockers.items():
            self._of_locker[locker] = {**names, **self._of_locker.get(locker, {})}
        self._over = {**{name: None for name, one in back.items() if self._is_over(one.alarm)}, **self._over}

    def _insert(self, one: Unwritten) -> None:
        self._all[one.alarm.id] = one
        if one.alarm.locker is not None:
            self._of_locker.setdefault(one.alarm.locker, {})[one.alarm.id] = None
        self._judge(one.alarm)

    def _judge(self, alarm: Alarm) -> None:
        if self._is_over(alarm):
            self._over.setdefault(alarm.id)
        else:
            self._over.pop(alarm.id, None)

    def _is_over(self, alarm: Alarm) -> bool:
        # One that is being written may have a row in a moment, which has to hear of its end.
        return not alarm.open and not alarm.version and alarm.id not in self._being_written

    def _bound(self, newest: Alarm) -> None:
        of_locker = self._of_locker.get(newest.locker or "", {})
        while len(of_locker) > self._per_locker_max:
            over = next((name for name in of_locker if name in self._over and name != newest.id), None)
            if over is None:
                break
            self.pop(over)
            self.over_share += 1
        while len(self._all) > self._alarms_max:
            over = next((name for name in self._over if name != newest.id), None)
            if over is None:
                break
            self.pop(over)
            self.dropped += 1
