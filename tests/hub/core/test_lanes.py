"""Durable commands against a plain model of lockers: in order, one at a time, and only what is so is claimed.

The model's lockers have a journal: an id acts at most once, and what was cancelled never begins. The machine plays
the shell: it writes before it sends, and applies a locker's word when it is "written".
"""

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hub.core.commands import CommandClass, CommandRecord, CommandRefusal, CommandReply, CommandStatus, Order
from hub.core.lanes import EXPIRED, OVERDUE, LaneAction, Lanes, LaneStep
from wire.messages import CommandState

AT = datetime(2026, 11, 20, tzinfo=UTC)
LOCKERS = ("berlin-01", "paris-02")
PER_LOCKER_MAX, FLEET_MAX = 3, 5
PAUSE_MS_MIN, PAUSE_MS_MAX = 1000.0, 8000.0


def new_lanes() -> Lanes:
    return Lanes(
        per_locker_max=PER_LOCKER_MAX, fleet_max=FLEET_MAX, pause_ms_min=PAUSE_MS_MIN, pause_ms_max=PAUSE_MS_MAX
    )


def durable(number: int, locker: str = "berlin-01", *, after_s: float = 0, expires_s: float = 100) -> CommandRecord:
    at = AT + timedelta(seconds=after_s)
    order = Order(locker, "configure", args={"n": number})
    return CommandRecord(
        UUID(int=number), order, at, 0.0, 10_000.0, state=CommandStatus.QUEUED,
        command_class=CommandClass.DURABLE, expires_at=at + timedelta(seconds=expires_s),
    )  # fmt: skip


@dataclass
class Locker:
    session: int | None = 1
    journal: dict[UUID, str] = field(default_factory=dict)
    acted: list[UUID] = field(default_factory=list)
    inbox: list[tuple[str, UUID]] = field(default_factory=list)


