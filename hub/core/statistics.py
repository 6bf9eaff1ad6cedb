"""What is counted of doors, hour by hour: which hours, how long items lay there, what follows from the counts."""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

HOUR: Final = timedelta(hours=1)
LOOK_BACK: Final = timedelta(days=31)
"""How far back is looked for when an item was put in. What lay there longer is collected, but not timed."""

COLLECT_BOUNDS_S: Final[dict[str, int]] = {
    "collected_10m": 600,
    "collected_30m": 1800,
    "collected_1h": 3600,
    "collected_2h": 7200,
    "collected_4h": 14_400,
    "collected_8h": 28_800,
    "collected_16h": 57_600,
    "collected_1d": 86_400,
    "collected_2d": 172_800,
    "collected_3d": 259_200,
    "collected_5d": 432_000,
    "collected_7d": 604_800,
    "collected_14d": 1_209_600,
    "collected_31d": 2_678_400,
}
"""The histogram of how long items lay there: its columns in `door_hour`, and the most seconds that each counts."""

Window = tuple[datetime, datetime]
"""Whole hours: from the first one's beginning, before the last one's end."""


def hour_of(at: datetime) -> datetime:
    """Return the beginning of the hour that a time is in, in UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def windows(hours: Collection[datetime], *, gap: timedelta, longest: timedelta) -> list[Window]:
    """Join hours that are at most `gap` apart into windows of at most `longest`, newest first.

    A window may contain hours that were not given: to count one again changes nothing.
    """
    found: list[Window] = []
    for hour in sorted(set(hours), reverse=True):
        if found:
            since, until = found[-1]
            if since - hour <= gap + HOUR and until - hour <= longest:
                found[-1] = (hour, until)
                continue
        found.append((hour, hour + HOUR))
    return found


def pieces(window: Window, *, longest: timedelta) -> list[Window]:
    """Cut a window into pieces of at most `longest`, oldest first."""
    found: list[Window] = []
    since, until = window
    while since < until:
        found.append((since, min(since + longest, until)))
        since += longest
    return found


def hours_in(window: Window) -> int:
    """Return how many hours a window has."""
    return (window[1] - window[0]) // HOUR


class Rests:
    """Leaves hours alone for a while after they were counted, the longer the longer that took.

    Where an hour has very many events, counting the present one again and again then costs a bounded share of a
    connection, however many there are.
    """

    def __init__(self, rest_per_ms: float) -> None:
        self._rest_per_ms = rest_per_ms
        self._until_ms: dict[datetime, float] = {}

    def ready(self, hours: Iterable[datetime], now_ms: float) -> list[datetime]:
        """Return those of the hours that may be counted now."""
        self._until_ms = {hour: until for hour, until in self._until_ms.items() if until > now_ms}
        return [hour for hour in hours if hour not in self._until_ms]

    def counted(self, window: Window, began_ms: float, ended_ms: float) -> None:
        """Take note that a window was counted."""
        until_ms = ended_ms + (ended_ms - began_ms) * self._rest_per_ms
        for place in range(hours_in(window)):
            self._until_ms[window[0] + place * HOUR] = until_ms


def quantile_s(share: float, counts: Sequence[int]) -> float | None:
    """Return the time within which a share of the items was collected, in seconds; None if there are none.

    `counts` are those of COLLECT_BOUNDS_S, in its order. It is an estimate: within a column of the histogram items
    are taken to be spread evenly.
    """
    steps = []
    below, passed = 0, 0
    for bound, count in zip(COLLECT_BOUNDS_S.values(), counts, strict=True):
        if count:
            steps.append((below, bound, passed, count))
        below, passed = bound, passed + count
    if not steps:
        return None
    wanted = share * passed
    below, bound, before, count = next(step for step in steps if step[2] + step[3] >= wanted)
    return below + (bound - below) * (wanted - before) / count


def share(part: float, whole: float) -> float | None:
    """Return part / whole to four places; None where there is no whole."""
    return round(part / whole, 4) if whole else None
