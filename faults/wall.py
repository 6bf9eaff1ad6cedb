"""A wall clock of its own for one process (libfaketime); CLOCK_MONOTONIC and CLOCK_BOOTTIME stay true.

libfaketime 0.9.10 leaves the monotonic clock alone, but not a condition variable that waits by it: it takes
what is left of such a wait from a wall clock, 56 years too little, and the wait ends at once. Python hands its
lock on between threads by such a wait, of 5 ms. Without more, a thread that wants the lock spins: it reads the
file below tens of thousands of times a second, with the mutex in its hand that the holder needs for giving the
lock away. An agent stood still for seconds that way. FAKETIME_WAIT_MS gives every wait of that kind the length
that Python's have.
"""

import sys
from pathlib import Path
from typing import Final

YEAR_2039_S: Final = 400_000_000
YEAR_1970_S: Final = -1_790_000_000
HOUR_S: Final = 3600


class WallClock:
    """A file with an offset that a process reads at each look at its wall clock."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)
        self._library = _library()

    @property
    def there(self) -> bool:
        """Whether libfaketime is installed (Debian: libfaketime)."""
        return self._library is not None

    @property
    def environment(self) -> dict[str, str]:
        """Return what the process has to be started with."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_WAIT_MS": str(round(sys.getswitchinterval() * 1000)),
        }

    def set(self, offset_s: int) -> None:
        """Set the clock so many seconds off, at once."""
        # A reader must never find half a file.
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{offset_s:+d}\n")
        draft.replace(self._file)


def _library() -> Path | None:
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
