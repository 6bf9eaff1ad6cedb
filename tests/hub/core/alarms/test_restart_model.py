"""Restarts at any point: what is announced is the same as without them."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hub.core.alarms.alarm import Alarm, acknowledged, put_away, taken_back
from hub.core.alarms.maintenance import Window
from tests.hub.core.alarms.pages import shelf
from tests.hub.core.alarms.scene import BERLIN, EPOCH, PLACES, Scene

KINDS = {
    "door.forced": 1, "door.closed": 1, "door.opened": 1, "door.open_not_detected": 1, "door.jammed": 1,
    "tamper.on": None, "power.lost": None, "power.restored": None,
}  # fmt: skip
SETTLE_S = 3
"""Longer than what is told late waits for its end."""
Said = tuple[str, str, int | None]


@dataclass(frozen=True)
class Row:
    """A stored event."""

    kind: str
    door: int | None
    at: datetime
    seq: int


class Restarts(RuleBasedStateMachine):
    """One hub that runs on, and one that is started anew now and then, see the same."""

    @initialize()
    def begin(self) -> None:
        self.steady, self.other = Scene(), Scene()
        self.closed: dict[UUID, Alarm] = {}
        self.events: list[Row] = []
        self.windows: list[Window] = []
        self.places = dict(PLACES)
        self.ids = count(1)

    @property
    def both(self) -> tuple[Scene, Scene]:
        return self.steady, self.other

    @rule(kind=st.sampled_from(["door.open_not_detected", *KINDS]))
    def event(self, kind: str) -> None:
        row = Row(kind, KINDS[kind], self.steady.now, len(self.events) + 1)
        self.events.append(row)
        for scene in self.both:
            scene.event(row.kind, row.door, seq=row.seq)

    @rule(seconds=st.sampled_from([1, 11, 70, 200]))
    def time(self, seconds: int) -> None:
        for scene in self.both:
            scene.later(seconds)

    @rule(doors=st.dictionaries(st.sampled_from([1, 2]), st.booleans(), min_size=1))
    def snapshot(self, doors: dict[int, bool]) -> None:
        for scene in self.both:
            scene.watch.snapshot(BERLIN, doors, scene.now, now=scene.now, now_ms=scene.now_ms)
        # Stored as what it ends; an event that raises nothing and counts nothing says the same.
        self.events.append(Row(f"snapshot:{doors}", None, self.steady.now, len(self.events) + 1))

    @rule(minutes=st.sampled_from([1, 10]))
    def maintain(self, minutes: int) -> None:
        now = self.steady.now
        window = Window(
            id=UUID(int=next(self.ids)), site=None, locker=BERLIN, door=None, starts_at=now,
            ends_at=now + timedelta(minutes=minutes), why="cables", by="anna",
        )  # fmt: skip
        self.windows.append(window)
        for scene in self.both:
            scene.watch.plan(self.windows, scene.now)

    @rule(in_service=st.booleans())
    def serve(self, in_service: bool) -> None:  # noqa: FBT001 - hypothesis gives it
        self.places[BERLIN] = replace(PLACES[BERLIN], doors={1: in_service, 2: True, 3: True})
        for scene in self.both:
            scene.watch.follow(self.places, scene.now)

    @rule(kind=st.sampled_from(["door.forced", "tamper", "door.jammed", "power.lost"]),
          act=st.sampled_from(["ack", "shelve", "unshelve"]))  # fmt: skip
    def act(self, kind: str, act: str) -> None:
        for scene in self.both:
            for alarm in scene.open(kind):
                if act == "ack":
                    then, what = acknowledged(alarm, "anna", None, scene.now), "acked"
                elif act == "shelve":
                    then, what = put_away(alarm, shelf(scene.now, 5)), "shelved"
                else:
                    then, what = taken_back(alarm), "unshelved"
                if isinstance(then, Alarm):
                    scene.watch.acted(then, what, scene.now)  # type: ignore[arg-type] # one of its words

    @rule()
    def restart(self) -> None:
        before = self.other
        waiting = [one.alarm for one in before.watch.book.unwritten.values()]
        self.closed |= {alarm.id: alarm for alarm in waiting if not alarm.open}
        rows = [replace(one, version=1, chattering=False) for one in before.watch.book.alarms.values()]
        new = Scene(places=self.places)
        new.now, new.now_ms, new.seq = before.now, before.now_ms, before.seq
        new.told, new.transitions, new.ids = before.told, before.transitions, before.ids
        new.watch.plan(self.windows, new.now)
        new.watch.load([*self.closed.values(), *rows], now=new.now, now_ms=new.now_ms)
        since = new.now - timedelta(seconds=60)
        back = since - timedelta(seconds=new.watch.rules.back_s)
        for row in self.events:
            timed = row.kind in new.watch.rules.timed or row.kind.startswith("snapshot:")
            if row.at <= (back if timed else since):
                continue
            if row.kind.startswith("snapshot:"):
                doors = {int(door): is_open == "True" for door, is_open in _pairs(row.kind)}
                new.watch.snapshot(BERLIN, doors, row.at, now=new.now, now_ms=new.now_ms, mark=(EPOCH, row.seq))
            else:
                new.watch.event(
                    BERLIN, row.kind, row.at, now=new.now, now_ms=new.now_ms, door=row.door, mark=(EPOCH, row.seq)
                )
        self.other = new

    @invariant()
    def the_same_is_announced(self) -> None:
        if not hasattr(self, "steady"):
            return
        for scene in self.both:
            scene.later(SETTLE_S)
        steady, other = (_said(scene) for scene in self.both)
        assert Counter(other) == Counter(steady)
        assert _standing(self.other) == _standing(self.steady)


def _pairs(kind: str) -> list[tuple[str, str]]:
    inner = kind.removeprefix("snapshot:").strip("{}")
    return [(door, is_open) for door, is_open in (part.split(": ") for part in inner.split(", "))]


def _said(scene: Scene) -> list[Said]:
    """What people hear of."""
    return [
        (one.what, one.alarm.type, one.alarm.door)
        for one in scene.transitions
        if one.what in {"raised", "cleared", "acked"} and one.alarm.suppressed is None
    ]


def _standing(scene: Scene) -> dict[Said, str | None]:
    return {(one.state, one.type, one.door): one.suppressed for one in scene.open()}


TestRestarts = Restarts.TestCase
TestRestarts.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
