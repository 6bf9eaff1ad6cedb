"""Alarms with a clock of the test's own."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from uuid import UUID

from hub.core.alarms.alarm import Alarm
from hub.core.alarms.places import AlarmPlace
from hub.core.alarms.rules import AlarmRules, parse_rules
from hub.core.alarms.sightings import Details, Reading
from hub.core.alarms.transitions import Transition
from hub.core.alarms.watch import AlarmWatch
from wire.messages import Sample

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
DEFAULT = Path(__file__).parents[4] / "hub" / "core" / "alarms" / "rules.toml"
EPOCH = UUID(int=7)
BERLIN, PARIS = "berlin-01", "paris-02"
PLACES = {
    BERLIN: AlarmPlace("default", "Berlin", "Lobby", {1: True, 2: True, 3: True}),
    PARIS: AlarmPlace("default", "Paris", PARIS, {1: True}),
}


def cabinet(doors: int) -> AlarmPlace:
    """A locker in Berlin with so many doors."""
    return AlarmPlace("default", "Berlin", "Lobby", dict.fromkeys(range(1, doors + 1), True))


@cache
def _rules(text: bytes) -> AlarmRules:
    """Read once: it costs more than the rest of a scene."""
    return parse_rules(text)


class Scene:
    """A watch, what it told, and the time."""

    def __init__(
        self, rules: str | None = None, *, places: dict[str, AlarmPlace] | None = None, open_max: int = 1000,
        open_per_locker_max: int | None = None,
    ) -> None:  # fmt: skip
        self.told: list[tuple[str, str]] = []
        self.transitions: list[Transition] = []
        self.ids = count(1)
        text = DEFAULT.read_bytes() if rules is None else f'version = "1"\n{rules}'.encode()
        self.watch = AlarmWatch(
            _rules(text), self._new_id, open_max=open_max, open_per_locker_max=open_per_locker_max
        )
        self.watch.listeners.append(self._hear)
        self.now = NOON
        self.now_ms = 0.0
        self.seq = 0
        self.watch.follow(PLACES if places is None else places, self.now)

    def _new_id(self) -> UUID:
        return UUID(int=next(self.ids))

    def _hear(self, transition: Transition) -> None:
        self.transitions.append(transition)
        self.told.append((transition.what, transition.alarm.type))

    def later(self, seconds: float, *, tick: bool = True) -> None:
        self.now += timedelta(seconds=seconds)
        self.now_ms += seconds * 1000
        if tick:
            self.watch.tick(now=self.now, now_ms=self.now_ms)

    def event(
        self, kind: str, door: int | None = None, *, locker: str = BERLIN, ago: float = 0, seq: int | None = None,
        closed_s: float | None = None, of_job: bool = False, board: str | None = None,
        reading: Reading | None = None, sensor: str | None = None,
    ) -> None:  # fmt: skip
        self.seq += 1
        self.watch.event(
            locker, kind, self.now - timedelta(seconds=ago), now=self.now, now_ms=self.now_ms, door=door,
            mark=(EPOCH, self.seq if seq is None else seq), closed_s=closed_s, of_job=of_job,
            details=Details(board or "", reading=reading, sensor=sensor),
        )  # fmt: skip

    def sample(self, locker: str = BERLIN, **values: float) -> None:
        self.watch.sample(locker, Sample(t=1, **values), now=self.now, now_ms=self.now_ms)  # type: ignore[arg-type]

    def reach(self, locker: str, *, online: bool) -> None:
        self.watch.reachable(locker, online=online, since=self.now, now=self.now, now_ms=self.now_ms)

    def age(self, seconds: float, locker: str = BERLIN) -> None:
        self.watch.event_age(locker, seconds, now=self.now, now_ms=self.now_ms)

    def clock(self, *, unset: bool, locker: str = BERLIN) -> None:
        self.watch.clock(locker, unset=unset, now=self.now, now_ms=self.now_ms)

    def boards(self, *, complete: bool, locker: str = BERLIN) -> None:
        self.watch.boards(locker, complete=complete, now=self.now, now_ms=self.now_ms)

    def open(self, kind: str | None = None) -> list[Alarm]:
        return [one for one in self.watch.book.alarms.values() if kind in {None, one.type}]

    def one(self, kind: str) -> Alarm:
        (alarm,) = self.open(kind)
        return alarm

    def states(self) -> dict[str, str]:
        """The state of every open alarm by type."""
        return {one.type: one.state.value for one in self.open()}
