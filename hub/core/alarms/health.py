"""How the alarms themselves are: rate, floods, what stands, what chatters. The targets are those of ISA-18.2.

Only alarms that people are to see count. Everything is of this hub's memory, begun with what the database has.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from hub.core.alarms.alarm import Severity

RATE_TARGET: Final = 1
"""Alarms in ten minutes that one person can deal with."""
FLOOD_ABOVE: Final = 10
FLOOD_BELOW: Final = 5
BUCKET: Final = timedelta(minutes=10)
_BUCKETS: Final = 144
_DAYS: Final = 30
_RAISES_MAX: Final = 10_000
_SOURCES_MAX: Final = 1000
"""Of one bucket; further sources are not named among the most frequent."""
_TOP: Final = 10


class Source(NamedTuple):
    """What alarms: a type at a place."""

    type: str
    locker: str | None
    door: int | None


@dataclass(frozen=True, slots=True)
class Past:
    """Alarms that were raised before this hub began: in which ten minutes, of what, how many."""

    at: datetime
    severity: Severity
    source: Source
    count: int


class AlarmFlood:
    """Counts what is raised."""

    def __init__(self) -> None:
        self.flood_since: datetime | None = None
        self._raises: deque[datetime] = deque(maxlen=_RAISES_MAX)
        self._buckets: deque[tuple[datetime, Counter[Source]]] = deque(maxlen=_BUCKETS)
        self._peaks: deque[tuple[datetime, int]] = deque(maxlen=_BUCKETS)
        self._days: deque[tuple[datetime, Counter[Severity]]] = deque(maxlen=_DAYS)

    def load(self, past: Iterable[Past]) -> None:
        """Begin with what was raised before, the oldest first."""
        for one in past:
            self._count(one.at, one.severity, one.source, one.count)
            self._peak(one.at, sum(self._buckets[-1][1].values()))

    def raised(self, now: datetime, severity: Severity, source: Source) -> None:
        """Count an alarm that people are to see."""
        self._raises.append(now)
        self._count(now, severity, source, 1)
        self._peak(now, self.rate(now))
        self.tick(now)

    def tick(self, now: datetime) -> None:
        """Let time pass: a flood begins above ten alarms in ten minutes, and is over below five."""
        rate = self.rate(now)
        if self.flood_since is None:
            if rate > FLOOD_ABOVE:
                self.flood_since = now
        elif rate < FLOOD_BELOW:
            self.flood_since = None

    def rate(self, now: datetime) -> int:
        """Count the alarms of the last ten minutes."""
        while self._raises and now - self._raises[0] > BUCKET:
            self._raises.popleft()
        return len(self._raises)

    def peak(self, now: datetime) -> int:
        """Return the most alarms in ten minutes, of the last day."""
        since = now - _BUCKETS * BUCKET
        return max((rate for at, rate in self._peaks if at > since), default=0)

    def shares(self, now: datetime) -> dict[Severity, float]:
        """Return each severity's share of what was raised in thirty days."""
        since = now - timedelta(days=_DAYS)
        total: Counter[Severity] = Counter()
        for day, counts in self._days:
            if day > since:
                total.update(counts)
        every = total.total()
        return {severity: total[severity] / every if every else 0.0 for severity in Severity}

    def top(self, now: datetime) -> list[tuple[Source, int]]:
        """Return what was raised most often within a day."""
        total: Counter[Source] = Counter()
        for _, counts in self._recent(now):
            total.update(counts)
        return total.most_common(_TOP)

    def history(self, now: datetime) -> list[tuple[datetime, int]]:
        """Return how many were raised, ten minutes by ten minutes, over a day, the oldest first."""
        known = {at: counts.total() for at, counts in self._recent(now)}
        last = _floor(now, BUCKET)
        times = [last - back * BUCKET for back in range(_BUCKETS - 1, -1, -1)]
        return [(at, known.get(at, 0)) for at in times]

    def _recent(self, now: datetime) -> list[tuple[datetime, Counter[Source]]]:
        since = _floor(now, BUCKET) - _BUCKETS * BUCKET
        return [one for one in self._buckets if one[0] > since]

    def _count(self, at: datetime, severity: Severity, source: Source, count: int) -> None:
        bucket = _floor(at, BUCKET)
        # A clock that was set back goes on in the newest bucket.
        if not self._buckets or bucket > self._buckets[-1][0]:
            self._buckets.append((bucket, Counter()))
        counts = self._buckets[-1][1]
        if source not in counts and len(counts) >= _SOURCES_MAX:
            source = Source(source.type, None, None)
        counts[source] += count
        day = _floor(at, timedelta(days=1))
        if not self._days or day > self._days[-1][0]:
            self._days.append((day, Counter()))
        self._days[-1][1][severity] += count

    def _peak(self, at: datetime, rate: int) -> None:
        bucket = _floor(at, BUCKET)
        if not self._peaks or bucket > self._peaks[-1][0]:
            self._peaks.append((bucket, rate))
        elif rate > self._peaks[-1][1]:
            self._peaks[-1] = (self._peaks[-1][0], rate)


def _floor(at: datetime, step: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return at - (at - epoch) % step
