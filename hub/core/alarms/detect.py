"""From what was seen to conditions that hold: delays, levels with a deadband, repetitions, silence.

Every condition at a place is a *source* of its alarm. The alarm is active while any of its sources is; it is
cleared with the last one. Events carry their own times, so what comes late is judged by when it happened.
"""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from hub.core.alarms.alarm import Alarm, Key, Mark, Occurrence, Spot
from hub.core.alarms.repetitions import Repetitions
from hub.core.alarms.rules import UNITS, AlarmRule, AlarmRules, Duration, Level, NoData, Repeating, Simple
from hub.core.alarms.sightings import Sighting, Where
from hub.core.alarms.texts import DOOR_TYPES, SENSOR_TYPES

_SourceKey = tuple[Key, str]
_NOWHERE: Final = Spot("")
_SITE_SLOT: Final = "repeating:site"
_TIMERS_EACH: Final = 3
"""Void timers are thrown away where there are more of them than this for each source that there may be."""
_TOLD_WITHIN_MS: Final = 10_000.0
TOLD_MAX: Final = 10
"""A repetition that goes on is counted so often in ten seconds at the most: it may be of thousands of events."""
LATE_MS: Final = 2000.0
"""What is told after the whole of its delay waits so long for what may have ended it before."""
TICK_MAX: Final = 500
"""So many delays come true in one tick."""
WINDOWS_MAX: Final = 20_000
"""Of repetitions that are being counted. At the limit the one that was used least recently is forgotten."""


@dataclass(slots=True)
class _Source:
    rule: AlarmRule
    seen: Occurrence
    raised: bool = False
    on_timer: int = 0
    off_timer: int = 0
    """Numbers of the timers that count; others of it are void."""
    off_due_ms: float = 0.0
    """When it is over unless it is seen again; its timer may come earlier, and then waits for the rest."""
    leaving: bool = False
    """Its condition is gone, and the off-delay runs."""
    told_since_ms: float = float("-inf")
    told: int = 0

    def may_tell(self, now_ms: float) -> bool:
        """Say whether one more repetition of it may be told now; count it if so."""
        if now_ms - self.told_since_ms >= _TOLD_WITHIN_MS:
            self.told_since_ms, self.told = now_ms, 0
        self.told += 1
        return self.told <= TOLD_MAX


