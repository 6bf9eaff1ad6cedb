"""What time it is on a locker, without a synchronised clock.

Every message up carries the locker's boot clock `t`. If it was received at hub time `h`, the locker's clock was
at least `t` then: the unknown delay of the message makes the estimate too early, never too late. So of several
messages the one with the smallest `h - t` is the best, as long as the two clocks have not drifted apart; the
estimate gives the allowed drift away, again on the early side.
"""

from dataclasses import dataclass
from uuid import UUID

WINDOW_MS = 60_000.0
DRIFT_PPM = 200.0
PAIR_AGE_MS_MAX = 3_600_000.0
"""An older pair says nothing: what two clocks do to each other in hours is not known from their data sheets."""


@dataclass(slots=True)
class _Window:
    offset_ms: float
    seen_ms: float


class LockerClock:
    """The clock of one locker. Times are in milliseconds: `t` of the locker's boot, `h` of the hub's."""

    __slots__ = ("_current", "_opened_ms", "_previous", "boot")

    def __init__(self) -> None:
        self.boot: UUID | None = None
        self._current: _Window | None = None
        self._previous: _Window | None = None
        self._opened_ms = 0.0

    def observe(self, boot: UUID, t: int, h: float) -> None:
        """Learn from a message stamped `t` and received at `h`. Another boot starts from nothing."""
        offset = h - t
        if boot != self.boot:
            self.boot = boot
            self._previous = None
            self._current = None
        if self._current is None or h - self._opened_ms >= WINDOW_MS:
            self._previous = self._current
            self._current = _Window(offset, h)
            self._opened_ms = h
        elif offset <= self._current.offset_ms:
            self._current = _Window(offset, h)

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


class Clocks:
    """The clocks of the fleet."""

    def __init__(self) -> None:
        self._clocks: dict[str, LockerClock] = {}

    def observe(self, locker: str, boot: UUID, t: int, h: float) -> None:
        """Learn from a message of a locker; see LockerClock.observe."""
        clock = self._clocks.get(locker)
        if clock is None:
            clock = self._clocks[locker] = LockerClock()
        clock.observe(boot, t, h)

    def forget(self) -> None:
        """Forget all that was learned, because the hub's own clock cannot be trusted to have gone evenly."""
        self._clocks.clear()

    def at(self, locker: str, h: float) -> tuple[UUID, int] | None:
        """Return (boot, t) of a locker at hub time `h`; None if it is unknown."""
        clock = self._clocks.get(locker)
        return None if clock is None else clock.at(h)


def _estimate(window: _Window, h: float) -> float:
    # A clock that went back would make the drift a gain.
    return h - window.offset_ms - max(0.0, h - window.seen_ms) * DRIFT_PPM / 1e6
