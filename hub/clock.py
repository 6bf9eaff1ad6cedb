"""The hub's clocks. Core code takes these values as arguments."""

import time
from datetime import UTC, datetime
from typing import Final

# BOOTTIME goes on while the machine sleeps, as the lockers' clocks do; macOS's MONOTONIC does so as well.
_BOOT: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_ms() -> float:
    """Return the monotonic time in milliseconds, for deadlines and durations."""
    return time.clock_gettime_ns(_BOOT) / 1e6


def suspended_ms() -> float:
    """Return how long this machine has slept since it started, which another of its clocks has told."""
    return (time.clock_gettime_ns(_BOOT) - time.monotonic_ns()) / 1e6


def wall_ms() -> int:
    """Return the wall clock in milliseconds since the Unix epoch, for records."""
    return time.time_ns() // 1_000_000


def wall() -> datetime:
    """Return the wall clock in UTC, for records."""
    return datetime.now(UTC)


def from_ms(unix_ms: int) -> datetime:
    """Return a Unix time in milliseconds as a datetime in UTC."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
