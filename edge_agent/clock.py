"""The clocks of a locker: since boot, on the wall, and how far the wall is to be trusted."""

import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from wire.messages import Clock

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_YEAR_2024_MS: Final = 1_704_067_200_000
_QUALITY_AGE_MS: Final = 5_000
_TIME_ERROR: Final = 5
_STA_UNSYNC: Final = 0x0040
# CLOCK_BOOTTIME goes on while the machine sleeps, so that a command's deadline does too.
_BOOT_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Stamp:
    """One moment: `t` in ms since boot, `at` in ms since 1970 as this locker believes, and its quality."""

    t: int
    at: int
    clock: Clock


class BootClock:
    """Tells the time of one boot.

    `boot` names the boot. Without one given it is the kernel's, or random where the kernel has none.
    `synced` says whether something disciplines the wall clock; it is asked at most every 5 s.
    """

    def __init__(self, boot: UUID | None = None, *, synced: Callable[[], bool] | None = None) -> None:
        self.boot = boot or boot_id()
        self._synced = synced or kernel_clock_synced
        self._asked_t: int | None = None
        self._was_synced = False

    def t(self) -> int:
        """Return milliseconds since boot."""
        return time.clock_gettime_ns(_BOOT_CLOCK) // 1_000_000

    def us(self) -> int:
        """Return microseconds since boot."""
        return time.clock_gettime_ns(_BOOT_CLOCK) // 1_000

    def stamp(self) -> Stamp:
        """Return this moment on every clock."""
        t = self.t()
        at = time.time_ns() // 1_000_000
        if at < _YEAR_2024_MS:
            return Stamp(t, max(at, 0), Clock.UNSET)
        if self._asked_t is None or t - self._asked_t >= _QUALITY_AGE_MS:
            self._asked_t, self._was_synced = t, self._synced()
        return Stamp(t, at, Clock.SYNCED if self._was_synced else Clock.HOLDOVER)


def boot_id() -> UUID:
    """Return the kernel's random id of this boot, or a random one for this process where there is none."""
    try:
        return UUID(_BOOT_ID.read_text().strip())
    except (OSError, ValueError):
        return uuid4()


def kernel_clock_synced() -> bool:
    """Say whether the kernel's clock is disciplined (adjtimex(2)); False where it cannot tell."""
    if _libc is None:
        return False
    # struct timex: modes (0: read), four longs, then status; it has at most 208 bytes.
    block = (ctypes.c_char * 256)()
    state = _libc.adjtimex(block)
    status_at = 5 * ctypes.sizeof(ctypes.c_long)
    status = ctypes.c_int.from_buffer(block, status_at).value
    return bool(0 <= state < _TIME_ERROR and not status & _STA_UNSYNC)


def _load_libc() -> ctypes.CDLL | None:
    if os.name != "posix":
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    return libc if hasattr(libc, "adjtimex") else None


_libc = _load_libc()
