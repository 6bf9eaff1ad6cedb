"""The doors of a board, example by example, and against a plain model that keeps every reading."""

from dataclasses import dataclass, field, replace
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.core.doors import WINDOWS_MAX, BoardDoors, DoorRules, DoorStatus, Note
from wire.messages import EventKind

LOCKED = 0b1111
RULES = DoorRules(debounce_reads=2, open_detect_ms=1500, left_open_ms=60_000, board_silent_polls=3)
COMMAND, ACTOR = UUID(int=1), UUID(int=2)


def board(rules: DoorRules = RULES, *, item_sensor: bool = True) -> BoardDoors:
    return BoardDoors(11, 4, rules, item_sensor=item_sensor)


def known(hooks: int = LOCKED, items: int = 0, rules: DoorRules = RULES) -> BoardDoors:
    doors = board(rules)
    for t in range(rules.debounce_reads):
        doors.observe(hooks, items, t)
    assert doors.online
    return doors


def kinds(notes: list[Note]) -> list[tuple[EventKind, int | None]]:
    return [(note.kind, note.door) for note in notes]


def test_the_first_readings_are_a_snapshot() -> None:
    doors = board()
    assert doors.observe(0b1101, 0b0001, 0) == []
    assert doors.views()[0] == DoorStatus(11, None, None)
    online, snapshot = doors.observe(0b1101, 0b0001, 50)
    assert online == Note(50, EventKind.BOARD_ONLINE, data={"board": 1, "doors": [11, 12, 13, 14]})
    assert snapshot.data == {
        "doors": [[11, "closed", True], [12, "open", False], [13, "closed", False], [14, "closed", False]]
    }
    assert doors.observe(0b1101, 0b0001, 100) == []


def test_first_readings_that_differ_wait_for_equal_ones() -> None:
    doors = board()
    assert doors.observe(LOCKED, 0, 0) == []
    assert doors.observe(0b1110, 0, 50) == []
    assert len(doors.observe(0b1110, 0, 100)) == 2


def test_an_edge_counts_from_its_first_reading_once_it_was_read_twice() -> None:
    doors = known()
    doors.pulsed(12, COMMAND, ACTOR, 100)
    assert doors.observe(0b1101, 0, 200) == []
    assert doors.observe(0b1101, 0, 225) == [Note(200, EventKind.DOOR_OPENED, 12, COMMAND, ACTOR)]
    doors.observe(LOCKED, 0, 5000)
    assert doors.observe(LOCKED, 0, 5050) == [Note(5000, EventKind.DOOR_CLOSED, 12, COMMAND, ACTOR)]
    doors.observe(0b1101, 0, 9000)
    doors.observe(0b1101, 0, 9050)
    doors.observe(LOCKED, 0, 9100)
    assert doors.observe(LOCKED, 0, 9150) == [Note(9100, EventKind.DOOR_CLOSED, 12)]


def test_a_bounce_is_no_edge() -> None:
    doors = known()
    for t in range(0, 1000, 100):
        assert doors.observe(0b1101, 0, t) == []
        assert doors.observe(LOCKED, 0, t + 50) == []


def test_one_reading_is_enough_where_it_is_said_so() -> None:
    doors = known(rules=DoorRules(debounce_reads=1))
    assert kinds(doors.observe(0b1110, 0, 100)) == [(EventKind.DOOR_OPENED, 11), (EventKind.DOOR_FORCED, 11)]


def test_an_opening_without_a_command_is_forced() -> None:
    doors = known()
    doors.observe(0b0111, 0, 100)
    assert doors.observe(0b0111, 0, 150) == [
        Note(100, EventKind.DOOR_OPENED, 14),
        Note(100, EventKind.DOOR_FORCED, 14),
    ]


def test_an_opening_after_the_window_is_forced() -> None:
    doors = known()
    doors.pulsed(11, COMMAND, ACTOR, 100)
    assert doors.observe(LOCKED, 0, 1600) == []
    assert doors.observe(LOCKED, 0, 1601) == [Note(1601, EventKind.DOOR_OPEN_NOT_DETECTED, 11, COMMAND, ACTOR)]
    doors.observe(0b1110, 0, 1700)
    assert kinds(doors.observe(0b1110, 0, 1750)) == [(EventKind.DOOR_OPENED, 11), (EventKind.DOOR_FORCED, 11)]


