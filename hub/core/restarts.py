"""When a task that has failed is started again: after a pause that grows while it goes on failing."""

from dataclasses import dataclass
from typing import Final

_DOUBLINGS_MAX: Final = 20


@dataclass(slots=True)
class Restarts:
    """The failures of one task. Times are of a monotonic clock, in milliseconds."""

    pause_ms_min: float = 100.0
    pause_ms_max: float = 30_000.0
    calm_ms: float = 60_000.0
    """After having run for so long it is well again, and its next pause is the shortest."""
    in_a_row: int = 0
    """Failures since it last ran for `calm_ms`."""
    began_ms: float = 0.0
    """When it last began, or is to begin."""
    is_down: bool = False
    """It failed and has not begun again, whether or not the time for that has come."""

    def begin(self, now_ms: float) -> None:
        """Note that it begins."""
        self.is_down = False
        self.began_ms = now_ms

    def fail(self, now_ms: float, jitter: float) -> float:
        """Note that it failed; return for how many milliseconds to wait. `jitter` is between 0 and 1, at random."""
        if now_ms - self.began_ms >= self.calm_ms:
            self.in_a_row = 0
        doubled = 1 << min(self.in_a_row, _DOUBLINGS_MAX)
        pause_ms = min(self.pause_ms_max, self.pause_ms_min * doubled) * (0.5 + jitter / 2)
        self.in_a_row += 1
        self.is_down = True
        self.began_ms = now_ms + pause_ms
        return pause_ms

    def is_failing(self, now_ms: float) -> bool:
        """Say whether it is down, or has failed more than once and not run well since."""
        if self.in_a_row == 0:
            return False
        return self.is_down or (self.in_a_row > 1 and now_ms - self.began_ms < self.calm_ms)