class LanesMachine(RuleBasedStateMachine):
    """People ask and cancel, lockers come and go, messages are lost, replies are lost, the hub restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.lanes = new_lanes()
        self.rows: dict[UUID, CommandRecord] = {}
        """The database."""
        self.lockers = {name: Locker() for name in LOCKERS}
        self.now_s, self.sessions = 0.0, 1
        self.sent: set[UUID] = set()

    def under_way(self) -> list[CommandRecord]:
        return [row for row in self.rows.values() if not row.settled]

    @rule(locker=st.sampled_from(LOCKERS), expires_s=st.sampled_from([5.0, 1000.0]))
    def submit(self, locker: str, expires_s: float) -> None:
        mine = [row for row in self.under_way() if row.order.locker == locker]
        refusal = self.lanes.room(locker)
        if len(mine) >= PER_LOCKER_MAX:
            assert refusal is CommandRefusal.LOCKER_QUEUE_FULL
        elif len(self.under_way()) >= FLEET_MAX:
            assert refusal is CommandRefusal.HUB_BUSY
        else:
            assert refusal is None
            self.now_s += 1e-6
            entry = durable(len(self.rows) + 1, locker, after_s=self.now_s, expires_s=expires_s)
            self.rows[entry.id] = entry
            assert self.lanes.add(entry) is entry
            assert self.lanes.add(entry) is entry

    @precondition(lambda self: self.under_way())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.under_way()))
        entry.cancel_requested = True
        if entry.state is CommandStatus.QUEUED:
            entry.advance(CommandStatus.CANCELLED, None)
            self.lanes.remove(entry.id)
        else:
            self.lanes.hurry(entry.id)

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0, 9.0, 600.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(locker=st.sampled_from(LOCKERS), there=st.booleans())
    def locker_comes_or_goes(self, locker: str, there: bool) -> None:  # noqa: FBT001 - hypothesis gives it
        one = self.lockers[locker]
        if there:
            # Anew each time: a session's number never comes again.
            self.sessions += 1
            one.session = self.sessions
        else:
            one.session = None
            one.inbox.clear()

    @rule(steps_max=st.sampled_from([1, 2, 100]), lanes_max=st.sampled_from([1, 2, 100]))
    def hub_visits_lanes(self, steps_max: int, lanes_max: int) -> None:
        now = AT + timedelta(seconds=self.now_s)
        for step in self.visit(now, steps_max=steps_max, lanes_max=lanes_max):
            self.do(step, now)

    def visit(self, now: datetime, *, steps_max: int, lanes_max: int) -> list[LaneStep]:
        visited: list[str] = []

        def session(name: str) -> int | None:
            visited.append(name)
            return self.lockers[name].session

        steps = self.lanes.steps(session, now, self.now_s * 1000, steps_max=steps_max, lanes_max=lanes_max)
        assert len(steps) <= steps_max
        assert len(visited) == len(set(visited)) <= lanes_max
        return steps

    @rule(lanes_max=st.sampled_from([1, 2, 100]))
    def one_round_leaves_nothing_out(self, lanes_max: int) -> None:
        now = AT + timedelta(seconds=self.now_s)
        for name in LOCKERS:
            # Whoever came anew is not waited for: what is due is known without the pauses.
            self.locker_comes_or_goes(name, there=self.lockers[name].session is not None)
        due = set()
        for name in LOCKERS:
            lane = [row for row in self.under_way() if row.order.locker == name]
            over = [row for row in lane if row.expires_at is not None and row.expires_at <= now]
            due |= {(LaneAction.EXPIRE, row.id) for row in over if row.state is CommandStatus.QUEUED}
            for head in [row for row in lane if row.state is not CommandStatus.QUEUED][:1] or lane[:1]:
                sent = head.state is not CommandStatus.QUEUED
                if sent and head in over and head.detail != OVERDUE:
                    due.add((LaneAction.OVERDUE, head.id))
                ended = head in over or head.cancel_requested
                if self.lockers[name].session is not None and (sent or not ended):
                    due.add((LaneAction.CANCEL if ended else LaneAction.DELIVER, head.id))
        calls = math.ceil(self.lanes.count / lanes_max)
        found = [step for _ in range(calls) for step in self.visit(now, steps_max=100, lanes_max=lanes_max)]
        assert sorted((step.act, step.entry.id) for step in found) == sorted(due)

    def do(self, step: LaneStep, now: datetime) -> None:
        entry, locker = step.entry, self.lockers[step.entry.order.locker]
        assert entry.expires_at is not None
        over = entry.expires_at <= now
        match step.act:
            case LaneAction.EXPIRE:
                assert over
                assert entry.id not in self.sent, "what was sent may have acted"
                entry.advance(CommandStatus.EXPIRED, EXPIRED)
                self.lanes.remove(entry.id)
            case LaneAction.OVERDUE:
                assert over
                assert entry.id in self.sent
                assert entry.detail != OVERDUE
                entry.detail = OVERDUE
            case LaneAction.DELIVER:
                assert not over
                assert not entry.cancel_requested
                entry.advance(CommandStatus.SENT, None)
                self.sent.add(entry.id)
                locker.inbox.append(("do", entry.id))
                self.lanes.tried(entry.id, locker.session, self.now_s * 1000, 1.0)
            case LaneAction.CANCEL:
                assert over or entry.cancel_requested
                assert entry.id in self.sent
                locker.inbox.append(("cancel", entry.id))
                self.lanes.tried(entry.id, locker.session, self.now_s * 1000, 1.0)

    @precondition(lambda self: any(one.inbox for one in self.lockers.values()))
    @rule(data=st.data(), what=st.sampled_from(["acts", "is slow", "never got it", "is mute", "acts"]))
    def locker_works(self, data: st.DataObject, what: str) -> None:
        """Take one message, in whatever order; the reply may be lost."""
        name = data.draw(st.sampled_from([name for name, one in self.lockers.items() if one.inbox]))
        locker = self.lockers[name]
        act, command = locker.inbox.pop(data.draw(st.integers(0, len(locker.inbox) - 1)))
        if command in locker.journal:
            state = locker.journal[command]
        elif what == "never got it":
            # As the refusal of a delivery, which the shell does not hand on.
            return
        elif act == "cancel":
            state = locker.journal[command] = "cancelled"
        else:
            locker.acted.append(command)
            locker.journal[command] = "succeeded"
            state = "accepted" if what == "is slow" else "succeeded"
        if what == "is mute":
            return
        if state == "cancelled":
            self.word(name, command, CommandState.REJECTED, "cancelled")
        else:
            self.word(name, command, CommandState(state), None)

    def word(self, locker: str, command: UUID, state: CommandState, reason: str | None) -> None:
        told = self.lanes.hear(command, locker, CommandReply.of(state, reason, None))
        row = self.rows[command]
        if told is None:
            assert row.settled or state is CommandState.ACCEPTED
            return
        assert command in self.sent
        assert row.advance(told.state, told.detail)
        if row.settled:
            self.lanes.remove(command)

    @rule()
    def hub_restarts(self) -> None:
        self.lanes = new_lanes()
        for row in self.under_way():
            self.lanes.add(row)

    @invariant()
    def nothing_is_claimed_that_is_not_so(self) -> None:
        assert len(self.lanes) == len(self.under_way())
        for command, row in self.rows.items():
            locker = self.lockers[row.order.locker]
            acted = locker.acted.count(command)
            assert acted <= 1
            assert (self.lanes.find(command) is row) is (not row.settled)
            if row.state in {CommandStatus.QUEUED, CommandStatus.EXPIRED, CommandStatus.CANCELLED}:
                assert acted == 0
                waits = row.state is CommandStatus.QUEUED
                assert waits or command not in self.sent or locker.journal[command] == "cancelled"
            if row.state in {CommandStatus.SUCCEEDED, CommandStatus.ACCEPTED}:
                assert acted == 1
            if row.state is CommandStatus.QUEUED:
                assert command not in self.sent
            if row.state is CommandStatus.CANCELLED:
                assert row.cancel_requested
            if row.state is CommandStatus.EXPIRED:
                assert not row.cancel_requested

    @invariant()
    def one_at_a_time_and_in_order(self) -> None:
        for name in LOCKERS:
            states = [row.state for row in self.under_way() if row.order.locker == name]
            assert all(state is CommandStatus.QUEUED for state in states[1:])


LanesMachine.TestCase.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
TestLanes = LanesMachine.TestCase


def acts(lanes: Lanes, at_s: float, session: int | None = 1) -> list[tuple[LaneAction, int]]:
    return [(step.act, step.entry.id.int) for step in steps_at(lanes, at_s, session)]


def steps_at(lanes: Lanes, at_s: float, session: int | None = 1, steps_max: int = 100) -> list[LaneStep]:
    at = AT + timedelta(seconds=at_s)
    return lanes.steps(lambda _: session, at, at_s * 1000, steps_max=steps_max, lanes_max=100)


def deliver(lanes: Lanes, entry: CommandRecord, at_s: float, session: int = 1) -> None:
    entry.advance(CommandStatus.SENT, None)
    lanes.tried(entry.id, session, at_s * 1000, 1.0)


def test_pauses_double_up_to_the_longest_and_a_new_session_begins_again() -> None:
    lanes, entry = new_lanes(), durable(1, expires_s=1e6)
    lanes.add(entry)
    at_s = 0.0
    for pause_s in (1.0, 2.0, 4.0, 8.0, 8.0):
        assert acts(lanes, at_s) == [(LaneAction.DELIVER, 1)]
        deliver(lanes, entry, at_s)
        assert acts(lanes, at_s + pause_s - 0.001) == []
        at_s += pause_s
    deliver(lanes, entry, at_s)
    assert acts(lanes, at_s, session=2) == [(LaneAction.DELIVER, 1)]
    deliver(lanes, entry, at_s, session=2)
    assert acts(lanes, at_s + 0.999, session=2) == []
    assert acts(lanes, at_s + 1.0, session=2) == [(LaneAction.DELIVER, 1)]
    assert acts(lanes, at_s + 99.0, session=None) == []


def test_what_is_cancelled_after_it_was_sent_is_cancelled_at_the_locker_at_once() -> None:
    lanes, entry = new_lanes(), durable(1)
    lanes.add(entry)
    deliver(lanes, entry, 0.0)
    entry.cancel_requested = True
    lanes.hurry(entry.id)
    assert acts(lanes, 0.0) == [(LaneAction.CANCEL, 1)]
    lanes.tried(entry.id, 1, 0.0, 1.0)
    assert acts(lanes, 0.999) == []
    assert acts(lanes, 1.0) == [(LaneAction.CANCEL, 1)]


def test_the_end_of_its_time_is_told_once_and_asked_about_until_it_is_answered() -> None:
    lanes, entry, next_one = new_lanes(), durable(1, expires_s=10), durable(2, after_s=1, expires_s=20)
    lanes.add(next_one)
    lanes.add(entry)
    deliver(lanes, entry, 0.0)
    assert acts(lanes, 10.0, session=None) == [(LaneAction.OVERDUE, 1)]
    entry.detail = OVERDUE
    assert acts(lanes, 10.0, session=None) == []
    assert acts(lanes, 10.0) == [(LaneAction.CANCEL, 1)]
    # The one behind it never gets its turn, and it is known that it was never sent.
    assert acts(lanes, 21.0, session=None) == [(LaneAction.EXPIRE, 2)]
    next_one.advance(CommandStatus.EXPIRED, EXPIRED)
    lanes.remove(next_one.id)
    told = lanes.hear(entry.id, "berlin-01", CommandReply.of(CommandState.REJECTED, "cancelled", None))
    assert told is not None
    assert told.state is CommandStatus.EXPIRED


def test_one_that_is_under_way_goes_before_an_older_one_that_is_not() -> None:
    lanes, older, newer = new_lanes(), durable(1), durable(2, after_s=1)
    lanes.add(newer)
    deliver(lanes, newer, 0.0)
    lanes.add(older)
    assert acts(lanes, 5.0) == [(LaneAction.DELIVER, 2)]


def test_the_order_is_that_of_acceptance() -> None:
    lanes, first, second, third = new_lanes(), durable(9), durable(1, after_s=1), durable(5, after_s=2)
    for entry in (third, first, second):
        lanes.add(entry)
    for entry in (first, second, third):
        assert acts(lanes, 5.0) == [(LaneAction.DELIVER, entry.id.int)]
        deliver(lanes, entry, 5.0)
        lanes.remove(entry.id)


def test_reserved_places_are_taken_places() -> None:
    lanes = new_lanes()
    assert lanes.room("berlin-01", reserved=PER_LOCKER_MAX - 1) is None
    assert lanes.room("berlin-01", reserved=PER_LOCKER_MAX) is CommandRefusal.LOCKER_QUEUE_FULL
    assert lanes.room("berlin-01", reserved_all=FLEET_MAX) is CommandRefusal.HUB_BUSY


@pytest.mark.parametrize("locker", ["paris-02", "berlin-01"])
def test_words_of_others_and_about_others_change_nothing(locker: str) -> None:
    lanes, entry = new_lanes(), durable(1)
    lanes.add(entry)
    command = entry.id if locker == "paris-02" else UUID(int=9)
    assert lanes.hear(command, locker, CommandReply.of(CommandState.SUCCEEDED, None, None)) is None
    for unknown in (lanes.remove, lanes.hurry):
        unknown(UUID(int=9))
    lanes.tried(UUID(int=9), 1, 0.0, 1.0)
    assert lanes.find(entry.id) is entry


def test_one_whose_cancellation_is_being_written_is_not_sent_meanwhile() -> None:
    lanes, entry = new_lanes(), durable(1)
    lanes.add(entry)
    entry.cancel_requested = True
    assert acts(lanes, 0.0) == []


def forgetting(number: int, *, expires_s: float = 100.0) -> CommandRecord:
    entry = durable(number, after_s=number, expires_s=expires_s)
    return replace(entry, order=Order("berlin-01", "forget", args={"actor": str(UUID(int=number))}))


def test_orders_to_forget_take_no_room_and_hold_up_nothing() -> None:
    lanes = new_lanes()
    forgets = [lanes.add(forgetting(number)) for number in range(1, 20)]
    configure = lanes.add(durable(20, after_s=20))
    assert lanes.room("berlin-01") is None
    steps = steps_at(lanes, 0.0)
    assert steps == [LaneStep(LaneAction.DELIVER, forgets[0]), LaneStep(LaneAction.DELIVER, configure)]
    # Each lane goes on by itself, in its order.
    lanes.remove(forgets[0].id)
    for number in (21, 22):
        lanes.add(durable(number, after_s=number))
    assert lanes.room("berlin-01") is CommandRefusal.LOCKER_QUEUE_FULL
    assert LaneStep(LaneAction.DELIVER, forgets[1]) in steps_at(lanes, 0.0)
    for entry in forgets[1:]:
        lanes.remove(entry.id)
    assert len(lanes) == 3
    for locker in ("paris-02", "paris-02"):
        assert lanes.room(locker) is None
        lanes.add(durable(len(lanes) + 50, locker))
    assert lanes.room("rome-03") is CommandRefusal.HUB_BUSY


@pytest.mark.parametrize("state", [CommandStatus.QUEUED, CommandStatus.SENT, CommandStatus.ACCEPTED])
def test_an_order_to_forget_whose_time_is_over_ends_whatever_became_of_it(state: CommandStatus) -> None:
    lanes = new_lanes()
    entry = lanes.add(forgetting(1))
    entry.state = state
    assert steps_at(lanes, 102.0) == [LaneStep(LaneAction.EXPIRE, entry)]


def test_a_lane_with_more_to_do_than_one_call_may_goes_on_before_the_others() -> None:
    lanes = new_lanes()
    waiting = {lanes.add(durable(number, after_s=number, expires_s=10)).id for number in range(1, 6)}
    lanes.add(durable(9, "paris-02"))
    while waiting:
        steps = steps_at(lanes, 20.0, None, steps_max=2)
        assert [step.act for step in steps] == [LaneAction.EXPIRE] * min(2, len(waiting))
        for step in steps:
            waiting.remove(step.entry.id)
            lanes.remove(step.entry.id)
    assert steps_at(lanes, 20.0, steps_max=2) == [LaneStep(LaneAction.DELIVER, durable(9, "paris-02"))]


def test_the_next_to_expire_is_found_when_the_one_before_it_has_left() -> None:
    lanes = new_lanes()
    for number, expires_s in ((1, 10), (2, 30), (3, 20)):
        lanes.add(durable(number, expires_s=expires_s))
    lanes.remove(UUID(int=1))
    found = {at_s: acts(lanes, at_s, None) for at_s in (15.0, 19.9, 20.0, 29.9, 30.0)}
    third = (LaneAction.EXPIRE, 3)
    assert found == {15.0: [], 19.9: [], 20.0: [third], 29.9: [third], 30.0: [(LaneAction.EXPIRE, 2), third]}
    # One that comes later may end sooner.
    lanes.add(durable(4, expires_s=5))
    assert acts(lanes, 6.0, None) == [(LaneAction.EXPIRE, 4)]


@given(
    there=st.sets(st.integers(0, 40), min_size=1),
    changes=st.lists(st.tuples(st.booleans(), st.integers(0, 60)), max_size=40),
    lanes_max=st.integers(1, 9),
)
def test_every_lane_has_its_turn_whatever_comes_and_goes_meanwhile(
    there: set[int], changes: list[tuple[bool, int]], lanes_max: int
) -> None:
    lanes = Lanes(per_locker_max=1, fleet_max=100, pause_ms_min=1.0, pause_ms_max=1.0)
    for number in there:
        lanes.add(durable(number, f"l-{number}"))
    left = {f"l-{number}" for number in there}
    for _ in range(math.ceil(len(there) / lanes_max)):
        visited: list[str] = []
        lanes.steps(visited.append, AT, 0.0, steps_max=100, lanes_max=lanes_max)
        assert len(visited) == min(lanes_max, lanes.count)
        left -= set(visited)
        for added, number in changes[:5]:
            if added:
                lanes.add(durable(number, f"l-{number}"))
            else:
                lanes.remove(UUID(int=number))
                left.discard(f"l-{number}")
        del changes[:5]
    assert not left


def test_what_there_is_by_locker() -> None:
    lanes = new_lanes()
    entries = [durable(1), forgetting(2), durable(3, "paris-02")]
    for entry in entries:
        lanes.add(entry)
    assert (lanes.count, lanes.lockers()) == (3, {"berlin-01", "paris-02"})
    assert lanes.of_locker("berlin-01") == [UUID(int=1), UUID(int=2)]
    assert lanes.of_locker("rome-03") == []
