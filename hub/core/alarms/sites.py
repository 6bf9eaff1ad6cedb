"""Outages of whole sites: when there is one, and which alarms are folded into it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from hub.core.alarms.alarm import Alarm, Key, Spot
from hub.core.alarms.alarm_book import AlarmBook
from hub.core.alarms.detect import Detector
from hub.core.alarms.outages import Outages, Site, needed
from hub.core.alarms.rules import AlarmRules, NoData

LOCKER_OFFLINE: Final = "locker.offline"
SITE_OFFLINE: Final = "site.offline"


class Sites:
    """Which sites miss so many of their lockers that it is one alarm."""

    def __init__(self, rules: AlarmRules, detector: Detector, book: AlarmBook) -> None:
        self.outages = Outages()
        self._rules = rules
        self._detector = detector
        self._book = book
        self._sizes: dict[Site, int] = {}
        self._dark: set[Site] = set()
        """Sites whose outage is followed, or stands as an alarm."""

    def follow(self, sites: Iterable[Site]) -> None:
        """Take over the site of every locker that there is."""
        self._sizes.clear()
        for site in sites:
            self._sizes[site] = self._sizes.get(site, 0) + 1

    def knows(self, site: Site) -> bool:
        """Say whether any locker is there."""
        return site in self._sizes

    def restore(self, alarm: Alarm) -> None:
        """Take over an alarm of the hub before."""
        site = (alarm.tenant, alarm.site or "")
        if alarm.type == SITE_OFFLINE:
            self._dark.add(site)
        elif alarm.type == LOCKER_OFFLINE and alarm.active and alarm.locker is not None:
            # Until they are heard: else the outage of their site would seem to be over.
            self.outages.lost(site, alarm.locker, alarm.began_at)

    def ingest_stalled(self) -> None:
        """Take that the hub hears no lockers: outages that were about to be raised are not, for now."""
        for tenant, name in list(self._dark):
            if self._detector.withdraw((SITE_OFFLINE, Spot(tenant, name))):
                self._dark.discard((tenant, name))

    def judge(self, now: datetime, now_ms: float) -> None:
        """Look which outages begin and which are over."""
        for site in sorted({*self.outages.sites(), *self._dark}):
            tenant, name = site
            key = (SITE_OFFLINE, Spot(tenant, name))
            rule = self._rules.at(SITE_OFFLINE, "no_data", key[1], name)
            if not name or rule is None or not isinstance(rule.condition, NoData):
                continue
            lockers = self._sizes.get(site, 0)
            if self._detector.follows(key):
                self._dark.add(site)
                if self.outages.missing(site) < needed(rule.condition, lockers):
                    self._detector.heard(key, now=now, now_ms=now_ms)
                continue
            self._dark.discard(site)
            began = self.outages.began(site, rule.condition, lockers)
            if began is not None:
                self._dark.add(site)
                value = float(self.outages.missing(site))
                self._detector.silent(key, name, at=began, value=value, now=now, now_ms=now_ms)

    def parent(self, key: Key, site: str | None) -> Alarm | None:
        """Return the outage that says already what an alarm would say."""
        if key[0] != LOCKER_OFFLINE or site is None:
            return None
        found = self._book.find((SITE_OFFLINE, Spot(key[1].tenant, site)))
        return found if found is not None and found.active else None

    def fold(self, outage: Alarm, now: datetime) -> None:
        """Put the alarms of the lockers that are away under their site's outage, if it is one."""
        if outage.type != SITE_OFFLINE:
            return
        for one in list(self._book.alarms.values()):
            if one.type == LOCKER_OFFLINE and one.active and (one.tenant, one.site) == (outage.tenant, outage.site):
                self._book.fold(one.id, outage.id, now)
        self.count(outage.id)

    def unfold(self, outage: Alarm, now: datetime) -> None:
        """Let what was under an outage stand for itself, now that it is over."""
        for child in [one for one in self._book.alarms.values() if one.parent == outage.id]:
            self._book.fold(child.id, None, now)
        self.count(outage.id)

    def count(self, outage: UUID) -> None:
        """Say at an outage how many alarms are under it."""
        if outage in self._book.alarms:
            self._book.set_children(outage, self._book.children[outage])