class Detector:
    """Every condition that holds or is about to.

    Args:
        rules: what raises and clears.
        raise_: hears of each condition that holds, and of each repetition of one.
        clear: hears of each alarm without a condition that holds.
        sources_max: at so many conditions no further one is followed; `skipped` counts them.
        sources_per_locker_max: nor at so many of one locker.
    """

    def __init__(
        self,
        rules: AlarmRules,
        raise_: Callable[[Occurrence], None],
        clear: Callable[[Key, Mark | None], None],
        *,
        sources_max: int,
        sources_per_locker_max: int | None = None,
    ) -> None:
        self.rules = rules
        self.skipped = 0
        self._raise = raise_
        self._clear = clear
        self._sources_max = sources_max
        self._sources_per_locker_max = sources_per_locker_max or sources_max
        self._followed: Counter[str | None] = Counter()
        """Conditions by locker."""
        self._sources: dict[_SourceKey, _Source] = {}
        self._raised: dict[Key, set[str]] = {}
        self._windows: OrderedDict[_SourceKey, Repetitions] = OrderedDict()
        self._busy: Counter[str | None] = Counter()
        self._timers: list[tuple[float, int, _SourceKey]] = []
        self._timer_number = 0

    def is_busy(self, locker: str) -> bool:
        """Say whether there is anything of a locker that may be cleared. An answer costs next to nothing."""
        return locker in self._busy

    @property
    def sources(self) -> int:
        """How many conditions are followed."""
        return len(self._sources)

    def restore(self, alarm: Alarm, now_ms: float) -> bool:
        """Take over an active alarm of the hub before. False: no rule raises it any more."""
        rule = self.rules.by_id.get(alarm.rule)
        spot = alarm.key[1]
        if rule is None or self.rules.at(alarm.type, rule.condition.slot, spot, alarm.site) is not rule:
            return False
        seen = Occurrence(
            key=alarm.key, rule=rule.id, severity=rule.severity, at=alarm.began_at, value=alarm.value,
            limit=alarm.limit, unit=alarm.unit, mark=alarm.mark,
        )  # fmt: skip
        name = (alarm.key, rule.condition.slot)
        if name not in self._sources:
            self._busies(name, rule)
            self._followed[spot.locker] += 1
        source = self._sources[name] = _Source(rule, seen, raised=True)
        self._raised.setdefault(alarm.key, set()).add(rule.condition.slot)
        self._stays(name, source, now_ms)
        return True

    def drop(self, key: Key) -> None:
        """Forget what raised an alarm: its place is gone."""
        for slot in self._raised.pop(key, set()):
            self._forget((key, slot))

    def occurred(self, where: Where, seen: Sighting, *, now: datetime, now_ms: float) -> None:
        """Take an event."""
        for alarm_type, slot in self.rules.raising.get(seen.kind, ()):
            spot = _spot(alarm_type, slot, where)
            if spot is not None:
                self._may_raise((alarm_type, spot), slot, where, seen, now=now, now_ms=now_ms)
        self.contradicted(where, seen, now_ms=now_ms)

    def contradicted(self, where: Where, seen: Sighting, *, now_ms: float) -> None:
        """Take a state that was found: it clears what an event of that kind would, and raises nothing."""
        if where.locker not in self._busy and None not in self._busy:
            return
        for alarm_type, slot in self.rules.clearing.get(seen.kind, ()):
            spot = _spot(alarm_type, slot, where)
            name = ((alarm_type, spot or _NOWHERE), slot)
            self._forget_window(name)
            source = self._sources.get(name)
            if source is not None and not _is_before(seen.mark, source.seen.mark):
                condition = source.rule.condition
                if isinstance(condition, Simple | Duration | Repeating) and seen.kind in condition.off:
                    self._gone(name, source, at=seen.at, mark=seen.mark, now_ms=now_ms)

    def _may_raise(
        self, key: Key, slot: str, where: Where, seen: Sighting, *, now: datetime, now_ms: float
    ) -> None:
        rule = self.rules.at(key[0], slot, key[1], where.site)
        if rule is None or not _counts_for(rule, seen):
            return
        value, limit, unit = seen.reading or (None, None, None)
        if isinstance(rule.condition, Repeating):
            count = self._counted((key, slot), rule.condition, where, seen.at)
            if count < rule.condition.count:
                return
            source = self._sources.get((key, slot))
            if source is not None and source.raised and not source.may_tell(now_ms):
                self._stays((key, slot), source, now_ms)
                return
            value, limit, unit = float(count), float(rule.condition.count), None
        found = Occurrence(
            key=key, rule=rule.id, severity=rule.severity, at=seen.at, value=value, limit=limit, unit=unit,
            mark=seen.mark,
        )  # fmt: skip
        # A word that comes once more is counted; that something goes on is not.
        repeats = not isinstance(rule.condition, Duration)
        self._holds((key, slot), rule, found, now=now, now_ms=now_ms, repeats=repeats)

    def measured(self, where: Where, of: str, value: float, *, now: datetime, now_ms: float) -> None:
        """Take a measure."""
        spot = Spot(where.tenant, None, where.locker)
        busy = where.locker in self._busy
        for alarm_type, slot in self.rules.measured.get(of, ()):
            rule = self.rules.at(alarm_type, slot, spot, where.site)
            if rule is None or not isinstance(rule.condition, Level):
                continue
            exceeded = rule.condition.exceeded(value)
            if not exceeded and not busy:
                continue
            name = ((alarm_type, spot), slot)
            source = self._sources.get(name)
            if exceeded:
                found = Occurrence(
                    key=name[0], rule=rule.id, severity=rule.severity, at=now, value=value,
                    limit=rule.condition.limit, unit=UNITS[of],
                )  # fmt: skip
                self._holds(name, rule, found, now=now, now_ms=now_ms, repeats=False)
            elif rule.condition.normal(value, rule.deadband):
                if source is not None:
                    self._gone(name, source, at=now, mark=None, now_ms=now_ms)
                self._unlatch(name[0], now_ms)
            elif source is not None and not source.raised:
                self._forget(name)
            elif source is not None and source.leaving:
                self._stays(name, source, now_ms)

    def silent(
        self, key: Key, site: str | None, *, at: datetime, value: float | None, now: datetime, now_ms: float,
        at_tick: bool = False,
    ) -> None:  # fmt: skip
        """Take that a locker, a site or the broker cannot be reached since `at`.

        `at_tick`: it is raised by the next tick at the earliest, so that the larger alarm comes first.
        """
        rule = self.rules.at(key[0], "no_data", key[1], site)
        if rule is not None:
            found = Occurrence(key=key, rule=rule.id, severity=rule.severity, at=at, value=value)
            self._holds((key, "no_data"), rule, found, now=now, now_ms=now_ms, repeats=False, at_tick=at_tick)

    def raises(self, key: Key) -> bool:
        """Say whether any condition raises an alarm now."""
        return key in self._raised

    def follows(self, key: Key) -> bool:
        """Say whether a silence is followed, or an alarm stands for it."""
        return (key, "no_data") in self._sources

    def withdraw(self, key: Key) -> bool:
        """Forget a silence that has not been raised yet. False: it has been, or there is none."""
        name = (key, "no_data")
        source = self._sources.get(name)
        if source is None or source.raised:
            return False
        self._forget(name)
        return True

    def postpone(self, until_ms: float) -> None:
        """Let no delay that runs come true before a time: what would have ended it could not be heard meanwhile."""
        for source in self._sources.values():
            if source.off_timer:
                source.off_due_ms = max(source.off_due_ms, until_ms)
        # Of equal times the number decides, so that what was due first comes first.
        self._timers = [(max(due_ms, until_ms), number, name) for due_ms, number, name in self._timers]
        heapq.heapify(self._timers)

    def heard(self, key: Key, *, now: datetime, now_ms: float) -> None:
        """Take that it can be reached again."""
        name = (key, "no_data")
        source = self._sources.get(name)
        if source is not None:
            self._gone(name, source, at=now, mark=None, now_ms=now_ms)

    def tick(self, now_ms: float) -> None:
        """Let delays that are over come true; of very many the rest with the next call, so that nothing waits."""
        left = TICK_MAX
        while left and self._timers and self._timers[0][0] <= now_ms:
            _, number, name = heapq.heappop(self._timers)
            source = self._sources.get(name)
            if source is None or number not in {source.on_timer, source.off_timer}:
                continue
            left -= 1
            if number == source.on_timer:
                self._fire(name, source, now_ms)
            elif source.off_due_ms > now_ms:
                source.off_timer = self._after(source.off_due_ms, name)
            else:
                self._end(name, None)

    def _counted(self, name: _SourceKey, condition: Repeating, where: Where, at: datetime) -> int:
        window = self._windows.get(name)
        if window is None:
            if len(self._windows) >= WINDOWS_MAX:
                self._forget_window(next(iter(self._windows)))
            window = self._windows[name] = Repetitions(clearable=bool(condition.off))
            if window.clearable:
                self._busy[name[0][1].locker] += 1
        else:
            self._windows.move_to_end(name)
        of = (where.locker, where.door) if condition.each == "door" else None
        return window.add(at.timestamp(), within_s=condition.within_s, count=condition.count, of=of)

    def _holds(
        self, name: _SourceKey, rule: AlarmRule, seen: Occurrence, *, now: datetime, now_ms: float, repeats: bool,
        at_tick: bool = False,
    ) -> None:  # fmt: skip
        source = self._sources.get(name)
        if source is None:
            locker = name[0][1].locker
            if (
                len(self._sources) >= self._sources_max
                # What is of no locker is of the hub's own making: sites.
                or (locker is not None and self._followed[locker] >= self._sources_per_locker_max)
            ):
                self.skipped += 1
                return
            self._followed[locker] += 1
            source = self._sources[name] = _Source(rule, seen)
            self._busies(name, rule)
            age_s = max(0.0, (now - seen.at).total_seconds())
            wait_s = rule.hold_s - age_s
            if wait_s > 0 or at_tick:
                source.on_timer = self._after(now_ms + max(0.0, wait_s) * 1000, name)
                return
            if rule.hold_s and seen.mark is not None:
                # A locker that comes late with it may tell with its next message that it was over in time.
                source.on_timer = self._after(now_ms + LATE_MS, name)
                return
            self._fire(name, source, now_ms)
        elif source.raised:
            source.seen = seen
            self._stays(name, source, now_ms)
            if repeats:
                self._raise(seen)

    def _fire(self, name: _SourceKey, source: _Source, now_ms: float) -> None:
        source.raised, source.on_timer = True, 0
        self._raised.setdefault(name[0], set()).add(name[1])
        self._stays(name, source, now_ms)
        self._raise(source.seen)

    def _gone(self, name: _SourceKey, source: _Source, *, at: datetime, mark: Mark | None, now_ms: float) -> None:
        rule = source.rule
        if not source.raised:
            if (at - source.seen.at).total_seconds() < rule.hold_s:
                self._forget(name)
                return
            # It did hold long enough; both its beginning and its end have come late.
            self._fire(name, source, now_ms)
        if not rule.off_delay_s:
            self._end(name, mark)
        elif not source.leaving:
            source.leaving = True
            self._ends_at(name, source, now_ms + rule.off_delay_s * 1000)

    def _unlatch(self, key: Key, now_ms: float) -> None:
        """End what an event has raised that no event clears: a reading that is normal does."""
        name = (key, "simple")
        source = self._sources.get(name)
        if source is not None and isinstance(source.rule.condition, Simple):
            condition = source.rule.condition
            if not condition.off and condition.quiet_s is None:
                self._gone(name, source, at=source.seen.at, mark=None, now_ms=now_ms)

    def _end(self, name: _SourceKey, mark: Mark | None) -> None:
        key, slot = name
        self._forget(name)
        self._forget_window(name)
        left = self._raised.get(key, set())
        left.discard(slot)
        if not left:
            self._raised.pop(key, None)
            self._clear(key, mark)

    def _forget(self, name: _SourceKey) -> None:
        source = self._sources.pop(name, None)
        if source is None:
            return
        locker = name[0][1].locker
        self._followed[locker] -= 1
        if not self._followed[locker]:
            del self._followed[locker]
        if not _ends_by_itself(source.rule):
            self._calm(name)

    def _forget_window(self, name: _SourceKey) -> None:
        window = self._windows.pop(name, None)
        if window is not None and window.clearable:
            self._calm(name)

    def _busies(self, name: _SourceKey, rule: AlarmRule) -> None:
        if not _ends_by_itself(rule):
            self._busy[name[0][1].locker] += 1

    def _calm(self, name: _SourceKey) -> None:
        locker = name[0][1].locker
        self._busy[locker] -= 1
        if not self._busy[locker]:
            del self._busy[locker]

    def _stays(self, name: _SourceKey, source: _Source, now_ms: float) -> None:
        """Let nothing clear it but what comes from now on: a word, or that nothing is heard for a time."""
        if source.leaving:
            source.leaving, source.off_timer = False, 0
        condition = source.rule.condition
        quiet_s = condition.quiet_s if isinstance(condition, Simple | Repeating | Level) else None
        if quiet_s is None and isinstance(condition, Repeating):
            quiet_s = condition.within_s
        if quiet_s is None:
            return
        if source.off_timer:
            # Of what is seen again and again there is one timer, and not one for each time.
            source.off_due_ms = now_ms + quiet_s * 1000
        else:
            self._ends_at(name, source, now_ms + quiet_s * 1000)

    def _ends_at(self, name: _SourceKey, source: _Source, due_ms: float) -> None:
        source.off_due_ms = due_ms
        source.off_timer = self._after(due_ms, name)

    def _after(self, due_ms: float, name: _SourceKey) -> int:
        self._timer_number += 1
        heapq.heappush(self._timers, (due_ms, self._timer_number, name))
        if len(self._timers) > _TIMERS_EACH * self._sources_max:
            self._timers = [timer for timer in self._timers if self._counts(*timer[1:])]
            heapq.heapify(self._timers)
        return self._timer_number

    def _counts(self, number: int, name: _SourceKey) -> bool:
        source = self._sources.get(name)
        # The newest one is not written down yet.
        return number == self._timer_number or (
            source is not None and number in {source.on_timer, source.off_timer}
        )


