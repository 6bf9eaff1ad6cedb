"""What the hub sees, told to the alarms: events, ages, clocks, boards, readings, silence, gaps, forks.

An event that no rule looks at costs a look into a set. Nothing here waits, and no defect gets into events' way.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

from hub import clock
from hub.alarms.alarm_writer import AlarmWriter, since_closed
from hub.alarms.event_data import details_of, doors_seen
from hub.alarms.rules_file import read_rules
from hub.config.settings import AlarmSettings
from hub.core.alarms.alarm import Alarm, AlarmState, Severity, Suppression
from hub.core.alarms.places import AlarmPlace
from hub.core.alarms.reachability import LockerSighting, ReachabilityTracker
from hub.core.alarms.rules import LEDGER_EPOCHS, LEDGER_FORK, LEDGER_GAP
from hub.core.alarms.transitions import Transition
from hub.core.alarms.watch import AlarmWatch
from hub.core.fleet import DoorState, Fleet, LockerState
from hub.core.ledger import Key
from hub.errors import StoreError
from hub.metrics import Metrics
from hub.schemas.alarms import AlarmView, HealthView, alarm_view, health_view
from hub.store.alarms import AlarmStore
from hub.store.database import Database
from hub.tasks import Make
from wire.messages import Clock, Event, EventBatch, EventKind, Presence, TelemetryBatch, Up

_log = logging.getLogger(__name__)

_TICK_S: Final = 1.0
_FRESH_MS: Final = 60_000
"""A reading that is older than this when it comes says nothing of how it is now."""
_HEALTH_MS: Final = 1000
"""How long figures about the alarms hold while no alarm changes."""
_OVERLAP: Final = timedelta(minutes=1)
_FAILURES_LOGGED_EVERY_MS: Final = 60_000


class AlarmEngine:
    """The alarms of a running hub.

    Args:
        config: where the rules are, and the limits.
        hub: this process.
        store: the database.
        fleet: the lockers, which are marked with their alarms.
        metrics: where they are counted.
        listening: whether the hub hears lockers; while it does not, their silence is its own.
    """

    def __init__(
        self,
        config: AlarmSettings,
        hub: UUID,
        store: Database,
        fleet: Fleet,
        metrics: Metrics,
        *,
        listening: Callable[[], bool] = lambda: True,
    ) -> None:
        self.rules = read_rules(config.rules_file)
        self.watch = AlarmWatch(
            self.rules, uuid4, open_max=config.open_max, open_per_locker_max=config.open_per_locker_max
        )
        self.store = AlarmStore(store, hub)
        self.records = AlarmWriter(self.watch, self.store, metrics, self._show)
        self.kinds = frozenset({*self.rules.raising, *self.rules.clearing, EventKind.SNAPSHOT.value})
        """The kinds of events that are worth a call."""
        self._only_clear = self.rules.clearing.keys() - self.rules.raising.keys() - {EventKind.BOARD_ONLINE.value}
        self._config = config
        self._fleet = fleet
        self._metrics = metrics
        self._listening = listening
        self._of_job: Callable[[UUID], bool] = lambda _: False
        self._ever_stored: set[str] = set()
        """Lockers of which there is a ledger."""
        self._reach = ReachabilityTracker(self.watch, config.reconnect_s * 1000)
        self._failure_logged_ms = float("-inf")
        self._listeners: list[Callable[[Transition], None]] = []
        self._counted: dict[str, int] = {}
        self._views: dict[UUID, tuple[Alarm, AlarmView]] = {}
        """Made once for each state of an alarm."""
        self._health: tuple[int, float, HealthView] | None = None
        self.watch.listeners.append(self._tell)
        metrics.alarms_unwritten.set_function(lambda: self.records.in_flight)

    # Putting together.

    def listen(self, listener: Callable[[Transition], None]) -> None:
        """Tell this one of each transition from now on. It must not wait; what it raises is logged and counted."""
        self._listeners.append(listener)

    def jobs(self, has_asked: Callable[[UUID], bool]) -> None:
        """Give the way to know a job's commands: their openings are no mass opening."""
        self._of_job = has_asked

    def expect(self, lockers: Iterable[str]) -> None:
        """Miss these too if they are not heard: they were before this hub began."""
        self._ever_stored |= set(lockers)

    async def load(self) -> None:
        """Take over from the hub before, and look at what it stored and may not have judged. Raises StoreError."""
        now, now_ms = clock.wall(), clock.now_ms()
        upto = await self.store.judged()
        self.follow_registry()
        # Before the alarms: those at a place where somebody works are nobody's news.
        self.watch.plan(await self.store.windows(now), now)
        self.watch.health.load(await self.store.past(now))
        # What was about to be raised, or was being counted, began before that. What is judged again from here on is
        # known if it was raised already, also where that is over.
        back_to = min(upto, now) - timedelta(seconds=self.rules.back_s) - _OVERLAP
        closed_since = min(since_closed(now), back_to)
        self.watch.load(await self.store.load(closed_since), now=now, now_ms=now_ms)
        try:
            await self.records.look()
            stored = self.store.events_since(
                upto - _OVERLAP, self.kinds, earlier_since=back_to,
                earlier_kinds={*self.rules.timed, EventKind.SNAPSHOT.value},
            )  # fmt: skip
            async for row in stored:
                self._judge_stored(row, now, now_ms)
        except StoreError as error:
            # The alarms that are open are there all the same.
            _log.warning("Not all stored events were looked through for alarms", extra={"error": str(error)})
        self._show()

    def follow_registry(self) -> None:
        """Take over the registry as the fleet has it now."""
        disabled = self._fleet.disabled
        lockers = {name: one for name, one in self._fleet.lockers.items() if name not in disabled}
        places = {
            one.spec.id: AlarmPlace(
                one.spec.tenant, one.spec.site, one.spec.name,
                {door.number: door.in_service for door in one.spec.doors},
            )
            for one in lockers.values()
        }  # fmt: skip
        self._reach.follow(lockers)
        self.watch.follow(places, clock.wall())
        self.watch.touched.update(self._fleet.lockers)
        self._show()

    def tasks(self) -> dict[str, Make]:
        """Return the tasks that go round until they are cancelled."""
        return {"alarms.tick": self._run, "alarms.follow": partial(self.records.follow, self._config.follow_s)}

    # What is seen.

    def event(self, locker: str, batch: EventBatch, place: int, event: Event, at: datetime) -> None:
        """Take an event of one of `kinds`, after the fleet has taken it."""
        if event.kind in self._only_clear and not self.watch.detector.is_busy(locker):
            return
        now, now_ms = clock.wall(), clock.now_ms()
        data = event.data or {}
        mark = (batch.epoch, batch.first + place)
        if event.kind == EventKind.SNAPSHOT:
            self.watch.snapshot(locker, doors_seen(data), at, mark=mark, now=now, now_ms=now_ms)
        else:
            self.watch.event(
                locker, event.kind, at, now=now, now_ms=now_ms, door=event.door, mark=mark,
                closed_s=self._closed_s(locker, event, at) if event.kind == EventKind.OCCUPANCY_CHANGED else None,
                of_job=event.command is not None and self._of_job(event.command), details=details_of(data),
            )  # fmt: skip
        if self.watch.touched:
            self._show()

    def batch(self, locker: str, batch: EventBatch, occurred_ms: int, received_ms: int) -> None:
        """Take how old the newest event of a message is, and what its sender's clock is like."""
        watch, now, now_ms = self.watch, clock.wall(), clock.now_ms()
        watch.clock(locker, unset=batch.clock is Clock.UNSET, now=now, now_ms=now_ms)
        watch.event_age(locker, (received_ms - occurred_ms) / 1000, now=now, now_ms=now_ms)

    def gap(self, locker: str) -> None:
        """Take that a locker has lost events for good."""
        self._seen_here(locker, LEDGER_GAP)

    def epochs(self, locker: str) -> None:
        """Take that a locker has begun too many epochs."""
        self._seen_here(locker, LEDGER_EPOCHS)

    def fork(self, key: Key) -> None:
        """Take that two histories go under a locker's name."""
        self._seen_here(key[0], LEDGER_FORK)

    def presence(self, locker: str, presence: Presence) -> None:
        """Take what a session says of its boards and its clock."""
        if presence.online:
            complete = presence.boards_online >= presence.boards
            self.watch.boards(locker, complete=complete, now=clock.wall(), now_ms=clock.now_ms())
            self._clock(locker, presence)

    def telemetry(self, locker: str, message: TelemetryBatch, sampled_ms: int, received_ms: int) -> None:
        """Take the newest reading of a message, if it tells how it is now."""
        if received_ms - sampled_ms > _FRESH_MS:
            return
        self.watch.sample(locker, message.samples[-1], now=clock.wall(), now_ms=clock.now_ms())
        self._clock(locker, message)
        if self.watch.touched:
            self._show()

    # What is shown.

    def open_views(self, locker: str | None = None) -> list[AlarmView]:
        """Return the open alarms, of one locker or all, newest raised first; suppressed ones are among them."""
        return [self._viewed(one) for one in self.open_alarms(locker)]

    def open_alarms(self, locker: str | None = None) -> list[Alarm]:
        """Return the same as they are in the book."""
        book = self.watch.book
        found = (
            book.alarms.values() if locker is None else [book.alarms[one] for one in book.of_locker.get(locker, ())]
        )
        return sorted(found, key=lambda one: (one.raised_at, one.id), reverse=True)

    def view(self, alarm_id: UUID) -> AlarmView | None:
        """Return one open alarm; None if it is not open."""
        alarm = self.watch.book.alarms.get(alarm_id)
        return None if alarm is None else self._viewed(alarm)

    def _viewed(self, alarm: Alarm) -> AlarmView:
        known = self._views.get(alarm.id)
        if known is None or known[0] is not alarm:
            if len(self._views) > 2 * len(self.watch.book.alarms):
                # Those of alarms that are open no more.
                self._views.clear()
            known = self._views[alarm.id] = (alarm, alarm_view(alarm))
        return known[1]

    def take_changes(self) -> tuple[set[UUID], set[UUID]]:
        """Return the ids of open alarms that have changed, and of those that are open no more, since the last call.

        There is one caller: what it has taken is not told again.
        """
        return self.watch.book.take_changes()

    def health_view(self) -> HealthView:
        """Return how the alarms themselves are."""
        known, revision, now_ms = self._health, self.watch.book.revision, clock.now_ms()
        if known is None or known[0] != revision or now_ms - known[1] > _HEALTH_MS:
            view = health_view(self.watch.health, list(self.watch.book.alarms.values()), clock.wall())
            known = self._health = (revision, now_ms, view)
        return known[2]

    # The rounds.

    async def _run(self) -> None:
        while True:
            self.turn()
            await asyncio.sleep(_TICK_S)

    def turn(self) -> None:
        """Look who can be reached, let delays come true, and show what came of it."""
        self._reach.turn(
            (
                LockerSighting(
                    name, locker.reachable, locker.state is LockerState.OFFLINE or name in self._ever_stored,
                    locker.since or locker.over_at,
                )
                for name, locker in self._fleet.lockers.items()
                if locker.spec.disabled is None
            ),
            listening=self._listening(), now=clock.wall(), now_ms=clock.now_ms(),
        )  # fmt: skip
        self._show()
        self._count()

    def _judge_stored(self, row: dict[str, Any], now: datetime, now_ms: float) -> None:
        """Take an event that the hub before has stored."""
        locker, at, data, mark = row["locker"], row["at"], row["data"] or {}, (row["epoch"], row["seq"])
        if row["kind"] == EventKind.SNAPSHOT:
            self.watch.snapshot(locker, doors_seen(data), at, mark=mark, now=now, now_ms=now_ms)
        else:
            self.watch.event(
                locker, row["kind"], at, now=now, now_ms=now_ms, door=row["door"], mark=mark, of_job=row["of_job"],
                details=details_of(data),
            )  # fmt: skip

    def _clock(self, locker: str, message: Up) -> None:
        unset = message.clock is Clock.UNSET
        self.watch.clock(locker, unset=unset, now=clock.wall(), now_ms=clock.now_ms())

    def _seen_here(self, locker: str, kind: str) -> None:
        now = clock.wall()
        self.watch.event(locker, kind, now, now=now, now_ms=clock.now_ms())
        self._show()

    def _closed_s(self, locker: str, event: Event, at: datetime) -> float | None:
        door = self._fleet.lockers[locker].doors.get(event.door or 0)
        if door is None or door.seen is not DoorState.CLOSED or door.since is None:
            return None
        return (at - door.since).total_seconds()

    def _show(self) -> None:
        """Mark the lockers whose alarms have changed, and have what is new written."""
        touched, self.watch.touched = self.watch.touched, set()
        for locker in touched:
            counts = self.watch.book.counts(locker)
            self._fleet.mark(
                locker,
                alarms=(
                    counts[Severity.CRITICAL], counts[Severity.HIGH], counts[Severity.MEDIUM], counts[Severity.LOW],
                ),
                maintenance=self.watch.in_maintenance(locker),
            )  # fmt: skip
        self.records.wake()

    def _tell(self, transition: Transition) -> None:
        if transition.what == "raised" and transition.alarm.suppressed is None:
            self._metrics.alarms_raised.labels(transition.alarm.type).inc()
        for listener in self._listeners:
            try:
                listener(transition)
            except Exception:  # noqa: BLE001 - decided: a listener's defect must not stop events; it is told
                self._metrics.alarms_dropped.labels("listener").inc()
                if clock.now_ms() - self._failure_logged_ms > _FAILURES_LOGGED_EVERY_MS:
                    self._failure_logged_ms = clock.now_ms()
                    _log.exception("A listener to alarms failed")

    def _count(self) -> None:
        metrics, book, health = self._metrics, self.watch.book, self.watch.health
        by_state: dict[tuple[Severity, AlarmState], int] = {
            (severity, state): 0 for severity in Severity for state in AlarmState if state is not AlarmState.NORMAL
        }
        by_reason = dict.fromkeys(Suppression, 0)
        for alarm in book.alarms.values():
            if alarm.suppressed is None:
                by_state[alarm.severity, alarm.state] += 1
            else:
                by_reason[alarm.suppressed] += 1
        for (severity, state), count in by_state.items():
            metrics.alarms.labels(severity.value, state.value).set(count)
        for reason, count in by_reason.items():
            metrics.alarms_suppressed.labels(reason.value).set(count)
        metrics.alarm_rate.set(health.rate(clock.wall()))
        metrics.alarm_flood.set(health.flood_since is not None)
        given_up = {
            "alarm": book.refused, "locker_alarm": book.over_share, "record": book.dropped,
            "locker_record": book.unwritten.over_share,
            "condition": self.watch.detector.skipped, "door": self.watch.doors_unknown,
            "board": self.watch.boards_unknown,
        }  # fmt: skip
        for what, total in given_up.items():
            metrics.alarms_dropped.labels(what).inc(total - self._counted.get(what, 0))
            self._counted[what] = total
