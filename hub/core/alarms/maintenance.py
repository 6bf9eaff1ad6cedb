"""Maintenance windows: times in which alarms of a site, a locker or a door are expected, and told to nobody."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

WindowState = Literal["planned", "running", "over", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Of a site, or of a locker, or of one of its doors. `ended_at`: somebody has ended it before its time."""

    id: UUID
    site: str | None
    locker: str | None
    door: int | None
    starts_at: datetime
    ends_at: datetime
    why: str
    by: str
    ended_at: datetime | None = None

    def state(self, now: datetime) -> WindowState:
        """Return whether it is still to come, runs, is over, or was ended."""
        if self.ended_at is not None:
            return "ended"
        if now < self.starts_at:
            return "planned"
        return "running" if now < self.ends_at else "over"

    def covers(self, site: str | None, locker: str | None, door: int | None) -> bool:
        """Say whether a place is within it. A site's window takes in all of it; a door's only the door."""
        if self.locker is None:
            return site is not None and site == self.site
        return locker == self.locker and (self.door is None or door == self.door)


class Windows:
    """All windows that are not over."""

    def __init__(self) -> None:
        self._known: tuple[Window, ...] = ()
        self._running: tuple[Window, ...] = ()

    def load(self, windows: Iterable[Window]) -> None:
        """Take over the windows as they stand now."""
        self._known = tuple(windows)

    def tick(self, now: datetime) -> bool:
        """Say whether other windows run now than before."""
        running = tuple(one for one in self._known if one.state(now) == "running")
        changed = running != self._running
        self._running = running
        return changed

    def cover(self, site: str | None, locker: str | None, door: int | None) -> bool:
        """Say whether somebody works there now."""
        return any(one.covers(site, locker, door) for one in self._running)
