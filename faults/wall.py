"""A wall clock of its own for one process (libfaketime); CLOCK_MONOTONIC and CLOCK_BOOTTIME stay true."""

from pathlib import Path
from typing import Final

YEAR_2039_S: Final = 400_000_000
YEAR_1970_S: Final = -1_790_000_000
HOUR_S: Final = 3600


class WallClock:
    """A file with an offset that a process reads at each look at its clock.

    libfaketime makes every look slow, and now and then very slow: an opening may meet its deadline because of that.
    """

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
        }

    def set(self, offset_s: int) -> None:
        """Set the clock so many seconds off, at once."""
        # A reader must never find half a file.
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{offset_s:+d}\n")
        draft.replace(self._file)


def _library() -> Path | None:
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