def test_an_opening_that_begins_in_the_window_is_the_commands() -> None:
    doors = known()
    doors.pulsed(11, COMMAND, ACTOR, 100)
    assert doors.observe(0b1110, 0, 1590) == []
    assert doors.observe(0b1110, 0, 1640) == [Note(1590, EventKind.DOOR_OPENED, 11, COMMAND, ACTOR)]
    assert doors.observe(0b1110, 0, 2000) == []


def test_the_last_millisecond_of_the_window_belongs_to_it() -> None:
    for since, command in ((1600, COMMAND), (1601, None)):
        doors = known()
        doors.pulsed(11, COMMAND, ACTOR, 100)
        doors.observe(0b1110, 0, since)
        notes = doors.observe(0b1110, 0, since + 50)
        assert [note.command for note in notes if note.kind is EventKind.DOOR_OPENED] == [command]


def test_nobody_knows_whether_a_pulse_opened_a_door_whose_board_was_away() -> None:
    doors = known()
    doors.pulsed(11, COMMAND, ACTOR, 100)
    doors.gone(200)
    for t in (300, 350, 5000):
        assert EventKind.DOOR_OPEN_NOT_DETECTED not in {note.kind for note in doors.observe(LOCKED, 0, t)}


def test_a_bounce_at_the_end_of_the_window_is_no_opening() -> None:
    doors = known()
    doors.pulsed(11, COMMAND, ACTOR, 100)
    doors.observe(0b1110, 0, 1590)
    assert kinds(doors.observe(LOCKED, 0, 1640)) == [(EventKind.DOOR_OPEN_NOT_DETECTED, 11)]


def test_a_pulse_on_an_open_door_promises_no_opening() -> None:
    doors = known(hooks=0b1110)
    doors.pulsed(11, COMMAND, ACTOR, 100)
    doors.observe(LOCKED, 0, 200)
    assert kinds(doors.observe(LOCKED, 0, 250)) == [(EventKind.DOOR_CLOSED, 11)]
    assert doors.observe(LOCKED, 0, 5000) == []


def test_a_door_that_springs_back_is_still_the_commands() -> None:
    doors = known()
    doors.pulsed(11, COMMAND, ACTOR, 100)
    for start, hooks in ((200, 0b1110), (400, LOCKED), (600, 0b1110)):
        doors.observe(hooks, 0, start)
        notes = doors.observe(hooks, 0, start + 50)
        assert [note.command for note in notes] == [COMMAND]


def test_each_pulse_that_opened_nothing_is_told() -> None:
    doors = known()
    for number in range(WINDOWS_MAX + 2):
        doors.pulsed(11, UUID(int=number), None, 100 + number)
    notes = doors.observe(LOCKED, 0, 5000)
    assert [note.command for note in notes] == [UUID(int=number) for number in range(2, WINDOWS_MAX + 2)]


def test_the_newest_command_gets_the_opening() -> None:
    doors = known()
    doors.pulsed(11, UUID(int=7), None, 100)
    doors.pulsed(11, COMMAND, ACTOR, 900)
    doors.observe(0b1110, 0, 1000)
    assert doors.observe(0b1110, 0, 1050) == [Note(1000, EventKind.DOOR_OPENED, 11, COMMAND, ACTOR)]
    assert doors.observe(0b1110, 0, 9000) == []


def test_a_door_left_open_is_told_once() -> None:
    doors = known()
    doors.pulsed(11, COMMAND, ACTOR, 0)
    doors.observe(0b1110, 0, 100)
    doors.observe(0b1110, 0, 150)
    assert doors.observe(0b1110, 0, 60_099) == []
    assert doors.observe(0b1110, 0, 60_100) == [Note(60_100, EventKind.DOOR_LEFT_OPEN, 11, COMMAND, ACTOR)]
    assert doors.observe(0b1110, 0, 200_000) == []


def test_a_door_open_from_the_start_can_be_left_open() -> None:
    doors = known(hooks=0b1110)
    assert kinds(doors.observe(0b1110, 0, 60_001)) == [(EventKind.DOOR_LEFT_OPEN, 11)]


