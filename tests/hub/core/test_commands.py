"""Commands against a plain model: each settles once, one a door at a time, and what the sensor saw is joined."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hub.core.commands import (
    CommandRecord,
    CommandRefusal,
    CommandReply,
    CommandStatus,
    CommandTracker,
    DoorOutcome,
    Order,
)
from wire.messages import CommandState, Stages

AT = datetime(2026, 11, 20, tzinfo=UTC)
LOCKERS = st.sampled_from(["berlin-01", "paris-02"])
ORDERS = st.builds(Order, LOCKERS, st.just("open"), st.sampled_from([None, 1, 2]))
DEADLINE_MS, GRACE_MS, IN_FLIGHT_MAX = 100.0, 50.0, 3


def word(state: CommandState, stages: Stages | None = None) -> CommandReply:
    return CommandReply.of(state, None, stages)


UNSETTLED = {"sent", "accepted", "timed_out"}
"""In their order; whatever else ends a command."""
ORDER = ["queued", "sent", "accepted", "timed_out"]


@dataclass
class Plain:
    order: Order
    since: float
    state: str = "sent"
    outcome: str | None = None
    late: bool = False
    detail: str | None = None
    disowned: str | None = None

    @property
    def in_flight(self) -> bool:
        return self.state in {"sent", "accepted"}


class BookMachine(RuleBasedStateMachine):
    """People ask, lockers answer or do not, sensors see, time passes, and the hub restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.book = self.new_book()
        self.plain: dict[UUID, Plain] = {}
        self.now = 0.0

    def new_book(self) -> CommandTracker:
        return CommandTracker(in_flight_max=IN_FLIGHT_MAX, remembered_max=1000, grace_ms=GRACE_MS)

    def in_flight(self) -> list[Plain]:
        return [plain for plain in self.plain.values() if plain.in_flight]

    def known(self, data: st.DataObject) -> UUID:
        return data.draw(st.sampled_from([*self.plain, UUID(int=999)]))

    @rule(order=ORDERS)
    def submit(self, order: Order) -> None:
        command = UUID(int=len(self.plain) + 1)
        assert self.book.repeat(command, order) is None
        result = self.book.submit(command, order, at=AT, now_ms=self.now, deadline_ms=DEADLINE_MS)
        busy = any((one.order.locker, one.order.door) == (order.locker, order.door) for one in self.in_flight())
        if len(self.in_flight()) >= IN_FLIGHT_MAX:
            assert result is CommandRefusal.HUB_BUSY
        elif order.door is not None and busy:
            assert result is CommandRefusal.DOOR_BUSY
        else:
            assert isinstance(result, CommandRecord)
            assert result.id == command
            self.plain[command] = Plain(order, self.now)

    @precondition(lambda self: any(plain.state == "sent" for plain in self.plain.values()))
    @rule(data=st.data())
    def the_broker_is_away(self, data: st.DataObject) -> None:
        command = data.draw(st.sampled_from([one for one, plain in self.plain.items() if plain.state == "sent"]))
        self.book.withdraw(command)
        # Its number is used by nobody else: the model keeps it as one that never was.
        self.plain[command].state = "withdrawn"

    @rule(data=st.data(), order=ORDERS)
    def ask_again(self, data: st.DataObject, order: Order) -> None:
        command = self.known(data)
        plain = self.plain.get(command)
        result = self.book.repeat(command, order)
        if plain is None or plain.state == "withdrawn":
            assert result is None
        elif plain.order == order:
            assert isinstance(result, CommandRecord)
            assert result.id == command
        else:
            assert result is CommandRefusal.IDEMPOTENCY_KEY_REUSED

    @rule(
        data=st.data(),
        state=st.sampled_from(CommandState),
        reason=st.sampled_from([None, "why", "cancelled", "retained", "bad_signature"]),
        locker=LOCKERS,
    )
    def locker_says(self, data: st.DataObject, state: CommandState, reason: str | None, locker: str) -> None:
        command = self.known(data)
        plain = self.plain.get(command)
        changed = self.book.hear(command, locker, CommandReply.of(state, reason, None), self.now)
        if state is CommandState.REJECTED and reason in {"retained", "bad_signature"}:
            assert changed is None
            if plain is not None and plain.state != "withdrawn" and plain.order.locker == locker:
                plain.disowned = reason
            return
        told = "cancelled" if (state, reason) == (CommandState.REJECTED, "cancelled") else state.value
        if (
            plain is None
            or plain.state not in UNSETTLED
            or plain.order.locker != locker
            or (told in ORDER and ORDER.index(told) <= ORDER.index(plain.state))
        ):
            assert changed is None
            return
        assert changed is not None
        assert changed.id == command
        plain.late = plain.late or plain.state == "timed_out"
        plain.state = told
        plain.detail = reason

    @rule(data=st.data(), outcome=st.sampled_from(DoorOutcome), locker=LOCKERS)
    def saw(self, data: st.DataObject, outcome: DoorOutcome, locker: str) -> None:
        command = self.known(data)
        plain = self.plain.get(command)
        changed = self.book.saw(command, locker, outcome, self.now)
        follows = {
            (None, "opened"), (None, "open_not_detected"), ("open_not_detected", "opened"), ("opened", "closed"),
        }  # fmt: skip
        if (
            plain is None
            or plain.state == "withdrawn"
            or plain.order.locker != locker
            or (plain.outcome, outcome.value) not in follows
        ):
            assert changed is None
            return
        assert changed is not None
        assert changed.stages_ms[outcome.value] == self.now - plain.since
        plain.outcome = outcome.value

    @rule(ms=st.sampled_from([0, 1, 49, 50, 100, 149]))
    def time_passes(self, ms: int) -> None:
        self.now += ms
        due = {
            command
            for command, plain in self.plain.items()
            if plain.in_flight and self.now - plain.since >= DEADLINE_MS + GRACE_MS
        }
        assert {entry.id for entry in self.book.due(self.now)} == due
        for command in due:
            self.plain[command].state = "timed_out"
            self.plain[command].detail = self.plain[command].disowned

    @rule()
    def the_hub_restarts(self) -> None:
        """What it knew comes back from the database, oldest first; the model does not notice."""
        before, self.book = self.book, self.new_book()
        for command in self.plain:
            entry = before.find(command)
            if entry is not None:
                self.book.restore(replace(entry, stages_ms=dict(entry.stages_ms)))

    @invariant()
    def both_say_the_same(self) -> None:
        assert len(self.book) == len(self.in_flight())
        for command, plain in self.plain.items():
            entry = self.book.find(command)
            if plain.state == "withdrawn":
                assert entry is None
                continue
            assert entry is not None
            assert (entry.state.value, entry.detail, entry.late) == (plain.state, plain.detail, plain.late)
            assert (None if entry.outcome is None else entry.outcome.value) == plain.outcome
            assert entry.settled == (plain.state not in UNSETTLED)


BookMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestCommandBook = BookMachine.TestCase


def test_a_command_goes_forward_only() -> None:
    unsettled = [CommandStatus.QUEUED, CommandStatus.SENT, CommandStatus.ACCEPTED, CommandStatus.TIMED_OUT]
    for before in CommandStatus:
        for after in CommandStatus:
            entry = CommandRecord(
                UUID(int=1), Order("berlin-01", "open"), AT, 0.0, DEADLINE_MS, state=before, detail="old"
            )
            forward = before in unsettled and (
                after not in unsettled or unsettled.index(after) > unsettled.index(before)
            )
            assert entry.advance(after, "new") is forward
            assert (entry.state, entry.detail) == ((after, "new") if forward else (before, "old"))
            assert entry.late is (forward and before is CommandStatus.TIMED_OUT)


def book(remembered_max: int = 10) -> CommandTracker:
    return CommandTracker(in_flight_max=10, remembered_max=remembered_max, grace_ms=GRACE_MS)


def submit(to: CommandTracker, number: int, door: int | None = None, now_ms: float = 0.0) -> CommandRecord:
    order = Order("berlin-01", "open", door)
    entry = to.submit(UUID(int=number), order, at=AT, now_ms=now_ms, deadline_ms=DEADLINE_MS)
    assert isinstance(entry, CommandRecord)
    return entry


def test_only_the_newest_settled_commands_are_remembered() -> None:
    commands = book(remembered_max=2)
    for number in (1, 2, 3):
        submit(commands, number)
        assert commands.hear(UUID(int=number), "berlin-01", word(CommandState.SUCCEEDED), 1.0)
    assert commands.find(UUID(int=1)) is None
    assert commands.find(UUID(int=2)) is not None
    assert commands.find(UUID(int=3)) is not None


