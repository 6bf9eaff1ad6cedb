"""Points of a command's way at which the process can be made to die, for fault tests.

`EDGE_CRASH_AT` names one of `POINTS` or `FORGET_POINTS`; the process then ends there with status 137, as if it were
killed, without another line of Python. Where the variable is not set, a point costs one comparison.
"""

import os
from typing import Final

VARIABLE: Final = "EDGE_CRASH_AT"
POINTS: Final = ("before_started", "after_started", "after_pulse", "after_done")
"""Accepted and not yet in the journal; in the journal as begun; the pulse is written; its end is in the journal."""
FORGET_POINTS: Final = ("before_forgotten", "after_forgotten", "after_done")
"""Accepted and nothing done yet; all is taken out and its end is not written; its end is in the journal."""
_STATUS: Final = 137

_at = os.environ.get(VARIABLE)


def crash_at(point: str) -> None:
    """End the process here if this is the point that was asked for."""
    if point == _at:
        os._exit(_STATUS)