def test_an_item_belongs_to_the_command_that_opened_its_door() -> None:
    doors = known()
    doors.pulsed(11, COMMAND, ACTOR, 0)
    doors.observe(0b1110, 0, 100)
    doors.observe(0b1110, 0, 150)
    doors.observe(0b1110, 0b0001, 200)
    (note,) = doors.observe(0b1110, 0b0001, 250)
    assert note == Note(200, EventKind.OCCUPANCY_CHANGED, 11, COMMAND, ACTOR, {"occupied": True})
    doors.observe(0b1110, 0, 300)
    assert doors.observe(0b1110, 0, 350)[0].data == {"occupied": False}


def test_without_an_item_sensor_occupancy_is_unknown() -> None:
    doors = board(item_sensor=False)
    for t in range(4):
        doors.observe(LOCKED, 0b1111 if t % 2 else 0, t)
    assert doors.online
    assert {view.occupied for view in doors.views()} == {None}


def test_bits_of_locks_that_are_not_there_mean_nothing() -> None:
    doors = known()
    for t in range(100, 1000, 50):
        assert doors.observe(0xFFF0 | LOCKED, 0xFFF0, t) == []


def test_a_silent_board_makes_its_doors_unknown_never_closed() -> None:
    doors = known(hooks=0b1110)
    assert doors.silent(100) == []
    assert doors.silent(150) == []
    assert doors.silent(200) == [Note(200, EventKind.BOARD_OFFLINE, data={"board": 1, "doors": [11, 12, 13, 14]})]
    assert doors.silent(250) == []
    assert not doors.online
    assert {view.open for view in doors.views()} == {None}


def test_an_answer_between_silences_starts_the_count_again() -> None:
    doors = known()
    for t in range(100, 1000, 100):
        assert doors.silent(t) == []
        assert doors.silent(t + 10) == []
        assert doors.observe(LOCKED, 0, t + 20) == []


def test_what_changed_while_the_board_was_away_is_no_edge() -> None:
    doors = known()
    doors.pulsed(11, COMMAND, ACTOR, 100)
    doors.gone(200)
    doors.observe(0b1110, 1, 5000)
    assert [note.kind for note in doors.observe(0b1110, 1, 5050)] == [
        EventKind.BOARD_ONLINE,
        EventKind.SNAPSHOT,
    ]
    doors.observe(LOCKED, 1, 6000)
    assert doors.observe(LOCKED, 1, 6050) == [Note(6000, EventKind.DOOR_CLOSED, 11)]


def test_a_board_that_never_answered_is_told_offline_once() -> None:
    doors = board()
    assert [len(doors.silent(t)) for t in range(5)] == [0, 0, 1, 0, 0]


def test_doors_are_found_by_number() -> None:
    doors = board()
    assert [number for number in range(20) if doors.has(number)] == [11, 12, 13, 14]


@dataclass
class Model:
    """One door, the slow way: every reading since the board came is kept, and looked at again each time."""

    rules: DoorRules
    readings: list[tuple[int, bool]] = field(default_factory=list)
    level: bool | None = None
    pulses: list[tuple[int, UUID, bool]] = field(default_factory=list)
    settled: set[UUID] = field(default_factory=set)
    owner: UUID | None = None
    opened_t: int = 0
    told_left_open: bool = False

    def read(self, t: int, open_: bool) -> list[tuple[str, UUID | None]]:  # noqa: FBT001
        self.readings.append((t, open_))
        last = self.readings[-self.rules.debounce_reads :]
        told: list[tuple[str, UUID | None]] = []
        steady = len(last) == self.rules.debounce_reads and len({level for _, level in last}) == 1
        if steady and self.level is None:
            self.level, self.opened_t = open_, t
        elif steady and open_ != self.level:
            self.level = open_
            told += self._edge(last[0][0])
        told += self._late(t)
        return told

    def _edge(self, since: int) -> list[tuple[str, UUID | None]]:
        if not self.level:
            owner, self.owner = self.owner, None
            return [("closed", owner)]
        self.opened_t, self.told_left_open = since, False
        in_time = [command for t, command, _ in self.pulses if t + self.rules.open_detect_ms >= since]
        if not in_time:
            self.owner = None
            return [("opened", None), ("forced", None)]
        self.settled.update(in_time)
        self.owner = in_time[-1]
        return [("opened", self.owner)]

    def _late(self, t: int) -> list[tuple[str, UUID | None]]:
        told: list[tuple[str, UUID | None]] = []
        opening = not self.level and self.readings[-1][1]
        for pulse_t, command, was_open in self.pulses:
            over = t > pulse_t + self.rules.open_detect_ms
            if over and not opening and command not in self.settled:
                self.settled.add(command)
                if not was_open and not self.level:
                    told.append(("not_detected", command))
        if self.level and not self.told_left_open and t >= self.opened_t + self.rules.left_open_ms:
            self.told_left_open = True
            told.append(("left_open", self.owner))
        return told

    def pulse(self, t: int, command: UUID) -> None:
        self.pulses.append((t, command, bool(self.level)))