def test_a_late_reply_makes_a_command_new_again_among_the_remembered() -> None:
    commands = book(remembered_max=2)
    submit(commands, 1)
    submit(commands, 2)
    assert len(commands.due(1000.0)) == 2
    assert commands.hear(UUID(int=1), "berlin-01", word(CommandState.FAILED), 1001.0)
    submit(commands, 3)
    assert len(commands.due(2000.0)) == 1
    assert commands.find(UUID(int=1)) is not None
    assert commands.find(UUID(int=2)) is None


def test_a_late_reply_does_not_free_the_door_of_the_next_command() -> None:
    commands = book()
    submit(commands, 1, door=1)
    assert commands.due(1000.0)
    submit(commands, 2, door=1, now_ms=1000.0)
    assert commands.hear(UUID(int=1), "berlin-01", word(CommandState.SUCCEEDED), 1001.0)
    again = commands.submit(
        UUID(int=3), Order("berlin-01", "open", 1), at=AT, now_ms=1002.0, deadline_ms=DEADLINE_MS
    )
    assert again is CommandRefusal.DOOR_BUSY


def test_a_door_is_free_again_only_when_its_command_can_no_longer_act() -> None:
    """The locker's deadline is not after the hub's: after it, and a grace for the word of it, nothing can act."""
    commands = book()
    submit(commands, 1, door=1, now_ms=0.0)
    order = Order("berlin-01", "open", 1)
    for now_ms in (0.0, DEADLINE_MS, DEADLINE_MS + GRACE_MS - 0.1):
        assert commands.due(now_ms) == []
        again = commands.submit(UUID(int=2), order, at=AT, now_ms=now_ms, deadline_ms=DEADLINE_MS)
        assert again is CommandRefusal.DOOR_BUSY
    assert [one.id for one in commands.due(DEADLINE_MS + GRACE_MS)] == [UUID(int=1)]
    submit(commands, 2, door=1, now_ms=DEADLINE_MS + GRACE_MS)


def test_a_restored_command_in_flight_keeps_its_door_until_its_deadline_is_over() -> None:
    before, after = book(), book()
    after.restore(submit(before, 1, door=1))
    order = Order("berlin-01", "open", 1)
    busy = after.submit(UUID(int=2), order, at=AT, now_ms=1.0, deadline_ms=DEADLINE_MS)
    assert busy is CommandRefusal.DOOR_BUSY
    assert len(after.due(DEADLINE_MS + GRACE_MS)) == 1
    submit(after, 2, door=1, now_ms=200.0)


def test_a_late_word_says_nothing_of_where_the_time_went() -> None:
    commands = book()
    entry = submit(commands, 1)
    commands.published(entry.id, 1.0)
    assert commands.due(1000.0)
    assert commands.hear(entry.id, "berlin-01", word(CommandState.SUCCEEDED, STAGES), 5000.0) is entry
    assert entry.stages_ms == {"published": 1.0, "replied": 5000.0}
    assert entry.late


STAGES = Stages(received_t=5, started_us=1000, pulsed_us=3000, replied_us=4000)


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        # 14 ms round trip, 4 ms of them at the agent: 5 ms each way.
        (STAGES, {"published": 1.0, "received": 6.0, "started": 7.0, "pulsed": 9.0, "replied": 15.0}),
        # An older agent does not say when it replied.
        (
            Stages(received_t=5, started_us=1000, pulsed_us=4000),
            {"published": 1.0, "received": 6.0, "started": 7.0, "pulsed": 10.0, "replied": 15.0},
        ),
        (Stages(received_t=5), {"published": 1.0, "received": 8.0, "replied": 15.0}),
        # An agent that says it took longer than the round trip is not believed; two clocks may differ by a little.
        (Stages(received_t=5, replied_us=99_000), {"published": 1.0, "replied": 15.0}),
        (Stages(received_t=5, pulsed_us=2**53 - 1, replied_us=1), {"published": 1.0, "replied": 15.0}),
        (Stages(received_t=5, replied_us=15_000), {"published": 1.0, "received": 1.0, "replied": 15.0}),
        (None, {"published": 1.0, "replied": 15.0}),
    ],
)
def test_stages_are_placed_inside_the_round_trip(stages: Stages | None, expected: dict[str, float]) -> None:
    commands = book()
    entry = submit(commands, 1, now_ms=100.0)
    commands.published(entry.id, 101.0)
    assert commands.hear(entry.id, "berlin-01", word(CommandState.SUCCEEDED, stages), 115.0) is entry
    assert entry.stages_ms == pytest.approx(expected)
    assert entry.state is CommandStatus.SUCCEEDED
