"""The fleet in figures, as a whole, by site; one locker."""

from datetime import datetime
from typing import Any

import orjson

from hub import clock
from hub.config.settings import CommandSettings
from hub.core.commands import CommandRecord
from hub.core.fleet import Fleet
from hub.live.alarm_views import AlarmSource
from hub.live.recent import RecentCommands
from hub.live.rows import DOORS_BY, LOCKERS_BY, SEVERITIES, LockerRows, changed_fields
from hub.live.views import Changes, StaticView
from hub.schemas.fleet import CommandView, command_view, door_view, locker_detail, locker_fields


class _OfRows(StaticView):
    def __init__(self, rows: LockerRows) -> None:
        self._rows = rows
        rows.use()

    async def prepare(self) -> None:
        """Have all lockers drawn."""
        await self._rows.prepare()

    def close(self) -> None:
        """Need them no more."""
        self._rows.release()


class SummaryView(_OfRows):
    """How many there are of what."""

    def __init__(self, rows: LockerRows, alarms: AlarmSource | None) -> None:
        super().__init__(rows)
        self._alarms = alarms
        self._alarm_figures = self._count_alarms()
        self._told: dict[str, Any] = {}
        self._as_of: datetime = clock.wall()

    async def prepare(self) -> None:
        """Have all lockers drawn, and counted."""
        await super().prepare()
        self._told = self._figures()

    def snapshot(self) -> dict[str, Any]:
        """Return the figures."""
        return {**self._figures(), "as_of": self._as_of}

    def diff(self, turn: Changes) -> dict[str, Any] | None:
        """Return all of them, if any has changed."""
        self._as_of = turn.at
        if any(turn.alarms):
            self._alarm_figures = self._count_alarms()
        figures = self._figures()
        if figures == self._told:
            return None
        self._told = figures
        return {**figures, "as_of": turn.at}

    def _figures(self) -> dict[str, Any]:
        totals = self._rows.totals
        alarms = self._alarm_figures
        if alarms is None:
            alarms = {**{one: totals[f"alarms.{one}"] for one in SEVERITIES}, "unacked": 0}
        return {
            "lockers": {state: totals[state] for state in LOCKERS_BY},
            "doors": {state: totals[f"doors.{state}"] for state in DOORS_BY},
            "alarms": alarms,
        }

    def _count_alarms(self) -> dict[str, int] | None:
        if self._alarms is None:
            return None
        health = self._alarms.health_view()
        return {**{one: health.by_severity.get(one, 0) for one in SEVERITIES}, "unacked": health.unacked}


class FleetView(_OfRows):
    """All lockers."""

    def snapshot(self) -> dict[str, Any]:
        """Return all of them, whole."""
        return {"lockers": orjson.Fragment(self._rows.json(self._rows.all()))}

    def diff(self, turn: Changes) -> dict[str, Any] | None:
        """Return the fields that changed, by locker, and those that are gone."""
        if not turn.rows and not turn.fleet.removed:
            return None
        return {"lockers": list(turn.rows.items()), "removed": sorted(turn.fleet.removed)}


class SiteView(_OfRows):
    """The lockers of one site."""

    def __init__(self, rows: LockerRows, site: str) -> None:
        super().__init__(rows)
        self._site = site
        self._here: set[str] = set()

    async def prepare(self) -> None:
        """Find who is here."""
        await super().prepare()
        self._here = set(self._rows.of_site(self._site))

    def snapshot(self) -> dict[str, Any]:
        """Return all of them, whole."""
        return {"lockers": orjson.Fragment(self._rows.json(sorted(self._here)))}

    def diff(self, turn: Changes) -> dict[str, Any] | None:
        """Return the fields that changed, by locker, and those that are here no more."""
        removed = self._here & turn.fleet.removed
        changed: list[tuple[str, dict[str, Any]]] = []
        for locker_id, fields in turn.rows.items():
            row = self._rows.get(locker_id)
            if row is not None and row["site"] == self._site:
                # One that moved here is new to those who look.
                changed.append((locker_id, fields if locker_id in self._here else row))
                self._here.add(locker_id)
            elif locker_id in self._here:
                removed.add(locker_id)
        self._here -= removed
        if not changed and not removed:
            return None
        return {"lockers": changed, "removed": sorted(removed)}


class LockerLiveView(StaticView):
    """One locker with its doors and newest commands."""

    def __init__(self, fleet: Fleet, locker: str, config: CommandSettings, recent: RecentCommands) -> None:
        self._fleet = fleet
        self._locker = locker
        self._config = config
        self._recent = recent
        self._row: dict[str, Any] = locker_fields(fleet.lockers[locker])

    def snapshot(self) -> Any:  # noqa: ANN401 - LockerDetail, or None
        """Return everything; None once the registry does not have it any more."""
        # What others were told last stays as it is: they are told of the difference in the next turn.
        locker = self._fleet.lockers.get(self._locker)
        if locker is None:
            return None
        return locker_detail(locker, self._shown(self._recent.of(self._locker)))

    def diff(self, turn: Changes) -> dict[str, Any] | None:
        """Return changed fields, and whole what changed of doors and commands."""
        locker = self._fleet.lockers.get(self._locker)
        if locker is None:
            return None
        data: dict[str, Any] = {}
        if self._locker in turn.fleet.lockers:
            row = locker_fields(locker)
            fields = changed_fields(self._row, row)
            self._row = row
            if fields:
                data["locker"] = fields
        doors = sorted(turn.fleet.doors.get(self._locker, set()) & locker.doors.keys())
        if doors:
            data["doors"] = [door_view(locker, locker.doors[number]) for number in doors]
        commands = turn.commands_by_locker.get(self._locker)
        if commands:
            data["commands"] = self._shown(commands)
        return data or None

    def _shown(self, entries: list[CommandRecord]) -> list[CommandView]:
        return [command_view(entry, self._config) for entry in entries]
