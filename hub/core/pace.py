"""How fast a job may send: evenly by its own rate, and below the ceiling over all jobs. Time is an argument."""

from collections import deque
from math import ceil
from typing import Final

_MINUTE_MS: Final = 60_000.0
_CATCH_UP_MS: Final = 1000.0
"""A sender that was held up makes good for this long, and for no longer."""


class Pace:
    """Even spacing: one every 60 s / `per_minute`."""

    def __init__(self, per_minute: int) -> None:
        # In whole microseconds, and rather longer: a third of a minute has no exact float.
        self._gap_ms = ceil(_MINUTE_MS * 1000 / per_minute) / 1000
        self._next_ms: float | None = None

    def due(self, now_ms: float) -> int:
        """Return how many may be sent now."""
        if self._next_ms is None:
            return 1
        if now_ms < self._next_ms:
            return 0
        return int((now_ms - self._start_ms(now_ms)) / self._gap_ms) + 1

    def spend(self, count: int, now_ms: float) -> None:
        """Note that `count` are being sent."""
        self._next_ms = self._start_ms(now_ms) + count * self._gap_ms

    def _start_ms(self, now_ms: float) -> float:
        return now_ms if self._next_ms is None else max(self._next_ms, now_ms - _CATCH_UP_MS)


class Ceiling:
    """At most `per_minute` in any 60 s, whenever they begin: a hard limit and not an average."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._sent_ms: deque[float] = deque()

    def free(self, now_ms: float) -> int:
        """Return how many may be sent now."""
        while self._sent_ms and self._sent_ms[0] <= now_ms - _MINUTE_MS:
            self._sent_ms.popleft()
        return max(0, self._per_minute - len(self._sent_ms))

    def add(self, now_ms: float) -> None:
        """Note that one was sent. Calls are in the order of their time."""
        self._sent_ms.append(now_ms)
