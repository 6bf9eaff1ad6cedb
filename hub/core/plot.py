"""How finely telemetry is drawn: from samples, minutes, hours or days, by the span and the points asked for."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from hub.core.spans import Span

Resolution = Literal["raw", "minute", "hour", "day"]

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_WIDTHS: Final = (
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 30, 92, 366)),
)
_ORIGIN: Final = datetime(2000, 1, 1, tzinfo=UTC)
_SETTLED: Final = timedelta(hours=1)
"""How long before the roll-ups' mark an hour may still be without its last samples."""


@dataclass(frozen=True, slots=True)
class RetainedHours:
    """How far back a locker's samples and hours go (None: there are none); up to when hours are complete."""

    raw_from: datetime | None
    hours_from: datetime | None
    rolled_to: datetime


@dataclass(frozen=True, slots=True)
class Drawing:
    """What to read: days up to `days_to`, then hours up to `hours_to`, then samples; into buckets of `width`."""

    resolution: Resolution
    width: timedelta
    since: datetime
    until: datetime
    days_to: datetime
    hours_to: datetime


def may_be_raw(within: Span, points: int, held: RetainedHours) -> bool:
    """Say whether samples as they came may be few enough; a locker sends one a minute, or more."""
    return (within[1] - within[0]) / points < _MINUTE and not _deleted(within, held)


def drawing(within: Span, points: int, held: RetainedHours) -> Drawing:
    """Return the finest buckets of which the span has at most `points`.

    Minutes are made of samples, so they are out of the question where samples have been deleted and hours have not.
    What is younger than the roll-ups is taken from the samples.
    """
    since, until = within
    finest = _HOUR if _deleted(within, held) else _MINUTE
    fitting = (one for one in _WIDTHS if one >= finest and _buckets(since, until, one) <= points)
    width = next(fitting, _WIDTHS[-1])
    start = _floor(since, width)
    if width < _HOUR:
        return Drawing("minute", width, start, until, days_to=start, hours_to=start)
    hours_to = min(max(_floor(held.rolled_to, _HOUR) - _SETTLED, start), until)
    if width < _DAY:
        return Drawing("hour", width, start, until, days_to=start, hours_to=hours_to)
    return Drawing("day", width, start, until, max(_floor(hours_to, _DAY), start), hours_to)


def _deleted(within: Span, held: RetainedHours) -> bool:
    """Say whether samples of the span are gone while their hours are kept."""
    if held.hours_from is None or within[1] <= held.hours_from:
        return False
    if held.raw_from is None:
        return True
    return within[0] < held.raw_from and held.hours_from < _floor(held.raw_from, _HOUR)


def _buckets(since: datetime, until: datetime, width: timedelta) -> int:
    return -((_floor(since, width) - until) // width)


def _floor(at: datetime, width: timedelta) -> datetime:
    return at - (at - _ORIGIN) % width
