"""Who cannot be reached, and whether that may be said: while the hub itself hears nobody, silence says nothing.

When the hub's own link is back, lockers come back one by one, each after a pause of its own. Until they had a fair
time for that, none is taken for lost; one that then still is away is, since when the hub could hear again.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from hub.core.alarms.watch import AlarmWatch


class LockerSighting(NamedTuple):
    """What the fleet knows of one locker."""

    name: str
    reachable: bool
    known: bool
    """Whether it was ever heard of: one that never was is not missed."""
    since: datetime | None
    """Since when it is so."""


class ReachabilityTracker:
    """Tells a watch who can be reached.

    Args:
        watch: who is told.
        reconnect_ms: the fair time for lockers to come back, after the hub's own link.
    """

    def __init__(self, watch: AlarmWatch, reconnect_ms: float) -> None:
        self._watch = watch
        self._reconnect_ms = reconnect_ms
        self._reached: dict[str, bool] = {}
        self._deaf_since: datetime | None = None
        self._hears_since: datetime | None = None
        self._sure_at_ms = float("-inf")

    def follow(self, lockers: Iterable[str]) -> None:
        """Forget the lockers that are not among these."""
        gone = self._reached.keys() - set(lockers)
        for name in gone:
            del self._reached[name]

    def turn(self, lockers: Iterable[LockerSighting], *, listening: bool, now: datetime, now_ms: float) -> None:
        """Look at all lockers, and let time pass for their alarms. Call it once a second or so.

        Args:
            lockers: all of them.
            listening: whether the hub's own link is there.
            now: the time.
            now_ms: the time.
        """
        if not listening:
            if self._deaf_since is None:
                self._deaf_since = now
                self._watch.sites.ingest_stalled()
            self._sure_at_ms = now_ms + self._reconnect_ms
        elif self._deaf_since is not None:
            self._deaf_since, self._hears_since = None, now
            self._watch.detector.postpone(self._sure_at_ms)
        sure = now_ms >= self._sure_at_ms
        for one in lockers:
            self._look(one, now, now_ms, sure=sure)
        self._watch.broker(away_since=self._deaf_since, now=now, now_ms=now_ms)
        self._watch.tick(now=now, now_ms=now_ms, deaf=not listening)

    def _look(self, one: LockerSighting, now: datetime, now_ms: float, *, sure: bool) -> None:
        before = self._reached.get(one.name)
        if one.reachable:
            if before is not True:
                self._reached[one.name] = True
                self._watch.reachable(one.name, online=True, since=now, now=now, now_ms=now_ms)
        elif not sure:
            # What was about to be raised when the link went may have been the link: it begins anew.
            if before is False and self._watch.unsure(one.name):
                del self._reached[one.name]
        elif before is not False and one.known:
            self._reached[one.name] = False
            since = min(one.since or now, now)
            if self._hears_since is not None:
                since = max(since, self._hears_since)
            self._watch.reachable(one.name, online=False, since=since, now=now, now_ms=now_ms)
