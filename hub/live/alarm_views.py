"""Open alarms, of all lockers or of one."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, Protocol
from uuid import UUID

from hub.live.views import Changes, StaticView

_ALARMS_SHOWN: Final = 1000
_HEALTH_S: Final = 10.0
"""Rates fall while nothing happens: how soon that is shown."""


class LiveAlarm(Protocol):
    """An alarm as it is shown; of its fields only these matter here."""

    @property
    def id(self) -> UUID:
        """Its id."""
        ...

    @property
    def locker(self) -> str | None:
        """Its locker, if it has one."""
        ...


class AlarmSummary(Protocol):
    """How the alarms themselves are: a dataclass."""

    @property
    def by_severity(self) -> Mapping[str, int]:
        """Open alarms that people are to see."""
        ...

    @property
    def unacked(self) -> int:
        """Those that nobody has acknowledged."""
        ...


class AlarmSource(Protocol):
    """Who knows the alarms."""

    def open_views(self, locker: str | None = None) -> "list[Any]":
        """Return open alarms, of one locker or of all, newest raised first."""
        ...

    def view(self, alarm_id: UUID) -> Any | None:  # noqa: ANN401 - an AlarmShown, and whatever orjson can write
        """Return one that is open."""
        ...

    def take_changes(self) -> tuple[set[UUID], set[UUID]]:
        """Return the ids of alarms that changed since the last call, and of those that closed."""
        ...

    def health_view(self) -> Any:  # noqa: ANN401 - an AlarmHealth, and whatever orjson can write
        """Return how the alarms themselves are."""
        ...


class AlarmsView(StaticView):
    """Alarms: all, or those of one locker."""

    refresh_s: float | None = _HEALTH_S

    def __init__(self, source: AlarmSource, locker: str | None) -> None:
        self._source = source
        self._locker = locker
        self._shown: set[UUID] = set()
        self._health: dict[str, Any] = {}
        self._health_due = False

    async def refresh(self) -> None:
        """Look at the rates again."""
        self._health_due = True

    def snapshot(self) -> dict[str, Any]:
        """Return what is open, and how many that are."""
        alarms = self._source.open_views(self._locker)
        self._shown |= {alarm.id for alarm in alarms}
        return {"alarms": alarms[:_ALARMS_SHOWN], "total": len(alarms), "health": self._look()}

    def diff(self, turn: Changes) -> dict[str, Any] | None:
        """Return what changed, whole, and what closed."""
        changed_ids, closed_ids = turn.alarms
        closed = closed_ids & self._shown
        found = [self._source.view(one) for one in changed_ids - closed_ids]
        changed = [one for one in found if one is not None and self._locker in {None, one.locker}]
        if not changed and not closed and not self._health_due:
            return None
        self._shown -= closed
        self._shown |= {one.id for one in changed}
        self._health_due = False
        data: dict[str, Any] = {"alarms": changed, "closed": sorted(closed), "total": len(self._shown)}
        health = self._look()
        if health != self._health:
            data["health"] = self._health = health
        return data if changed or closed or "health" in data else None

    def _look(self) -> dict[str, Any]:
        health = self._source.health_view()
        return {one.name: getattr(health, one.name) for one in fields(health) if one.name != "history"}
