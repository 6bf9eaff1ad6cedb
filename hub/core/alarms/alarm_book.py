"""The book of open alarms: one for each type and place, what changed, and what is to be written down.

The book decides what becomes of an alarm when its condition comes and goes. What operators do is decided by the
rows of the database, which other hubs and command lines change as well; the book takes it over (`acted`, `adopt`).
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from hub.core.alarms.alarm import (
    Alarm,
    AlarmState,
    Key,
    Mark,
    Occurrence,
    Severity,
    Suppression,
    again,
    cleared,
    closed,
    fresh,
    taken_back,
)
from hub.core.alarms.transitions import Transition, What
from hub.core.alarms.unwritten import AlarmStep, Unwritten, UnwrittenAlarms

CHATTERING_RAISES: Final = 3
CHATTERING_S: Final = 60.0
CALM_S: Final = 600.0
"""An alarm that was chattering is not any more after so long without being raised."""
STALE: Final = timedelta(hours=24)
MARKS_MAX: Final = 100_000
_AGAIN_S: Final = 60.0
"""That an active alarm was seen once more is written into its journal this often; its count has them all."""


class AlarmBook:
    """All open alarms.

    Args:
        new_id: makes ids.
        tell: hears of each transition.
        open_max: with so many open alarms no further one is opened; `refused` counts them.
        open_per_locker_max: nor with so many of one locker, so that none takes the room of all; `over_share`
            counts them.
        steps_max: of one alarm that cannot be written; further steps are left out, and `dropped` counts them.
        unwritten_max: so many alarms may wait to be written; above that the oldest that has come and gone
            meanwhile is given up, and counted. Of one locker it is twice as many as may be open.
    """

    def __init__(
        self,
        new_id: Callable[[], UUID],
        tell: Callable[[Transition], None],
        *,
        open_max: int,
        open_per_locker_max: int | None = None,
        steps_max: int = 50,
        unwritten_max: int | None = None,
    ) -> None:
        self.alarms: dict[UUID, Alarm] = {}
        self.by_key: dict[Key, UUID] = {}
        self.of_locker: dict[str, set[UUID]] = {}
        self.children: Counter[UUID] = Counter()
        """How many open alarms are folded into each."""
        self.revision = 0
        """Another one with every change."""
        self.refused = 0
        self.over_share = 0
        self._new_id = new_id
        self._tell = tell
        self._open_max = open_max
        self._open_per_locker_max = open_per_locker_max or open_max
        self._steps_max = steps_max
        self._steps_dropped = 0
        self.unwritten = UnwrittenAlarms(unwritten_max or 2 * open_max, 2 * self._open_per_locker_max)
        self._changed: set[UUID] = set()
        self._closed: set[UUID] = set()
        self._marks: OrderedDict[Key, Mark] = OrderedDict()
        self._raises: dict[UUID, deque[datetime]] = {}
        self._again_at: dict[UUID, datetime] = {}

    @property
    def dropped(self) -> int:
        """Return how many alarms and steps were given up, as too much waited to be written."""
        return self.unwritten.dropped + self._steps_dropped

    def load(self, alarms: Iterable[Alarm]) -> None:
        """Take over alarms of the hub before; of those that are closed, only what they were raised by last."""
        for alarm in alarms:
            if alarm.mark is not None:
                self._mark(alarm.key, alarm.mark)
            if alarm.open:
                self._put(alarm)

    def find(self, key: Key) -> Alarm | None:
        """Return the open alarm of a type at a place."""
        found = self.by_key.get(key)
        return None if found is None else self.alarms[found]

    def raised(
        self,
        seen: Occurrence,
        *,
        site: str | None,
        where: str,
        now: datetime,
        context: Suppression | None = None,
        parent: UUID | None = None,
    ) -> Alarm | None:
        """Open an alarm, or count the one that is open. None: it was told before, or there are too many.

        Args:
            seen: its condition.
            site: where its locker is, or what it is of.
            where: the same in words.
            now: the time.
            context: what suppresses it there.
            parent: the larger alarm that says it already.
        """
        if self._is_known(seen.key, seen.mark):
            return None
        known = self.find(seen.key)
        if known is None:
            if len(self.alarms) >= self._open_max:
                self.refused += 1
                return None
            if len(self.of_locker.get(seen.key[1].locker or "", ())) >= self._open_per_locker_max:
                self.over_share += 1
                return None
            alarm = fresh(self._new_id(), seen, site=site, where=where, now=now)
        else:
            alarm = again(known, seen, now)
        if (alarm.context, alarm.parent) != (context, parent):
            alarm = replace(alarm, context=context, parent=parent)
        alarm = self._counted(alarm, now)
        if seen.mark is not None:
            self._mark(seen.key, seen.mark)
        if known is not None and known.active:
            last = self._again_at.get(alarm.id)
            self._put(alarm)
            self._write(alarm)
            if last is None or (now - last).total_seconds() >= _AGAIN_S:
                self._again_at[alarm.id] = now
                self._step(alarm, now, "again", note=f"seen {alarm.count} times")
            return alarm
        self._move(alarm, now, "raised")
        return alarm

    def cleared(self, key: Key, now: datetime, mark: Mark | None = None, note: str | None = None) -> Alarm | None:
        """Clear the active alarm of a type at a place, if there is one.

        One that is suppressed there, other than by a shelf, is closed with it: nobody was to see it.
        """
        known = self.find(key)
        if known is None or not known.active or self._is_known(key, mark):
            return None
        alarm = cleared(known, now, mark)
        if alarm.open and alarm.suppressed not in {None, Suppression.SHELVED}:
            alarm = closed(alarm, now)
        self._move(alarm, now, "cleared", note=note)
        return alarm

    def set_context(self, alarm_id: UUID, context: Suppression | None, now: datetime) -> None:
        """Suppress an alarm because of where it is, or not any more."""
        alarm = self.alarms[alarm_id]
        if alarm.context is not context:
            what = "unsuppressed" if context is None else "suppressed"
            self._rearrange(alarm, replace(alarm, context=context), now, what, str(context or alarm.context))

    def fold(self, alarm_id: UUID, parent: UUID | None, now: datetime) -> None:
        """Put an alarm under a larger one, or take it out."""
        alarm = self.alarms[alarm_id]
        if alarm.parent != parent:
            what = "unfolded" if parent is None else "folded"
            self._rearrange(alarm, replace(alarm, parent=parent), now, what, None)

    def relocate(self, alarm_id: UUID, *, site: str | None, where: str) -> None:
        """Let an alarm follow the name of its locker and of its site. Nobody is told; it is the same alarm."""
        alarm = self.alarms[alarm_id]
        if (alarm.site, alarm.where) != (site, where):
            self._put(replace(alarm, site=site, where=where))
            self._write(self.alarms[alarm_id])

    def set_children(self, alarm_id: UUID, children: int) -> None:
        """Say how many alarms are folded into one."""
        alarm = self.alarms[alarm_id]
        if alarm.children != children:
            self._put(replace(alarm, children=children))
            self._write(self.alarms[alarm_id])

    def tick(self, now: datetime) -> None:
        """Let shelves end, and mark what is stale or chattering no more."""
        for alarm in list(self.alarms.values()):
            if alarm.shelved is not None and alarm.shelved.until <= now:
                back = taken_back(alarm)
                assert isinstance(back, Alarm), "it is open and shelved"  # noqa: S101
                self._move(back, now, "unshelved", note="its time was over")
                self._announce(back, now)
            elif alarm.active and not alarm.stale and now - alarm.raised_at > STALE:
                self._put(replace(alarm, stale=True))
            elif alarm.chattering and (now - self._raises[alarm.id][-1]).total_seconds() > CALM_S:
                self._put(replace(alarm, chattering=False))

    def acted(self, theirs: Alarm, what: What, now: datetime) -> None:
        """Take over what an operator did, from its row, and tell of it."""
        known = self.alarms.get(theirs.id)
        alarm = self.adopt(theirs)
        self._tell(Transition(now, what, alarm))
        if known is not None and not alarm.open:
            self._tell(Transition(now, "closed", alarm))
        if what == "unshelved":
            self._announce(alarm, now)

    def adopt(self, theirs: Alarm) -> Alarm:
        """Take over a row that is not of this hub's making: its acknowledgement, its shelf, its id.

        Where this hub knows more of the condition than the row, because it has not written it yet, that counts.
        Returns the alarm as it stands now.
        """
        ours = self.alarms.get(theirs.id) or self.find(theirs.key)
        if ours is None:
            if theirs.open:
                self._put(theirs)
            return theirs
        unwritten = self.unwritten.pop(ours.id)
        newer = unwritten is not None and ours.last_at >= theirs.last_at
        merged = replace(
            _merged(ours, theirs) if newer else theirs,
            context=ours.context, chattering=ours.chattering, stale=ours.stale, children=ours.children,
        )  # fmt: skip
        if ours.id != theirs.id:
            self._remove(ours)
            for child in [one for one in self.alarms.values() if one.parent == ours.id]:
                self._put(replace(child, parent=theirs.id))
                self._write(self.alarms[child.id])
        if merged.open:
            self._put(merged)
        else:
            self._remove(merged)
        if newer:
            kept = unwritten.steps if unwritten is not None and ours.id == theirs.id else []
            self.unwritten.replace(Unwritten(merged, kept))
            if merged.closed_at is not None:
                self._step(merged, merged.closed_at, "closed")
        return merged

    def written(self, alarm_id: UUID, version: int) -> None:
        """Hear that a row is committed, and which version it has."""
        alarm = self.alarms.get(alarm_id)
        if alarm is not None:
            self.alarms[alarm_id] = replace(alarm, version=version)
        self.unwritten.versioned(alarm_id, version)

    def take_unwritten(self, limit: int) -> list[Unwritten]:
        """Take what is to be written, the oldest first."""
        return self.unwritten.take(limit)

    def give_back(self, taken: Iterable[Unwritten]) -> None:
        """Put back what could not be written; what came meanwhile is newer."""
        self.unwritten.give_back(taken)

    def take_changes(self) -> tuple[set[UUID], set[UUID]]:
        """Return which open alarms have changed, and which are open no more, since the last call."""
        changed, self._changed = self._changed, set()
        closed, self._closed = self._closed, set()
        return changed - closed, closed

    def counts(self, locker: str) -> dict[Severity, int]:
        """Count a locker's alarms that people are to see."""
        found = dict.fromkeys(Severity, 0)
        for one in self.of_locker.get(locker, ()):
            alarm = self.alarms[one]
            if alarm.suppressed is None:
                found[alarm.severity] += 1
        return found

    def _counted(self, alarm: Alarm, now: datetime) -> Alarm:
        raises = self._raises.setdefault(alarm.id, deque(maxlen=CHATTERING_RAISES))
        raises.append(now)
        chatters = len(raises) == CHATTERING_RAISES and (now - raises[0]).total_seconds() <= CHATTERING_S
        return replace(alarm, chattering=True) if chatters else alarm

    def _rearrange(self, before: Alarm, alarm: Alarm, now: datetime, what: str, note: str | None) -> None:
        self._put(alarm)
        self._write(alarm)
        self._step(alarm, now, what, note=note)
        if before.suppressed is not None:
            self._announce(alarm, now)

    def _announce(self, alarm: Alarm, now: datetime) -> None:
        """Tell of an alarm that still stands where what suppressed it is over."""
        if alarm.suppressed is None and alarm.active:
            self._tell(Transition(now, "raised", alarm))

    def _move(self, alarm: Alarm, now: datetime, what: What, note: str | None = None) -> None:
        if alarm.mark is not None:
            self._mark(alarm.key, alarm.mark)
        if alarm.open:
            self._put(alarm)
        else:
            self._remove(alarm)
        self._write(alarm)
        self._step(alarm, now, what, note=note)
        self._tell(Transition(now, what, alarm))
        if not alarm.open:
            self._step(alarm, now, "closed")
            self._tell(Transition(now, "closed", alarm))

    def _put(self, alarm: Alarm) -> None:
        self.revision += 1
        self._count_under_parent(self.alarms.get(alarm.id), alarm)
        self.alarms[alarm.id] = alarm
        self.by_key[alarm.key] = alarm.id
        if alarm.locker is not None:
            self.of_locker.setdefault(alarm.locker, set()).add(alarm.id)
        self._changed.add(alarm.id)
        self._closed.discard(alarm.id)
        self._raises.setdefault(alarm.id, deque([alarm.raised_at], maxlen=CHATTERING_RAISES))

    def _count_under_parent(self, before: Alarm | None, after: Alarm | None) -> None:
        was = None if before is None else before.parent
        parent = None if after is None else after.parent
        if was == parent:
            return
        if was is not None:
            self.children[was] -= 1
            if not self.children[was]:
                del self.children[was]
        if parent is not None:
            self.children[parent] += 1

    def _remove(self, alarm: Alarm) -> None:
        self.revision += 1
        self._count_under_parent(self.alarms.pop(alarm.id, None), None)
        self.by_key.pop(alarm.key, None)
        of_locker = self.of_locker.get(alarm.locker or "", set())
        of_locker.discard(alarm.id)
        if not of_locker:
            self.of_locker.pop(alarm.locker or "", None)
        self._raises.pop(alarm.id, None)
        self._again_at.pop(alarm.id, None)
        self._closed.add(alarm.id)

    def _write(self, alarm: Alarm) -> None:
        self.unwritten.put(alarm)

    def _step(self, alarm: Alarm, now: datetime, what: str, note: str | None = None) -> None:
        steps = self.unwritten[alarm.id].steps
        if len(steps) >= self._steps_max:
            self._steps_dropped += 1
            return
        steps.append(AlarmStep(self._new_id(), alarm.id, now, None, what, note, alarm.state))

    def _is_known(self, key: Key, mark: Mark | None) -> bool:
        known = self._marks.get(key)
        return mark is not None and known is not None and known[0] == mark[0] and mark[1] <= known[1]

    def _mark(self, key: Key, mark: Mark) -> None:
        self._marks[key] = mark
        self._marks.move_to_end(key)
        if len(self._marks) > MARKS_MAX:
            self._marks.popitem(last=False)


def _merged(ours: Alarm, theirs: Alarm) -> Alarm:
    """Return the condition as this hub knows it, and what people did as the row has it."""
    raised_since = ours.active and (theirs.acked_at is None or ours.raised_at > theirs.acked_at)
    acked = theirs.acked_at is not None and not raised_since
    if ours.active:
        state = AlarmState.ACTIVE_ACKED if acked else AlarmState.ACTIVE_UNACKED
    else:
        state = AlarmState.NORMAL if acked else AlarmState.CLEARED_UNACKED
    return replace(
        ours, id=theirs.id, version=theirs.version, state=state, opened_at=min(ours.opened_at, theirs.opened_at),
        count=max(ours.count, theirs.count), shelved=theirs.shelved,
        acked_at=theirs.acked_at if acked else None, acked_by=theirs.acked_by if acked else None,
        ack_note=theirs.ack_note if acked else None,
        closed_at=(theirs.closed_at or ours.last_at) if state is AlarmState.NORMAL else None,
    )  # fmt: skip
