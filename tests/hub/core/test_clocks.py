"""The locker's clock: whatever the delays and up to 100 ppm of drift, it is never late, nor far behind."""

from dataclasses import dataclass
from fractions import Fraction
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hub.core.clocks import DRIFT_PPM, PAIR_AGE_MS_MAX, PERSIST_MS, WINDOW_MS, Clocks, LockerClock
from hub.core.timing import DELAY_MS_MAX

BOOT = UUID(int=1)
LOCKER_DRIFT_PPM = 100


@dataclass(frozen=True)
class Boot:
    """A locker's true clock from one start on, exact."""

    id: UUID
    started_h: int
    ppm: int

    def t(self, h: int) -> Fraction:
        return Fraction(h - self.started_h) * (1_000_000 + self.ppm) / 1_000_000


@dataclass(frozen=True)
class Sent:
    boot: Boot
    sent_h: int

    @property
    def t(self) -> int:
        return int(self.boot.t(self.sent_h))


class ClockMachine(RuleBasedStateMachine):
    """Messages are sent, delayed, overtaken; the locker restarts; the hub asks at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.h = 1_000_000
        self.clock = LockerClock()
        self.boots: dict[UUID, Boot] = {}
        self.on_the_way: list[Sent] = []
        self.newest: tuple[Sent, int] | None = None
        self.first_delay: dict[UUID, int] = {}
        """Of each boot's first message: as late as it is, the estimate may be early."""
        self.restart(0)

    @rule(ppm=st.sampled_from([-LOCKER_DRIFT_PPM, -50, 0, 50, LOCKER_DRIFT_PPM]))
    def restart(self, ppm: int) -> None:
        self.boot = Boot(UUID(int=len(self.boots) + 1), self.h, ppm)
        self.boots[self.boot.id] = self.boot

    @rule(ms=st.sampled_from([1, 7, 250, 10_000, 59_999, 60_000, 200_000, 3_600_000]))
    def time_passes(self, ms: int) -> None:
        self.h += ms

    @rule()
    def send(self) -> None:
        self.on_the_way.append(Sent(self.boot, self.h))

    @precondition(lambda self: self.on_the_way)
    @rule(place=st.integers(0, 20))
    def receive(self, place: int) -> None:
        message = self.on_the_way.pop(place % len(self.on_the_way))
        self.first_delay.setdefault(message.boot.id, self.h - message.sent_h)
        believed = self.clock.observe(message.boot.id, message.t, float(self.h))
        # What is honest is believed, unless its boot's first message was held back for longer than is plausible, by
        # a clock that may have gone faster meanwhile.
        plausible_ms = DELAY_MS_MAX * (1 - LOCKER_DRIFT_PPM / 1e6) - 1
        assert believed or self.first_delay[message.boot.id] > plausible_ms
        if believed:
            self.newest = (message, self.h)
        elif self.newest is None or self.newest[0].boot is not message.boot:
            # It is the boot of now all the same, of which nothing is known yet.
            self.newest = None

    @rule()
    def heard_without_delay(self) -> None:
        self.send()
        self.receive(len(self.on_the_way) - 1)

    @invariant()
    def the_estimate_is_never_late(self) -> None:
        for ahead in (0, 1, 2000, 500_000):
            estimate = self.clock.at(float(self.h + ahead))
            if self.newest is None:
                assert estimate is None
                continue
            if estimate is None:
                # One received in this hour would be enough.
                assert self.h + ahead - self.newest[1] > PAIR_AGE_MS_MAX - WINDOW_MS
                continue
            boot, t = estimate
            # Only the newest message's boot can be the one of now; a deadline of any other one is dead.
            assert boot == self.newest[0].boot.id
            assert 0 <= t <= self.boots[boot].t(self.h + ahead)

    @invariant()
    def the_estimate_is_not_far_behind(self) -> None:
        if self.newest is None:
            return
        message, received_h = self.newest
        if self.first_delay[message.boot.id] > DELAY_MS_MAX:
            return
        estimate = self.clock.at(float(self.h))
        if estimate is None:
            return
        delay = received_h - message.sent_h
        allowance = (self.h - message.sent_h) * (DRIFT_PPM + LOCKER_DRIFT_PPM) / 1e6 + WINDOW_MS * DRIFT_PPM / 1e6
        assert message.boot.t(self.h) - estimate[1] <= delay + allowance + 2


ClockMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestLockerClock = ClockMachine.TestCase


def test_nothing_heard_is_nothing_known() -> None:
    assert LockerClock().at(5.0) is None
    assert Clocks().at("berlin-01", 5.0) is None


def test_of_several_messages_the_fastest_counts() -> None:
    clock = LockerClock()
    clock.observe(BOOT, 100, 1100.0)
    clock.observe(BOOT, 200, 1700.0)
    assert clock.at(1700.0) == (BOOT, 699)
    clock.observe(BOOT, 300, 1710.0)
    assert clock.at(1710.0) == (BOOT, 709)


def test_the_best_of_the_window_before_still_counts() -> None:
    clock = LockerClock()
    clock.observe(BOOT, 0, 0.0)
    clock.observe(BOOT, int(WINDOW_MS), WINDOW_MS + 500)
    # 60.5 s at 200 ppm are 12.1 ms: still far better than the 500 ms of the newest.
    assert clock.at(WINDOW_MS + 500) == (BOOT, int(WINDOW_MS) + 500 - 13)


def test_another_boot_begins_from_nothing() -> None:
    clock = LockerClock()
    clock.observe(BOOT, 50_000, 60_000.0)
    clock.observe(UUID(int=2), 10, 61_000.0)
    assert clock.at(61_000.0) == (UUID(int=2), 10)


