"""When a task of the upkeep is due."""

from dataclasses import dataclass
from typing import Final

RETRY_S: Final = 300.0
"""How long after a run that failed, or never ended, the next one begins, unless its period is shorter."""


@dataclass(frozen=True, slots=True)
class TaskAges:
    """How long ago things happened, in seconds by the database's clock. Negative: that clock was put back."""

    succeeded_ago_s: float | None
    """Since the last success; None if there was none."""
    tried_ago_s: float | None
    """Since the begin of a later run that did not succeed; None if there was none."""


def due_in_s(ages: TaskAges, every_s: float) -> float:
    """Return in how many seconds the task is due, 0 if it is.

    A success in the future says nothing: better once too often than not until then.
    """
    if ages.tried_ago_s is not None and ages.tried_ago_s >= 0:
        return max(0.0, min(every_s, RETRY_S) - ages.tried_ago_s)
    if ages.succeeded_ago_s is None or ages.succeeded_ago_s < 0:
        return 0.0
    return max(0.0, every_s - ages.succeeded_ago_s)
