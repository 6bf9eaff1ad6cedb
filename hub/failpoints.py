"""Places where a test lets the hub die as if its power were cut; see docs/faults.md.

LOCKERHUB_CRASH_AT names one; LOCKERHUB_CRASH_AFTER says which time it is passed, 1 by default. They are no settings
of the hub, and without them nothing happens.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from hub.errors import ConfigError

_EXIT_STATUS: Final = 137
"""As after SIGKILL."""


class Point(StrEnum):
    """Where the hub can die on its way from rows to receipts."""

    BEFORE_COMMIT = "before_commit"
    AFTER_COMMIT = "after_commit"
    AFTER_RECEIPT = "after_receipt"


class Failpoints:
    """Counts how often its one point is passed. Raises ConfigError for what it does not know."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        at, after = environment.get("LOCKERHUB_CRASH_AT"), environment.get("LOCKERHUB_CRASH_AFTER", "1")
        if at is not None and at not in set(Point):
            raise ConfigError(f"LOCKERHUB_CRASH_AT={at}: known are {', '.join(Point)}")
        if not after.isdecimal() or int(after) < 1:
            raise ConfigError(f"LOCKERHUB_CRASH_AFTER={after}: a whole number from 1 on is right")
        self._at = at
        self._left = int(after)

    def reached(self, point: Point) -> None:
        """End the process at once if this is the place and the time."""
        if point == self._at:
            self._left -= 1
            if not self._left:
                os._exit(_EXIT_STATUS)


reached: Final = Failpoints(os.environ).reached