NAMES = {
    EventKind.DOOR_OPENED: "opened",
    EventKind.DOOR_CLOSED: "closed",
    EventKind.DOOR_FORCED: "forced",
    EventKind.DOOR_OPEN_NOT_DETECTED: "not_detected",
    EventKind.DOOR_LEFT_OPEN: "left_open",
}
steps = st.lists(
    st.tuples(st.integers(1, 700), st.one_of(st.booleans(), st.booleans(), st.just("pulse"))), max_size=60
)


@settings(max_examples=400)
@given(steps, st.integers(1, 4))
def test_a_door_does_what_the_plain_model_does(script: list[tuple[int, bool | str]], debounce: int) -> None:
    rules = DoorRules(debounce_reads=debounce, open_detect_ms=1500, left_open_ms=3000)
    doors = BoardDoors(1, 2, rules)
    model = Model(rules)
    t, pulses = 0, 0
    for gap, what in script:
        t += gap
        if what == "pulse":
            # More than the door remembers at a time is another test.
            last_t = model.readings[-1][0] if model.readings else 0
            waiting = sum(p + 1500 >= last_t or one not in model.settled for p, one, _ in model.pulses)
            if not doors.online or waiting >= WINDOWS_MAX:
                continue
            pulses += 1
            doors.pulsed(1, UUID(int=pulses), None, t)
            model.pulse(t, UUID(int=pulses))
            continue
        notes = doors.observe(0b10 if what else 0b11, 0, t)
        told = [(NAMES[note.kind], note.command) for note in notes if note.kind in NAMES]
        assert told == model.read(t, bool(what))
        assert doors.views()[0].open == model.level
        assert doors.views()[1].open in {None, False}


def test_other_rules_count_for_doors_that_are_open_already() -> None:
    doors = known(hooks=LOCKED & ~1)
    opened = doors.observe(LOCKED & ~1, 0, 30_000)
    assert opened == []
    doors.follow(replace(RULES, left_open_ms=20_000))
    (note,) = doors.observe(LOCKED & ~1, 0, 30_050)
    assert (note.kind, note.door) == (EventKind.DOOR_LEFT_OPEN, 11)
    # Told once; a longer limit afterwards begins nothing anew.
    doors.follow(RULES)
    assert doors.observe(LOCKED & ~1, 0, 200_000) == []


def test_a_longer_limit_gives_an_open_door_more_time() -> None:
    doors = known(hooks=LOCKED & ~1)
    doors.follow(replace(RULES, left_open_ms=120_000))
    assert doors.observe(LOCKED & ~1, 0, 100_000) == []
    assert [note.kind for note in doors.observe(LOCKED & ~1, 0, 121_000)] == [EventKind.DOOR_LEFT_OPEN]


def test_a_pulse_keeps_its_window_and_the_next_gets_the_new_one() -> None:
    doors = known()
    doors.pulsed(11, None, None, 1000)
    doors.follow(replace(RULES, open_detect_ms=100))
    assert doors.observe(LOCKED, 0, 1200) == []
    assert [note.kind for note in doors.observe(LOCKED, 0, 2501)] == [EventKind.DOOR_OPEN_NOT_DETECTED]
    doors.pulsed(11, None, None, 3000)
    assert [note.kind for note in doors.observe(LOCKED, 0, 3101)] == [EventKind.DOOR_OPEN_NOT_DETECTED]
