"""Which lockers cannot be reached, site by site, and whether that is one outage of the site."""

import math
from datetime import datetime
from typing import Final

from hub.core.alarms.rules import NoData

Site = tuple[str, str]
"""Tenant and site."""
_ALONE: Final = 2


class Outages:
    """The lockers that cannot be reached, with since when."""

    def __init__(self) -> None:
        self._since: dict[Site, dict[str, datetime]] = {}

    def lost(self, site: Site, locker: str, at: datetime) -> None:
        """Note that a locker cannot be reached."""
        self._since.setdefault(site, {}).setdefault(locker, at)

    def back(self, site: Site, locker: str) -> datetime | None:
        """Note that it can be, or is not there any more. Returns since when it could not be."""
        lockers = self._since.get(site, {})
        since = lockers.pop(locker, None)
        if not lockers:
            self._since.pop(site, None)
        return since

    def sites(self) -> list[Site]:
        """Return the sites that miss a locker."""
        return list(self._since)

    def missing(self, site: Site) -> int:
        """Count the lockers that a site misses."""
        return len(self._since.get(site, {}))

    def began(self, site: Site, condition: NoData, lockers: int) -> datetime | None:
        """Return when enough of a site's lockers were lost together; None: they were not.

        Args:
            site: which.
            condition: how many are enough, and within which time.
            lockers: how many the site has.
        """
        enough = needed(condition, lockers)
        times = sorted(self._since.get(site, {}).values())
        for first, last in zip(times, times[enough - 1 :], strict=False):
            if (last - first).total_seconds() <= condition.within_s:
                return first
        return None


def needed(condition: NoData, lockers: int) -> int:
    """Return how many lockers make an outage of their site. One locker alone never does."""
    return max(_ALONE, condition.lockers_min, math.ceil(condition.share * lockers))
