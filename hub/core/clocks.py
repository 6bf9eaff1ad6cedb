"""What time it is on a locker, without a synchronised clock.

Every message up carries the locker's boot clock `t`. If it was received at hub time `h`, the locker's clock was
at least `t` then: the unknown delay of the message makes the estimate too early, never too late. So of several
messages the one with the smallest `h - t` is the best, as long as the two clocks have not drifted apart; the
estimate gives the allowed drift away, again on the early side.

That holds for what an honest locker says. A clock cannot run ahead of real time: once a boot was heard, its later
messages can improve on the first one by no more than that one's delay, and by the drift since. What says more (a
clock that leapt, a message that was changed on its way) is not believed, unless it is all that is heard, for a
while: then the first message was the late one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from hub.core.timing import DELAY_MS_MAX

WINDOW_MS = 60_000.0
DRIFT_PPM = 200.0
PAIR_AGE_MS_MAX = 3_600_000.0
"""An older pair says nothing: what two clocks do to each other in hours is not known from their data sheets."""
PERSIST_MS = 60_000.0
PERSIST_MESSAGES = 3
"""A clock that leapt is believed once so many messages, over so long, say the same, and none contradicts them."""
_BOOTS_MAX = 3


@dataclass(slots=True)
class _Window:
    offset_ms: float
    seen_ms: float


@dataclass(slots=True)
class _Leap:
    """What was not believed: the least of it, since when, and how often."""

    offset_ms: float
    since_ms: float
    messages: int = 1


class LockerClock:
    """The clock of one locker. Times are in milliseconds: `t` of the locker's boot, `h` of the hub's."""

    __slots__ = ("_current", "_floor", "_floors", "_leap", "_opened_ms", "_previous", "boot")

    def __init__(self) -> None:
        self.boot: UUID | None = None
        self._current: _Window | None = None
        self._previous: _Window | None = None
        self._opened_ms = 0.0
        self._floor = _Window(0.0, 0.0)
        """The least `h - t` that is possible, and when it was that; it sinks with the drift."""
        self._floors: dict[UUID, _Window] = {}
        """That of the boots that were heard last: who says another boot in between does not get rid of it."""
        self._leap: _Leap | None = None

    def observe(self, boot: UUID, t: int, h: float, *, begins: bool = True) -> bool:
        """Learn from a message stamped `t` and received at `h`. Another boot starts from nothing.

        Args:
            boot: of the sender.
            t: its boot clock as it sent the message.
            h: the hub's clock at the receipt.
            begins: whether the message can be the first one of a boot: not if it may have been held back for long.

        Returns False if it is not possible, and nothing was learnt from it.
        """
        offset = h - t
        if boot != self.boot:
            if not begins:
                return True
            self._turn_to(boot, offset, h)
        if offset < self._floor.offset_ms and not _is_above(self._floor, offset, h):
            earliest = self._persists(offset, h)
            if earliest is None:
                return False
            offset = earliest
        self._leap = None
        if self._current is None or h - self._opened_ms >= WINDOW_MS:
            self._previous = self._current
            self._current = _Window(offset, h)
            self._opened_ms = h
        elif offset <= self._current.offset_ms:
            self._current = _Window(offset, h)
        return True

    def possible(self, boot: UUID, t: int, h: float) -> bool:
        """Say whether `observe` would believe a message now, and learn nothing."""
        floor = self._floor if boot == self.boot else self._floors.get(boot)
        return floor is None or _is_above(floor, h - t, h)

    def at(self, h: float) -> tuple[UUID, int] | None:
        """Return (boot, t): the locker's clock at hub time `h`, early rather than late; None if not known."""
        if self.boot is None or self._current is None:
            return None
        estimates = [
            _estimate(window, h)
            for window in (self._current, self._previous)
            if window is not None and h - window.seen_ms <= PAIR_AGE_MS_MAX
        ]
        return (self.boot, max(0, int(max(estimates)))) if estimates else None

    def _turn_to(self, boot: UUID, offset: float, h: float) -> None:
        self.boot = boot
        self._previous = None
        self._current = None
        self._leap = None
        known = self._floors.pop(boot, None)
        self._floor = self._floors[boot] = known or _Window(offset - DELAY_MS_MAX, h)
        if len(self._floors) > _BOOTS_MAX:
            del self._floors[next(iter(self._floors))]

    def _persists(self, offset: float, h: float) -> float | None:
        """Begin anew if a leap is all that is heard for long enough; return the earliest that it said."""
        leap = self._leap
        if leap is None or abs(offset - leap.offset_ms) > DELAY_MS_MAX:
            self._leap = _Leap(offset, h)
            return None
        leap.messages += 1
        leap.offset_ms = max(leap.offset_ms, offset)
        if leap.messages < PERSIST_MESSAGES or h - leap.since_ms < PERSIST_MS:
            return None
        assert self.boot is not None, "a leap is one of a boot"  # noqa: S101
        del self._floors[self.boot]
        self._turn_to(self.boot, leap.offset_ms, h)
        return leap.offset_ms


class Clocks:
    """The clocks of the fleet.

    Args:
        on_leap: called with a locker and the hub's time for each message that says what is not possible.
    """

    def __init__(self, on_leap: Callable[[str, float], None] = lambda _locker, _h: None) -> None:
        self._clocks: dict[str, LockerClock] = {}
        self._on_leap = on_leap

    def observe(self, locker: str, boot: UUID, t: int, h: float, *, begins: bool = True) -> bool:
        """Learn from a message of a locker, or return False if it is not possible; see LockerClock.observe."""
        clock = self._clocks.get(locker)
        if clock is None:
            clock = self._clocks[locker] = LockerClock()
        believed = clock.observe(boot, t, h, begins=begins)
        if not believed:
            self._on_leap(locker, h)
        return believed

    def possible(self, locker: str, boot: UUID, t: int, h: float) -> bool:
        """Say whether a message of a locker would be believed; see LockerClock.possible."""
        clock = self._clocks.get(locker)
        return clock is None or clock.possible(boot, t, h)

    def forget(self) -> None:
        """Forget all that was learned, because the hub's own clock cannot be trusted to have gone evenly."""
        self._clocks.clear()

    def at(self, locker: str, h: float) -> tuple[UUID, int] | None:
        """Return (boot, t) of a locker at hub time `h`; None if it is unknown."""
        clock = self._clocks.get(locker)
        return None if clock is None else clock.at(h)


def _is_above(floor: _Window, offset: float, h: float) -> bool:
    return offset >= floor.offset_ms - max(0.0, h - floor.seen_ms) * DRIFT_PPM / 1e6


def _estimate(window: _Window, h: float) -> float:
    # A clock that went back would make the drift a gain.
    return h - window.offset_ms - max(0.0, h - window.seen_ms) * DRIFT_PPM / 1e6
