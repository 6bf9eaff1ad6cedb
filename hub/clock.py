"""The hub's clocks. Core code takes these values as arguments."""

import time
from datetime import UTC, datetime
from typing import Final

# BOOTTIME goes on while the machine sleeps, as the lockers' clocks do; macOS's MONOTONIC does so as well.
_BOOT: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_BETWEEN_NS: Final = 1_000_000
"""Two clocks that were read within it were read at once."""
_LOOKS_MAX: Final = 5


def now_ms() -> float:
    """Return the monotonic time in milliseconds, for deadlines and durations."""
    return time.clock_gettime_ns(_BOOT) / 1e6


def suspended_ms() -> float:
    """Return how long this machine has slept since it started, which another of its clocks has told.

    Of several readings the one with the least between its two clocks counts: a thread that was put aside between
    them would look like a machine that slept.
    """
    least_ns, suspended_ns = None, 0
    for _ in range(_LOOKS_MAX):
        before_ns = time.monotonic_ns()
        boot_ns = time.clock_gettime_ns(_BOOT)
        between_ns = time.monotonic_ns() - before_ns
        if least_ns is None or between_ns < least_ns:
            least_ns, suspended_ns = between_ns, boot_ns - before_ns
        if between_ns < _BETWEEN_NS:
            break
    return suspended_ns / 1e6


def wall_ms() -> int:
    """Return the wall clock in milliseconds since the Unix epoch, for records."""
    return time.time_ns() // 1_000_000


def wall() -> datetime:
    """Return the wall clock in UTC, for records."""
    return datetime.now(UTC)


def from_ms(unix_ms: int) -> datetime:
    """Return a Unix time in milliseconds as a datetime in UTC."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
