"""The fleet against a plain model; and whatever looks different afterwards is among the changes."""

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hub.core.fleet import Door, DoorSpec, DoorState, Fleet, FleetChanges, Locker, LockerSpec, LockerState
from wire.messages import Clock, Event, EventKind, Presence

START = datetime(2026, 11, 20, tzinfo=UTC)
SILENT_MS = 1000
LOCKERS = ("berlin-01", "paris-02")
ids = st.sampled_from(LOCKERS)
numbers = st.sampled_from([1, 2, 3])
"""The third is a door that no locker has."""


def spec(locker: str, *, in_service: bool = True, doors: int = 2) -> LockerSpec:
    front = tuple(DoorSpec(one, str(one), "M", 1, one, in_service=in_service) for one in range(1, doors + 1))
    return LockerSpec(locker, "default", locker, "site", front)


def presence(session: int, *, online: bool, boards: int = 1, boot: int = 1) -> Presence:
    return Presence(
        v=1, boot=UUID(int=boot), t=1, at=1, clock=Clock.SYNCED, session=session, online=online,
        agent=f"0.{session}", doors=2, boards=1, boards_online=boards,
    )  # fmt: skip


def event(kind: str, door: int | None = None, data: dict[str, Any] | None = None) -> Event:
    return Event(t=1, at=1, kind=kind, door=door, data=data)


@dataclass
class PlainDoor:
    seen: str = "unknown"
    known: str = "unknown"
    occupied: bool | None = None


@dataclass
class Plain:
    spec: LockerSpec
    doors: dict[int, PlainDoor]
    session: int = 0
    boot: int = 0
    online: bool = False
    over: int | None = None
    alive: bool = False
    """Heard since the session began or the last silence was noted."""
    heard_ms: float | None = None


@dataclass
class Look:
    """All that a viewer sees of a locker."""

    locker: tuple[object, ...]
    doors: dict[int, tuple[object, ...]] = field(default_factory=dict)


def look(locker: Locker) -> Look:
    return Look(
        (
            locker.spec, locker.state, locker.since, locker.session, locker.agent, locker.boards_total,
            locker.boards_online if locker.reachable else 0, str(locker.door_counts()),
        ),
        {
            number: (door.spec, locker.door_state(door), door.known, door.since, door.occupied)
            for number, door in locker.doors.items()
        },
    )  # fmt: skip