def test_an_old_pair_says_nothing() -> None:
    clock = LockerClock()
    clock.observe(BOOT, 0, 0.0)
    assert clock.at(PAIR_AGE_MS_MAX) is not None
    assert clock.at(PAIR_AGE_MS_MAX + 1) is None
    # The better one of two grows old first.
    clock.observe(BOOT, int(WINDOW_MS), WINDOW_MS + 500)
    assert clock.at(PAIR_AGE_MS_MAX + 1) == (BOOT, int(PAIR_AGE_MS_MAX + 1 - 500 - 3_539_501 * DRIFT_PPM / 1e6))


def test_a_hub_clock_that_goes_back_makes_nothing_later() -> None:
    clock = LockerClock()
    clock.observe(BOOT, 50_000, 60_000.0)
    assert clock.at(40_000.0) == (BOOT, 30_000)


def test_a_hub_that_cannot_trust_its_own_clock_forgets_all() -> None:
    clocks = Clocks()
    clocks.observe("berlin-01", BOOT, 100, 1000.0)
    clocks.forget()
    assert clocks.at("berlin-01", 1000.0) is None


def test_the_estimate_is_never_negative() -> None:
    clock = LockerClock()
    clock.observe(BOOT, 0, 1000.0)
    assert clock.at(900.0) == (BOOT, 0)


def test_each_locker_has_its_own_clock() -> None:
    clocks = Clocks()
    clocks.observe("a", BOOT, 10, 100.0)
    clocks.observe("b", UUID(int=2), 20, 100.0)
    clocks.observe("a", BOOT, 15, 105.0)
    assert clocks.at("a", 105.0) == (BOOT, 15)
    assert clocks.at("b", 100.0) == (UUID(int=2), 20)


HOUR_MS = 3_600_000


@given(
    st.lists(
        st.tuples(
            st.integers(1, 40_000), st.integers(-10_000, 100 * HOUR_MS), st.sampled_from([BOOT, UUID(int=2)])
        ),
        max_size=60,
    )
)
def test_what_is_forged_between_honest_messages_makes_a_deadline_a_minute_late_at_most(
    forged: list[tuple[int, int, UUID]],
) -> None:
    """Somebody on the line adds messages of his own, of any `t` and boot; honest ones come once a minute."""
    clock, h = LockerClock(), 0.0
    clock.observe(BOOT, 0, h)
    for after_ms, ahead_ms, boot in forged:
        h += after_ms
        clock.observe(boot, max(0, int(h) + ahead_ms), h)
        found = clock.at(h)
        # None: of a boot that is said to have come back, nothing is known that is possible.
        if found is not None and found[0] == BOOT:
            assert found[1] <= h + DELAY_MS_MAX + h * DRIFT_PPM / 1e6 + 1
        clock.observe(BOOT, int(h), h)


def test_a_clock_that_leaps_ahead_is_not_believed() -> None:
    clock = LockerClock()
    assert clock.observe(BOOT, 5000, 5000.0)
    assert not clock.observe(BOOT, 5000 + 8 * HOUR_MS, 5100.0)
    assert clock.at(5200.0) == (BOOT, 5199)
    assert clock.observe(BOOT, 5300, 5300.0)


def test_another_boot_in_between_does_not_make_a_leap_believed() -> None:
    clock = LockerClock()
    clock.observe(BOOT, 5000, 5000.0)
    clock.observe(UUID(int=2), 5000, 5100.0)
    assert not clock.observe(BOOT, 5000 + HOUR_MS, 5200.0)
    assert clock.at(5300.0) is None


def test_a_leap_that_is_all_that_is_heard_is_believed_after_a_minute() -> None:
    """Then the first message was the late one; of what came since, the earliest counts."""
    clock = LockerClock()
    clock.observe(BOOT, 0, HOUR_MS)
    told = [(HOUR_MS + n * 20_000 + n - 5, HOUR_MS + n * 20_000) for n in range(1, 5)]
    assert [clock.observe(BOOT, t, float(h)) for t, h in told] == [False, False, False, True]
    assert told[-1][1] - told[0][1] == PERSIST_MS
    assert clock.at(float(told[-1][1])) == (BOOT, told[-1][1] - 4)


def test_a_leap_that_is_contradicted_is_never_believed() -> None:
    clock = LockerClock()
    for minute in range(10):
        h = minute * 60_000.0
        assert clock.observe(BOOT, int(h), h)
        assert not clock.observe(BOOT, int(h) + HOUR_MS, h + 1)
        assert not clock.observe(BOOT, int(h) + HOUR_MS + 30_000, h + 30_000)


def test_what_may_have_been_held_back_begins_no_boot() -> None:
    clock = LockerClock()
    assert clock.observe(BOOT, 5000, 5000.0, begins=False)
    assert clock.at(5000.0) is None
    clock.observe(BOOT, 5000, 5050.0)
    # The stored reply of a boot before does not make the hub believe in it again.
    clock.observe(UUID(int=2), 9, 5060.0, begins=False)
    assert clock.at(5060.0) == (BOOT, 5009)
    clock.observe(BOOT, 5070, 5070.0, begins=False)
    assert clock.at(5070.0) == (BOOT, 5070)


def test_a_leap_is_told() -> None:
    told: list[tuple[str, float]] = []
    clocks = Clocks(lambda locker, h: told.append((locker, h)))
    assert clocks.observe("a", BOOT, 5, 5.0)
    assert not clocks.observe("a", BOOT, HOUR_MS, 6.0)
    assert told == [("a", 6.0)]
