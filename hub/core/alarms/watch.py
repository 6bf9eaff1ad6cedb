"""The whole of the alarms without their surroundings: what is seen goes in, alarms come out.

It knows the registry as far as alarms need it (where lockers are, which doors are in service), turns what is seen
into events and measures for the detector, and what the detector says into alarms of the book: suppressed where
somebody works, folded where a larger alarm says it already.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from hub.core.alarms.alarm import Alarm, Key, Mark, Occurrence, Spot, Suppression
from hub.core.alarms.alarm_book import AlarmBook
from hub.core.alarms.detect import Detector
from hub.core.alarms.health import AlarmFlood, Source
from hub.core.alarms.maintenance import Window, Windows
from hub.core.alarms.places import AlarmPlace, where_text
from hub.core.alarms.rules import (
    BOARDS_COMPLETE,
    BOARDS_MISSING,
    CLOCK_SET,
    CLOCK_UNSET,
    EVENT_AGE,
    SAMPLED,
    AlarmRules,
    Level,
)
from hub.core.alarms.sightings import NO_DETAILS, Details, Sighting, Where
from hub.core.alarms.sites import LOCKER_OFFLINE, SITE_OFFLINE, Sites
from hub.core.alarms.texts import SENSORS
from hub.core.alarms.transitions import Transition, What
from wire.messages import EventKind, Sample

DEFAULT_TENANT: Final = "default"
BROKER_OFFLINE: Final = "broker.offline"
_BROKER: Final[Key] = (BROKER_OFFLINE, Spot(DEFAULT_TENANT))
"""Of this hub's own link to the broker: of no site, and of the whole fleet."""
_SOURCES_EACH: Final = 4
"""Conditions that are followed, for each alarm that may be open."""
BOARDS_PER_LOCKER_MAX: Final = 64