class FleetMachine(RuleBasedStateMachine):
    """Lockers come, speak, fall silent, and go."""

    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet(silent_after_ms=SILENT_MS)
        self.plain: dict[str, Plain] = {}
        self.drawn: dict[str, Look] = {}
        self.now = 0
        self.draws_always = False
        self.registry({"berlin-01": 2, "paris-02": 2}, in_service=True)

    @property
    def at(self) -> datetime:
        return START + timedelta(milliseconds=self.now)

    @rule(wanted=st.dictionaries(ids, st.sampled_from([1, 2])), in_service=st.booleans())
    def registry(self, wanted: dict[str, int], in_service: bool) -> None:  # noqa: FBT001 - hypothesis fills it
        specs = {one: spec(one, in_service=in_service, doors=doors) for one, doors in wanted.items()}
        self.fleet.load(specs.values())
        for gone in self.plain.keys() - wanted.keys():
            del self.plain[gone]
        for one, new in specs.items():
            known = self.plain.get(one)
            doors = {} if known is None else known.doors
            kept = {door.number: doors.get(door.number, PlainDoor()) for door in new.doors}
            self.plain[one] = Plain(new, kept) if known is None else replace(known, spec=new, doors=kept)

    @initialize(always=st.booleans())
    def begin(self, always: bool) -> None:  # noqa: FBT001 - hypothesis fills it
        """Draw after every step, or as it comes, so that changes of several steps meet."""
        self.draws_always = always

    @rule(locker=ids)
    def comes_online(self, locker: str) -> None:
        self.presence(locker, 1, 4, True, 1)  # noqa: FBT003 - as hypothesis calls it
        self.heard(locker)

    @rule()
    def all_fall_silent(self) -> None:
        self.now += SILENT_MS + 1
        self.sweep()

    @rule(ms=st.sampled_from([1, 999, 1000, 1001, 5000]))
    def time_passes(self, ms: int) -> None:
        self.now += ms

    @rule()
    def sweep(self) -> None:
        self.fleet.sweep(now_ms=self.now, at=self.at)
        for plain in self.plain.values():
            if plain.heard_ms is None or self.now - plain.heard_ms > SILENT_MS:
                plain.alive = False

    @rule(locker=ids, in_order=st.booleans())
    def heard(self, locker: str, in_order: bool = True) -> None:  # noqa: FBT001, FBT002 - hypothesis fills it
        if locker in self.plain:
            self.fleet.heard(locker, now_ms=self.now, at=self.at, in_order=in_order)
            plain = self.plain[locker]
            plain.heard_ms = self.now
            plain.online = plain.online or in_order or plain.over is None or self.now - plain.over > 5000
            plain.alive = plain.online

    @rule(
        locker=ids,
        boot=st.integers(1, 2),
        session=st.integers(1, 4),
        online=st.booleans(),
        boards=st.integers(0, 1),
    )
    def presence(self, locker: str, boot: int, session: int, online: bool, boards: int) -> None:  # noqa: FBT001
        if locker not in self.plain:
            return
        plain = self.plain[locker]
        said = presence(session, online=online, boards=boards, boot=boot)
        current = self.fleet.presence(locker, said, at=self.at)
        assert current == (online or not plain.boot or (boot == plain.boot and session >= plain.session))
        if current:
            plain.boot, plain.session, plain.online = boot, session, online
            plain.over = plain.over if online else self.now
            plain.alive = plain.alive and online
            for door in plain.doors.values() if online and not boards else ():
                door.seen = "unknown"

    @rule(locker=ids, number=numbers, kind=st.sampled_from(["door.opened", "door.closed"]))
    def edge(self, locker: str, number: int, kind: str) -> None:
        self.tell(locker, event(kind, number))
        door = self.door(locker, number)
        if door is not None:
            door.seen = door.known = "open" if kind == "door.opened" else "closed"

    @rule(locker=ids, number=numbers, occupied=st.sampled_from([True, False, None, 1, "yes"]))
    def occupancy(self, locker: str, number: int, occupied: object) -> None:
        self.tell(locker, event("occupancy.changed", number, {"occupied": occupied}))
        door = self.door(locker, number)
        if door is not None and isinstance(occupied, bool):
            door.occupied = occupied

    @rule(locker=ids, doors=st.lists(numbers))
    def board_goes(self, locker: str, doors: list[int]) -> None:
        self.tell(locker, event("board.offline", None, {"doors": [*doors, True, "1", None]}))
        for number in doors:
            door = self.door(locker, number)
            if door is not None:
                door.seen = "unknown"

    @rule(
        locker=ids,
        items=st.lists(
            st.tuples(numbers, st.sampled_from(["open", "closed", "unknown", "ajar"]))
            | st.tuples(numbers, st.sampled_from(["open", "closed"]), st.sampled_from([True, False, None, 0]))
            | st.sampled_from([(), (1,), ("1", "open"), (1, 2)])
        ),
    )
    def snapshot(self, locker: str, items: list[tuple[Any, ...]]) -> None:
        self.tell(locker, event("snapshot", None, {"doors": [[*item] for item in items]}))
        for number, state, *rest in (item for item in items if len(item) > 1):
            door = self.door(locker, number)
            if door is None or state not in {"open", "closed", "unknown"}:
                continue
            door.seen = state
            door.known = door.known if state == "unknown" else state
            door.occupied = rest[0] if rest and isinstance(rest[0], bool) else None

    @rule(
        locker=ids, kind=st.sampled_from(["tamper.on", "door.jammed", "roof.leaking", "snapshot", "board.offline"])
    )
    def of_no_door(self, locker: str, kind: str) -> None:
        self.tell(locker, event(kind, 1, None))

    @rule()
    def draw(self) -> None:
        changes = self.fleet.take_changes()
        assert not self.fleet.take_changes()
        looks = {one: look(locker) for one, locker in self.fleet.lockers.items()}
        assert changes.lockers | changes.doors.keys() <= looks.keys()
        assert changes.removed >= self.drawn.keys() - looks.keys()
        assert changes.removed.isdisjoint(looks.keys())
        for one, now in looks.items():
            before = self.drawn.get(one)
            if before is None or before.locker != now.locker:
                assert one in changes.lockers
            if before is not None:
                for number, door in now.doors.items():
                    if before.doors.get(number) != door:
                        assert number in changes.doors[one]
        self.drawn = looks

    def tell(self, locker: str, one: Event) -> None:
        if locker in self.plain:
            self.fleet.event(locker, one, at=self.at)

    def door(self, locker: str, number: int) -> PlainDoor | None:
        return self.plain[locker].doors.get(number) if locker in self.plain else None

    @invariant()
    def both_say_the_same(self) -> None:
        if self.draws_always:
            self.draw()
        assert self.fleet.lockers.keys() == self.plain.keys()
        lockers = dict.fromkeys(("online", "offline", "never_seen"), 0)
        doors = dict.fromkeys(("open", "closed", "unknown"), 0)
        for one, plain in self.plain.items():
            locker = self.fleet.lockers[one]
            seen = plain.heard_ms is not None or plain.session
            state = "online" if plain.alive else "offline" if seen else "never_seen"
            assert locker.state.value == state
            lockers[state] += 1
            assert locker.doors.keys() == plain.doors.keys()
            for number, plain_door in plain.doors.items():
                door = locker.doors[number]
                shown = plain_door.seen if plain.alive else "unknown"
                assert locker.door_state(door).value == shown
                assert (door.known.value, door.occupied) == (plain_door.known, plain_door.occupied)
                doors[shown] += 1
            shown_of = Counter(door.seen if plain.alive else "unknown" for door in plain.doors.values())
            assert locker.door_counts() == {
                "total": len(plain.doors), "open": shown_of["open"], "closed": shown_of["closed"],
                "unknown": shown_of["unknown"],
                "out_of_service": sum(not one.in_service for one in plain.spec.doors),
            }  # fmt: skip
        assert self.fleet.counts() == (lockers, doors)


FleetMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestFleet = FleetMachine.TestCase


@pytest.fixture
def fleet() -> Fleet:
    made = Fleet(silent_after_ms=SILENT_MS)
    made.load([spec("berlin-01")])
    return made


def go_online(fleet: Fleet) -> Locker:
    fleet.presence("berlin-01", presence(1, online=True), at=START)
    fleet.heard("berlin-01", now_ms=0, at=START)
    return fleet.lockers["berlin-01"]


def test_a_locker_that_was_never_heard_is_never_seen(fleet: Fleet) -> None:
    assert fleet.lockers["berlin-01"].state is LockerState.NEVER_SEEN


def test_a_kept_presence_alone_is_not_a_sign_of_life(fleet: Fleet) -> None:
    fleet.presence("berlin-01", presence(1, online=True), at=START)
    assert fleet.lockers["berlin-01"].state is LockerState.OFFLINE


def test_a_late_will_of_an_older_session_changes_nothing(fleet: Fleet) -> None:
    locker = go_online(fleet)
    assert fleet.presence("berlin-01", presence(2, online=True), at=START)
    fleet.take_changes()
    assert not fleet.presence("berlin-01", presence(1, online=False), at=START)
    assert locker.state is LockerState.ONLINE
    assert not fleet.take_changes()


def test_silence_is_not_closed(fleet: Fleet) -> None:
    locker = go_online(fleet)
    fleet.event("berlin-01", event("door.closed", 1), at=START)
    door = locker.doors[1]
    assert locker.door_state(door) is DoorState.CLOSED
    fleet.sweep(now_ms=SILENT_MS, at=START)
    assert locker.door_state(door) is DoorState.CLOSED
    fleet.sweep(now_ms=SILENT_MS + 1, at=START)
    assert locker.door_state(door) is DoorState.UNKNOWN
    assert door.known is DoorState.CLOSED


def state_of(fleet: Fleet) -> LockerState:
    return fleet.lockers["berlin-01"].state


def test_a_disk_that_was_put_back_counts_from_there_again(fleet: Fleet) -> None:
    go_online(fleet)
    fleet.presence("berlin-01", presence(50, online=True), at=START)
    fleet.presence("berlin-01", presence(50, online=False), at=START)
    assert fleet.presence("berlin-01", presence(7, online=True, boot=2), at=START)
    fleet.heard("berlin-01", now_ms=1, at=START)
    assert state_of(fleet) is LockerState.ONLINE
    assert fleet.presence("berlin-01", presence(7, online=False, boot=2), at=START)
    assert state_of(fleet) is LockerState.OFFLINE


def test_who_is_heard_after_a_will_is_there(fleet: Fleet) -> None:
    go_online(fleet)
    fleet.presence("berlin-01", presence(2, online=False), at=START)
    fleet.heard("berlin-01", now_ms=1, at=START, in_order=False)
    assert state_of(fleet) is LockerState.OFFLINE, "over another connection it may be from before the will"
    fleet.heard("berlin-01", now_ms=1, at=START)
    assert state_of(fleet) is LockerState.ONLINE


def test_over_another_connection_a_sign_of_life_counts_a_little_later(fleet: Fleet) -> None:
    go_online(fleet)
    fleet.presence("berlin-01", presence(2, online=False), at=START)
    fleet.heard("berlin-01", now_ms=1, at=START + timedelta(seconds=5), in_order=False)
    assert state_of(fleet) is LockerState.OFFLINE
    fleet.heard("berlin-01", now_ms=2, at=START + timedelta(seconds=5, milliseconds=1), in_order=False)
    assert state_of(fleet) is LockerState.ONLINE


