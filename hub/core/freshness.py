"""Whether a request that is met now was made now.

A process that was frozen finds, when it goes on, requests that had waited for it in the kernel, and cannot tell
them from new ones. What would open a door is asked for again rather than done late.
"""


class LoopFreshness:
    """Knows of freezes by looking at the clock again and again.

    Args:
        stall_ms_max: a longer time between two looks is a freeze.
        hold_ms: for how long afterwards requests may be old.
    """

    def __init__(self, *, stall_ms_max: float, hold_ms: float) -> None:
        self._stall_ms_max = stall_ms_max
        self._hold_ms = hold_ms
        self._seen_ms: float | None = None
        self._stall_ms = 0.0
        self._until_ms = float("-inf")

    def look(self, now_ms: float) -> float | None:
        """Return how old a request that is met now may be, in milliseconds; None if it is new."""
        if self._seen_ms is not None and now_ms - self._seen_ms > self._stall_ms_max:
            self._stall_ms = now_ms - self._seen_ms
            self._until_ms = now_ms + self._hold_ms
        self._seen_ms = now_ms
        return self._stall_ms if now_ms < self._until_ms else None