class AlarmWatch:
    """All of it. Times: `now` is the wall clock, `now_ms` the monotonic one, for delays.

    Args:
        rules: what raises and clears.
        new_id: makes ids.
        open_max: the most alarms that are open at once; at the limit no further one is opened, and that is counted.
        open_per_locker_max: the same of one locker.
    """

    def __init__(
        self,
        rules: AlarmRules,
        new_id: Callable[[], UUID],
        *,
        open_max: int,
        open_per_locker_max: int | None = None,
    ) -> None:
        of_locker_max = min(open_max, open_per_locker_max or open_max)
        self.book = AlarmBook(new_id, self._tell, open_max=open_max, open_per_locker_max=of_locker_max)
        self.detector = Detector(
            rules, self._raise, self._clear,
            sources_max=_SOURCES_EACH * open_max, sources_per_locker_max=_SOURCES_EACH * of_locker_max,
        )  # fmt: skip
        self.doors_unknown = 0
        """Events of doors that the registry does not have."""
        self.boards_unknown = 0
        """Boards whose silence is not followed, for their locker has named too many."""
        self.health = AlarmFlood()
        self.rules = rules
        self.listeners: list[Callable[[Transition], None]] = []
        self.places: dict[str, AlarmPlace] = {}
        self.sites = Sites(rules, self.detector, self.book)
        self._windows = Windows()
        self._boards: dict[str, dict[str, frozenset[int]]] = {}
        """By locker: its boards that do not answer, with their doors; empty where only its presence says so."""
        self._clockless: set[str] = set()
        self._aged: set[str] = set()
        self._measures = tuple(of for of in SAMPLED if of in rules.measured)
        levels = [
            (rule.condition.limit, rule.condition.limit - rule.deadband)
            for rule in rules.every
            if isinstance(rule.condition, Level) and rule.condition.of == EVENT_AGE
        ]
        self._old_s = min((limit for limit, _ in levels), default=float("inf"))
        self._young_s = min((normal for _, normal in levels), default=float("inf"))
        self._now = datetime.max.replace(tzinfo=UTC)
        self._now_ms = 0.0
        self.touched: set[str] = set()
        """Lockers whose alarms or maintenance are others than before; for whoever shows them, who empties it."""

    # The surroundings.

    def load(self, alarms: Iterable[Alarm], *, now: datetime, now_ms: float) -> None:
        """Take over the alarms of the hub before. Those that no rule raises any more are cleared."""
        self._now = now
        self.book.load(alarms)
        self._relocate()
        for alarm in list(self.book.alarms.values()):
            if alarm.locker is not None:
                self.touched.add(alarm.locker)
                self._remember(alarm.type, alarm.locker)
            if alarm.active and not self.detector.restore(alarm, now_ms):
                self.book.cleared(alarm.key, now, note="no rule raises it any more")
            else:
                self.sites.restore(alarm)
        for alarm in list(self.book.alarms.values()):
            if alarm.type == SITE_OFFLINE:
                self.sites.count(alarm.id)
        self._refresh(now)

    def follow(self, places: Mapping[str, AlarmPlace], now: datetime) -> None:
        """Follow the registry. Alarms of what is no longer there are cleared, with a note."""
        self._now = now
        before, self.places = self.places, dict(places)
        self.sites.follow((place.tenant, place.site) for place in self.places.values())
        moved = False
        for locker, place in before.items():
            new = self.places.get(locker)
            if new is None or (new.tenant, new.site) != (place.tenant, place.site):
                since = self.sites.outages.back((place.tenant, place.site), locker)
                if new is not None and since is not None and new.tenant == place.tenant:
                    self.sites.outages.lost((new.tenant, new.site), locker, since)
                    moved = True
        self._relocate()
        if moved:
            # The outage of the site that they are of now goes before the end of the old one.
            self.sites.judge(now, self._now_ms)
        for alarm in list(self.book.alarms.values()):
            if alarm.active and not self._is_there(alarm):
                self.detector.drop(alarm.key)
                self._end(alarm, None, note="it is no longer in the registry, or disabled")
        self._refresh(now)

    def plan(self, windows: Iterable[Window], now: datetime) -> None:
        """Take over the maintenance windows as they stand."""
        self._now = now
        self._windows.load(windows)
        self._see_windows(now)

    def in_maintenance(self, locker: str) -> bool:
        """Say whether somebody works at all of a locker."""
        place = self.places.get(locker)
        return place is not None and self._windows.cover(place.site, locker, None)

    # What is seen.

    def interests(self, kind: str) -> bool:
        """Say whether any rule looks at events of a kind."""
        return kind in self.detector.rules.raising or kind in self.detector.rules.clearing

    def event(
        self,
        locker: str,
        kind: str,
        at: datetime,
        *,
        now: datetime,
        now_ms: float,
        door: int | None = None,
        mark: Mark | None = None,
        closed_s: float | None = None,
        of_job: bool = False,
        details: Details = NO_DETAILS,
    ) -> None:
        """Take an event of a locker.

        Args:
            locker: whose.
            kind: which.
            at: when it happened.
            now: the time.
            now_ms: the time.
            door: at which door. One that the registry does not have is counted, and stands for the locker.
            mark: its place in the ledger.
            closed_s: for how long the door had been closed, where that is known.
            of_job: whether a job has asked for it.
            details: what its data says.
        """
        place = self.places.get(locker)
        if place is None:
            return
        self._now = now
        if door is not None and door not in place.doors and place.doors:
            # People are told all the same, once for each type: the registry may be what is wrong.
            self.doors_unknown += 1
            door = None
        if kind == EventKind.BOARD_OFFLINE:
            missing = self._boards.setdefault(locker, {})
            if len(missing) < BOARDS_PER_LOCKER_MAX or details.board in missing:
                missing[details.board] = details.doors
            else:
                self.boards_unknown += 1
        elif kind == EventKind.BOARD_ONLINE:
            if self._boards.get(locker) == {}:
                # Which ones are away is not known: its presence says when all are there.
                return
            missing = self._boards.get(locker, {})
            missing.pop(details.board, None)
            if missing:
                # Another one is still away.
                return
            self._boards.pop(locker, None)
        where = Where(place.tenant, place.site, locker, door, details.sensor)
        seen = Sighting(kind, at, mark, closed_s, of_job, details.reading)
        self.detector.occurred(where, seen, now=now, now_ms=now_ms)
        if kind == EventKind.SENSOR_OK:
            # An alarm that does not say which sensor it is of ends with any; a word that does not, ends each.
            others: tuple[str | None, ...] = (None,) if details.sensor else SENSORS
            for sensor in others:
                self.detector.contradicted(replace(where, sensor=sensor), seen, now_ms=now_ms)

    def snapshot(
        self, locker: str, doors: Mapping[int, bool], at: datetime, *, now: datetime, now_ms: float,
        mark: Mark | None = None,
    ) -> None:  # fmt: skip
        """Take that doors are open (true) or closed, which nobody saw them become.

        What an opening or a closing clears is cleared, alarms and what was about to be one; nothing is raised.
        A board of which a door is seen does answer.
        """
        place = self.places.get(locker)
        if place is None or not self.detector.is_busy(locker):
            return
        self._now = now
        for door, is_open in doors.items():
            kind = EventKind.DOOR_OPENED if is_open else EventKind.DOOR_CLOSED
            where = Where(place.tenant, place.site, locker, door)
            self.detector.contradicted(where, Sighting(kind.value, at, mark), now_ms=now_ms)
        for board, its_doors in list(self._boards.get(locker, {}).items()):
            if not its_doors.isdisjoint(doors):
                self.event(
                    locker, EventKind.BOARD_ONLINE, at, mark=mark, now=now, now_ms=now_ms, details=Details(board)
                )

    def boards(self, locker: str, *, complete: bool, now: datetime, now_ms: float) -> None:
        """Take what a locker says of all of its boards."""
        if complete == (locker not in self._boards):
            return
        if complete:
            del self._boards[locker]
        else:
            self._boards[locker] = {}
        self.event(locker, BOARDS_COMPLETE if complete else BOARDS_MISSING, now, now=now, now_ms=now_ms)

    def clock(self, locker: str, *, unset: bool, now: datetime, now_ms: float) -> None:
        """Take whether a locker knows what time it is. Costs nothing where that is as before."""
        if unset != (locker in self._clockless):
            (self._clockless.add if unset else self._clockless.discard)(locker)
            self.event(locker, CLOCK_UNSET if unset else CLOCK_SET, now, now=now, now_ms=now_ms)

    def event_age(self, locker: str, age_s: float, *, now: datetime, now_ms: float) -> None:
        """Take how old events were when they came. Costs nothing where they were fresh and are fresh."""
        if age_s <= self._old_s and locker not in self._aged:
            return
        place = self.places.get(locker)
        if place is None:
            return
        self._now = now
        if age_s > self._young_s:
            self._aged.add(locker)
        else:
            self._aged.discard(locker)
        where = Where(place.tenant, place.site, locker)
        self.detector.measured(where, EVENT_AGE, age_s, now=now, now_ms=now_ms)

    def sample(self, locker: str, sample: Sample, *, now: datetime, now_ms: float) -> None:
        """Take a reading that tells how it is now."""
        place = self.places.get(locker)
        if place is None:
            return
        self._now = now
        where = Where(place.tenant, place.site, locker)
        for of in self._measures:
            value = getattr(sample, of)
            if value is not None:
                self.detector.measured(where, of, value, now=now, now_ms=now_ms)

    def reachable(self, locker: str, *, online: bool, since: datetime, now: datetime, now_ms: float) -> None:
        """Take that a locker can be reached, or cannot since a time."""
        place = self.places.get(locker)
        if place is None:
            return
        self._now = now
        key = (LOCKER_OFFLINE, Spot(place.tenant, None, locker))
        site = (place.tenant, place.site)
        if online:
            self.sites.outages.back(site, locker)
            self.detector.heard(key, now=now, now_ms=now_ms)
        else:
            self.sites.outages.lost(site, locker, since)
            # With the next tick, which looks at its site first: what is folded into one alarm is not told singly.
            self.detector.silent(key, place.site, at=since, value=None, now=now, now_ms=now_ms, at_tick=True)

    def unsure(self, locker: str) -> bool:
        """Take that nobody can say whether a locker is there. False: that it is not has been raised already."""
        place = self.places.get(locker)
        if place is None:
            return True
        key = (LOCKER_OFFLINE, Spot(place.tenant, None, locker))
        if self.detector.raises(key):
            return False
        self.detector.withdraw(key)
        self.sites.outages.back((place.tenant, place.site), locker)
        return True

    def broker(self, *, away_since: datetime | None, now: datetime, now_ms: float) -> None:
        """Take since when this hub does not reach its broker; None: it does. Call it with every turn."""
        self._now = now
        rule = self.rules.at(BROKER_OFFLINE, "no_data", _BROKER[1], None)
        if away_since is None:
            self.detector.heard(_BROKER, now=now, now_ms=now_ms)
        elif (
            rule is not None
            and not self.detector.follows(_BROKER)
            and (now - away_since).total_seconds() >= rule.hold_s
        ):
            self.detector.silent(_BROKER, None, at=away_since, value=None, now=now, now_ms=now_ms)

    def tick(self, *, now: datetime, now_ms: float, deaf: bool = False) -> None:
        """Let time pass. Call it once a second or so. `deaf`: no lockers are heard, so no delay of theirs runs."""
        self._now, self._now_ms = now, now_ms
        if not deaf:
            # A site first: what is folded into its alarm is then told once.
            self.sites.judge(now, now_ms)
            self.detector.tick(now_ms)
        self._see_windows(now)
        self.book.tick(now)
        self.health.tick(now)

    # What operators and other hubs did.

    def acted(self, theirs: Alarm, what: What, now: datetime) -> None:
        """Take over an operator's act from its row."""
        self._now = now
        self.book.acted(theirs, what, now)
        self._after(theirs)

    def adopt(self, theirs: Alarm, now: datetime, now_ms: float) -> None:
        """Take over a row that another hub, or a command line, has written."""
        self._now = now
        self.book.adopt(theirs)
        known = self.book.alarms.get(theirs.id)
        if known is not None and known.active and not self.detector.raises(known.key):
            # The other hub saw it first; whoever sees its end clears it.
            self.detector.restore(known, now_ms)
        self._after(theirs)

    def _after(self, alarm: Alarm) -> None:
        if alarm.locker is not None:
            self.touched.add(alarm.locker)

    # From the detector to the book.

    def _raise(self, seen: Occurrence) -> None:
        _, spot = seen.key
        place = None if spot.locker is None else self.places.get(spot.locker)
        if spot.locker is not None and place is None:
            self.detector.drop(seen.key)
            return
        site = spot.site if place is None else place.site or None
        parent = self.sites.parent(seen.key, site)
        alarm = self.book.raised(
            seen, site=site, where=where_text(spot, place), now=self._now,
            context=self._context(site, spot.locker, spot.door), parent=None if parent is None else parent.id,
        )  # fmt: skip
        if alarm is None:
            return
        if parent is not None:
            self.sites.count(parent.id)
        else:
            self.sites.fold(alarm, self._now)

    def _clear(self, key: Key, mark: Mark | None) -> None:
        known = self.book.find(key)
        if known is not None:
            self._end(known, mark)

    def _end(self, known: Alarm, mark: Mark | None, note: str | None = None) -> None:
        self.book.cleared(known.key, self._now, mark, note)
        if known.type == SITE_OFFLINE:
            self.sites.unfold(known, self._now)
        elif known.parent is not None:
            self.sites.count(known.parent)

    # Suppression by place.

    def _context(self, site: str | None, locker: str | None, door: int | None) -> Suppression | None:
        if self._windows.cover(site, locker, door):
            return Suppression.MAINTENANCE
        place = self.places.get(locker or "")
        if place is not None and door is not None and not place.doors.get(door, True):
            return Suppression.OUT_OF_SERVICE
        return None

    def _see_windows(self, now: datetime) -> None:
        if self._windows.tick(now):
            self._refresh(now)
            self.touched.update(self.places)

    def _refresh(self, now: datetime) -> None:
        for alarm in list(self.book.alarms.values()):
            self.book.set_context(alarm.id, self._context(alarm.site, alarm.locker, alarm.door), now)
            self._after(alarm)

    def _relocate(self) -> None:
        """Let alarms follow what their lockers are called, and where those are now."""
        for alarm in list(self.book.alarms.values()):
            place = self.places.get(alarm.locker or "")
            if place is not None:
                self.book.relocate(alarm.id, site=place.site or None, where=where_text(alarm.key[1], place))

    def _is_there(self, alarm: Alarm) -> bool:
        if alarm.type == BROKER_OFFLINE:
            return True
        if alarm.locker is None:
            return self.sites.knows((alarm.tenant, alarm.site or ""))
        place = self.places.get(alarm.locker)
        return (
            place is not None
            and place.tenant == alarm.tenant
            and (alarm.door is None or not place.doors or alarm.door in place.doors)
        )

    def _remember(self, alarm_type: str, locker: str) -> None:
        """Know again what an open alarm says of its locker."""
        if alarm_type == "clock.unset":
            self._clockless.add(locker)
        elif alarm_type == "board.offline":
            self._boards.setdefault(locker, {})
        elif alarm_type == "outbox.age":
            self._aged.add(locker)

    def _tell(self, transition: Transition) -> None:
        alarm = transition.alarm
        self._after(alarm)
        if transition.what == "raised" and alarm.suppressed is None:
            self.health.raised(transition.at, alarm.severity, Source(alarm.type, alarm.locker, alarm.door))
        for listener in self.listeners:
            listener(transition)
