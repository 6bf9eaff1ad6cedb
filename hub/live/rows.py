"""Every locker as it was drawn last, so that only what differs is sent; and the fleet in figures."""

import asyncio
from collections import Counter
from typing import Any, Final

from hub.core.fleet import DoorState, Fleet, FleetChanges, LockerState
from hub.live.frames import encoded
from hub.schemas.fleet import AlarmCounts, locker_fields

SEVERITIES: Final = tuple(AlarmCounts.__slots__)
_LOCKERS_A_STEP: Final = 200
"""How many are drawn before others get their turn, when the first viewer comes."""


def changed_fields(before: dict[str, Any] | None, now: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that differ; all of them where there was nothing."""
    if before is None:
        return now
    return {name: value for name, value in now.items() if value != before[name]}


class LockerRows:
    """The table, kept up to date only while it has users; after that it is only noted what is out of date."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._rows: dict[str, dict[str, Any]] = {}
        self._json: dict[str, bytes] = {}
        self._stale: set[str] = set()
        """Drawn before somebody needed the table no more, and changed since."""
        self._users = 0
        self.totals: Counter[str] = Counter()

    def use(self) -> None:
        """Keep the table up to date from now on; `prepare` brings it there."""
        self._users += 1

    def release(self) -> None:
        """Need the table no more."""
        self._users -= 1

    async def prepare(self) -> None:
        """Draw every locker that is not drawn, or changed since, and let others go on meanwhile."""
        drawn = 0
        for locker_id in list(self._fleet.lockers):
            if locker_id in self._fleet.lockers and (locker_id in self._stale or locker_id not in self._rows):
                self._draw(locker_id)
                drawn += 1
                if not drawn % _LOCKERS_A_STEP:
                    await asyncio.sleep(0)

    def update(self, changes: FleetChanges) -> dict[str, dict[str, Any]]:
        """Draw what has changed. Returns the fields that differ from what was drawn before, by locker."""
        for gone in changes.removed:
            self._count(self._rows.pop(gone, None), -1)
            self._json.pop(gone, None)
            self._stale.discard(gone)
        if not self._users:
            self._stale |= changes.lockers
            return {}
        different = {}
        for locker_id in sorted(changes.lockers):
            fields = self._draw(locker_id)
            if fields:
                different[locker_id] = fields
        return different

    def get(self, locker_id: str) -> dict[str, Any] | None:
        """Return a locker as it was drawn last."""
        return self._rows.get(locker_id)

    def of_site(self, site: str) -> list[str]:
        """Return the lockers of a site."""
        return [one for one, row in self._rows.items() if row["site"] == site]

    def json(self, locker_ids: list[str]) -> bytes:
        """Return the JSON array of these lockers; only what changed since the last time is written anew."""
        known = self._json
        for one in locker_ids:
            if one not in known:
                known[one] = encoded(self._rows[one])
        return b"[" + b",".join([known[one] for one in locker_ids]) + b"]"

    def all(self) -> list[str]:
        """Return all lockers, as the registry has them."""
        return [one for one in self._fleet.lockers if one in self._rows]

    def _draw(self, locker_id: str) -> dict[str, Any]:
        self._stale.discard(locker_id)
        before, now = self._rows.get(locker_id), locker_fields(self._fleet.lockers[locker_id])
        fields = changed_fields(before, now)
        if fields:
            self._rows[locker_id] = now
            self._json.pop(locker_id, None)
            self._count(before, -1)
            self._count(now, 1)
        return fields

    def _count(self, row: dict[str, Any] | None, by: int) -> None:
        if row is None:
            return
        totals = self.totals
        totals[row["state"]] += by
        totals["maintenance"] += by * row["maintenance"]
        doors, alarms = row["door_counts"], row["alarms"]
        totals["doors.open"] += by * doors.open
        totals["doors.closed"] += by * doors.closed
        totals["doors.unknown"] += by * doors.unknown
        totals["doors.out_of_service"] += by * doors.out_of_service
        for severity in SEVERITIES:
            count = getattr(alarms, severity)
            if count:
                totals[f"alarms.{severity}"] += by * count


LOCKERS_BY: Final = (*(state.value for state in LockerState), "maintenance")
DOORS_BY: Final = (*(state.value for state in DoorState), "out_of_service")