def _counts_for(rule: AlarmRule, seen: Sighting) -> bool:
    """Say whether an event raises by this rule; another one of its slot may have named the kind."""
    condition = rule.condition
    if isinstance(condition, Level | NoData) or seen.kind not in condition.on:
        return False
    if seen.of_job and rule.type == "mass_opening":
        return False
    if isinstance(condition, Simple) and condition.while_closed_s is not None:
        # Whoever had the door open may have put something in.
        return seen.closed_s is not None and seen.closed_s >= condition.while_closed_s
    return True


def _is_before(mark: Mark | None, other: Mark | None) -> bool:
    """Say whether one event came before another in their ledger: told once more, it ends nothing of later."""
    return mark is not None and other is not None and mark[0] == other[0] and mark[1] < other[1]


def _ends_by_itself(rule: AlarmRule) -> bool:
    """Say whether neither an event nor a measure ends it: only that it is not seen again."""
    return isinstance(rule.condition, Repeating) and not rule.condition.off


def _spot(alarm_type: str, slot: str, where: Where) -> Spot | None:
    """Return where an alarm of the type would be; None: the locker has no site."""
    if slot == _SITE_SLOT:
        return Spot(where.tenant, where.site) if where.site else None
    door = where.door if alarm_type in DOOR_TYPES else None
    return Spot(where.tenant, None, where.locker, door, where.sensor if alarm_type in SENSOR_TYPES else None)
