"""Feedback lines: what changes too often is a fault, what comes to rest is well; and a plain model of it."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.core.doors import Note
from edge_agent.core.feedback import Feedback, FeedbackRules
from wire.messages import EventKind

RULES = FeedbackRules(changes=4, within_ms=1000, calm_ms=3000, jam_tries=3)
LOCKED = 0b1111


def lines(*, item_sensor: bool = True) -> Feedback:
    feedback = Feedback(11, 4, RULES, item_sensor=item_sensor)
    assert feedback.observe(LOCKED, 0, 0) == []
    return feedback


def shake(
    feedback: Feedback, times: int, *, bit: int = 1, sensor: str = "item", every_ms: int = 50, t: int = 0
) -> list[Note]:
    """Change a line so often, from a level to the other one."""
    notes: list[Note] = []
    for turn in range(1, times + 1):
        level = (turn % 2) << bit
        hooks, items = (LOCKED ^ level, 0) if sensor == "hook" else (LOCKED, level)
        notes += feedback.observe(hooks, items, t + turn * every_ms)
    return notes


def test_a_loose_contact_is_a_fault_once() -> None:
    feedback = lines()
    (fault,) = shake(feedback, 12)
    assert fault == Note(200, EventKind.SENSOR_FAULT, 12, data={"sensor": "item", "changes": 4, "within_ms": 150})
    (of_hook,) = shake(lines(), 12, sensor="hook", bit=3)
    assert (of_hook.door, (of_hook.data or {})["sensor"]) == (14, "hook")


def test_what_people_do_is_none() -> None:
    assert shake(lines(), 12, every_ms=334) == []
    assert shake(lines(item_sensor=False), 12) == []
    # Doors that the board does not have.
    assert shake(lines(), 12, bit=7) == []


def test_it_is_well_once_it_has_been_calm() -> None:
    feedback = lines()
    assert len(shake(feedback, 4)) == 1
    assert feedback.observe(LOCKED, 0, 200 + 2999) == []
    assert feedback.observe(LOCKED, 0, 200 + 3000) == [Note(3200, EventKind.SENSOR_OK, 12, data={"sensor": "item"})]
    assert feedback.observe(LOCKED, 0, 9999) == []
    assert len(shake(feedback, 4, t=10_000)) == 1


def test_a_board_that_comes_back_is_not_held_against_what_it_said_before() -> None:
    feedback = lines()
    assert shake(feedback, 3) == []
    feedback.gone()
    assert feedback.observe(LOCKED, 0, 200) == []


def told(kind: EventKind, door: int = 12) -> Note:
    return Note(7, kind, door, UUID(int=1))


def test_three_pulses_in_a_row_that_open_nothing_are_a_jam() -> None:
    feedback = lines()
    missed, opened = told(EventKind.DOOR_OPEN_NOT_DETECTED), told(EventKind.DOOR_OPENED)
    assert feedback.follow([missed]) == feedback.follow([missed, told(EventKind.DOOR_OPEN_NOT_DETECTED, 13)]) == []
    assert feedback.follow([missed]) == [Note(7, EventKind.DOOR_JAMMED, 12, data={"tries": 3})]
    assert feedback.follow([missed, Note(7, EventKind.SNAPSHOT)]) == []
    assert feedback.follow([opened, missed, missed]) == []
    assert [note.kind for note in feedback.follow([missed])] == [EventKind.DOOR_JAMMED]


@given(st.lists(st.tuples(st.integers(1, 700), st.integers(0, 3), st.integers(0, 3)), max_size=60))
def test_against_a_plain_model(readings: list[tuple[int, int, int]]) -> None:
    feedback = Feedback(1, 2, RULES)
    now = 0
    before: tuple[int, int] | None = None
    changed: dict[tuple[str, int], list[int]] = {}
    faulty: set[tuple[str, int]] = set()
    for pause_ms, hooks, items in readings:
        now += pause_ms
        expected = []
        for place, sensor in enumerate(("hook", "item")):
            for bit in (0, 1):
                line = (sensor, bit)
                if before is not None and ((hooks, items)[place] ^ before[place]) >> bit & 1:
                    times = changed.setdefault(line, [])
                    times.append(now)
                    if line not in faulty and len(times) >= 4 and now - times[-4] <= 1000:
                        faulty.add(line)
                        expected.append((EventKind.SENSOR_FAULT, bit + 1, sensor))
        for line in sorted(faulty):
            if now - changed[line][-1] >= 3000:
                faulty.remove(line)
                expected.append((EventKind.SENSOR_OK, line[1] + 1, line[0]))
        before = (hooks, items)
        notes = feedback.observe(hooks, items, now)
        assert [(note.kind, note.door, (note.data or {})["sensor"]) for note in notes] == expected