def test_without_a_board_no_door_is_known(fleet: Fleet) -> None:
    locker = go_online(fleet)
    fleet.event("berlin-01", event("door.closed", 1), at=START)
    fleet.presence("berlin-01", presence(2, online=True, boards=0), at=START)
    assert locker.door_state(locker.doors[1]) is DoorState.UNKNOWN
    assert locker.doors[1].known is DoorState.CLOSED


def test_a_snapshot_that_repeats_a_state_keeps_since_when(fleet: Fleet) -> None:
    locker = go_online(fleet)
    fleet.event("berlin-01", event("door.closed", 1), at=START)
    later = START + timedelta(hours=1)
    fleet.event("berlin-01", event(EventKind.SNAPSHOT, None, {"doors": [[1, "closed"], [2, "open"]]}), at=later)
    assert locker.doors[1].since == START
    assert locker.doors[2].since == later


def test_being_heard_is_drawn_every_five_seconds_only(fleet: Fleet) -> None:
    go_online(fleet)
    fleet.take_changes()
    drawn = []
    for now_ms in (4999, 5000, 5001, 9999, 10_000):
        fleet.heard("berlin-01", now_ms=now_ms, at=START)
        drawn.append(bool(fleet.take_changes()))
    assert drawn == [False, True, False, False, True]


def test_a_locker_that_goes_and_comes_back_is_not_both(fleet: Fleet) -> None:
    fleet.take_changes()
    fleet.load([])
    fleet.load([spec("berlin-01")])
    assert fleet.take_changes() == FleetChanges(lockers={"berlin-01"}, doors={"berlin-01": {1, 2}})


def test_counts_name_doors_out_of_service() -> None:
    locker = Locker(
        spec("berlin-01"),
        {
            1: Door(DoorSpec(1, "1", "M", 1, 1, in_service=False), seen=DoorState.OPEN),
            2: Door(DoorSpec(2, "2", "M", 1, 2), seen=DoorState.CLOSED),
        },
        reachable=True,
    )
    assert locker.door_counts() == {"total": 2, "open": 1, "closed": 1, "unknown": 0, "out_of_service": 1}


def test_marks_are_news_only_where_they_differ() -> None:
    fleet = Fleet(silent_after_ms=1000)
    fleet.load([spec("berlin-01", doors=1)])
    fleet.take_changes()
    locker = fleet.lockers["berlin-01"]
    assert (locker.alarms, locker.maintenance) == ((0, 0, 0, 0), False)
    fleet.mark("berlin-01", alarms=(0, 0, 0, 0), maintenance=False)
    assert not fleet.take_changes()
    fleet.mark("berlin-01", alarms=(0, 2, 0, 0), maintenance=False)
    assert fleet.take_changes().lockers == {"berlin-01"}
    fleet.mark("berlin-01", alarms=(0, 2, 0, 0), maintenance=True)
    assert fleet.take_changes().lockers == {"berlin-01"}
    fleet.mark("berlin-01", alarms=(0, 2, 0, 0), maintenance=True)
    fleet.mark("paris-02", alarms=(0, 2, 0, 0), maintenance=True)
    assert not fleet.take_changes()


def test_marks_outlive_a_change_of_the_registry() -> None:
    fleet = Fleet(silent_after_ms=1000)
    fleet.load([spec("berlin-01", doors=1)])
    fleet.mark("berlin-01", alarms=(0, 0, 0, 1), maintenance=True)
    fleet.load([replace(spec("berlin-01", doors=1), site="Bonn")])
    assert (fleet.lockers["berlin-01"].alarms[3], fleet.lockers["berlin-01"].maintenance) == (1, True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", True),
        ("BERLIN-01", True),
        ("invalidenstrasse", True),
        ("cu16", True),
        ("24h", True),
        ("1.2.3", True),
        ("h24", False),
        ("lobby24h", False),
    ],
)
def test_a_locker_is_found_by_all_that_people_know_of_it(text: str, found: bool) -> None:  # noqa: FBT001
    fleet = Fleet(silent_after_ms=1000)
    known = replace(spec("berlin-01", doors=1), address="Invalidenstraße 1", serial="CU16-7", tags=("lobby", "24h"))
    fleet.load([known])
    fleet.lockers["berlin-01"].agent = "1.2.3"
    assert fleet.lockers["berlin-01"].mentions(text) is found
