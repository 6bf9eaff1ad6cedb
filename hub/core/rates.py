"""A token bucket, with time as an argument."""


class TokenBucket:
    """`burst` tokens at the most, refilled at `per_minute`."""

    __slots__ = ("_burst", "_per_ms", "_seen_ms", "_tokens")

    def __init__(self, per_minute: float, burst: float) -> None:
        self._per_ms = per_minute / 60_000
        self._burst = burst
        self._tokens = burst
        self._seen_ms: float | None = None

    def take(self, now_ms: float) -> float:
        """Take one token. Returns 0, or the milliseconds until there will be one."""
        if self._seen_ms is not None:
            elapsed_ms = max(0.0, now_ms - self._seen_ms)
            self._tokens = min(self._burst, self._tokens + elapsed_ms * self._per_ms)
        self._seen_ms = now_ms
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_ms
