"""The fleet and its lockers as they were at a moment: what the ledgers say, and unknown where they say nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from aiohttp import web

from hub import clock
from hub.api.history import event_page
from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_query
from hub.api.spans import Time
from hub.config.settings import CommandSettings
from hub.core.fleet import Fleet, Locker, LockerSpec
from hub.core.past import BACK, Signs, door_counts_then, locker_then, reach, stopped_at
from hub.core.spans import BadSpan, past_moment
from hub.schemas.alarms import AlarmView, alarm_view
from hub.schemas.fleet import (
    DoorCounts,
    EventView,
    LockerDetail,
    LockerView,
    command_of_row,
    door_view,
    locker_view,
)
from hub.store.alarms import AlarmFilter, AlarmStore
from hub.store.database import Database
from hub.store.history import EventFilter, History
from hub.store.past import FleetPast, PastStore

_EVENTS_SHOWN: Final = 50
_EVENTS_BACK: Final = timedelta(days=366)
_COMMANDS_SHOWN: Final = 20
_ALARMS_SHOWN: Final = 200
_FLEETS_AT_ONCE: Final = 2
_INSTANT: Final = timedelta(microseconds=1)


class MomentParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which moment (RFC 3339, with its offset)."""

    at: Time


@dataclass(frozen=True, slots=True)
class FleetThen:
    """All lockers at a moment. What happened before `known_since` is not looked at; what nobody kept is null."""

    at: datetime
    known_since: datetime
    lockers: list[LockerView]


@dataclass(frozen=True, slots=True)
class LockerThen:
    """One locker at a moment, with the alarms that were open, and the newest events before it."""

    at: datetime
    known_since: datetime
    locker: LockerDetail
    alarms: list[AlarmView]
    events: list[EventView]


class PastRoutes:
    """The routes of time travel. Two questions about the whole fleet are worked on at once, further ones wait."""

    def __init__(self, fleet: Fleet, store: Database, commands: CommandSettings, *, silent_after_s: float) -> None:
        self._fleet = fleet
        self._past = PastStore(store)
        self._alarms = AlarmStore(store)
        self._history = History(store)
        self._commands = commands
        self._silent_after = timedelta(seconds=silent_after_s)
        self._room = asyncio.Semaphore(_FLEETS_AT_ONCE)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                "GET", "/api/v1/history/fleet", "All lockers as they were at a moment", self._all,
                query=MomentParameters, answers={200: FleetThen}, codes=("database_unavailable",),
            ),
            Route(
                "GET", "/api/v1/history/lockers/{locker}", "One locker as it was at a moment", self._one,
                query=MomentParameters, answers={200: LockerThen},
                codes=("locker_unknown", "database_unavailable"),
            ),
        ]  # fmt: skip

    async def _all(self, request: web.Request) -> web.Response:
        at = _moment(request)
        since = at - BACK
        async with self._room:
            specs = [self._fleet.lockers[one].spec for _, one in self._fleet.order]
            found = await self._past.fleet([spec.id for spec in specs], since, at)
            silent = [spec.id for spec in specs if spec.id not in found.edges and spec.id not in found.heard_at]
            unborn = (await self._past.unborn(at)).intersection(silent) if silent else set()
            before = await self._heard_before([one for one in silent if one not in unborn], since)
            if len(silent) == len(specs) and not before:
                await self._refuse_before_anything(at)
            found.heard_at |= before
            there = [spec for spec in specs if spec.id not in unborn]
            # Thousands of lockers are worked out beside the loop, which has doors to open meanwhile.
            views = await asyncio.to_thread(self._views, there, found, at)
            return await asyncio.to_thread(answer, FleetThen(at, since, views))

    async def _one(self, request: web.Request) -> web.Response:
        name = request.match_info["locker"]
        known = self._fleet.lockers.get(name)
        if known is None:
            raise Problem("locker_unknown", f"There is no locker {name[:40]!r} in the registry.")
        at = _moment(request)
        since = at - BACK
        found, told = await self._past.locker(name, since, at)
        if name not in found.edges and name not in found.heard_at:
            found.heard_at = await self._heard_before([name], since)
            if not found.heard_at:
                await self._refuse_before_anything(at)
        shown = locker_then(known.spec, told, _signs(name, found), at=at, silent_after=self._silent_after)
        _mark(shown, found)
        alarms = await self._alarms.page(AlarmFilter(at=at, locker=name), _ALARMS_SHOWN)
        commands = await self._past.commands(name, at, _COMMANDS_SHOWN)
        asked = EventFilter(since=max(at, _EPOCH + _EVENTS_BACK) - _EVENTS_BACK, until=at + _INSTANT, locker=name)
        events = await event_page(self._history, asked, _EVENTS_SHOWN, None)
        view = _view(shown)
        detail = LockerDetail(
            **{one.name: getattr(view, one.name) for one in fields(LockerView)},
            doors=[door_view(shown, door) for _, door in sorted(shown.doors.items())],
            commands=[command_of_row(row, self._commands) for row in commands],
        )
        return answer(LockerThen(at, since, detail, [alarm_view(one) for one in alarms], events.items))

    async def _heard_before(self, lockers: Sequence[str], at: datetime) -> dict[str, datetime]:
        return await self._past.heard_before(lockers, at) if lockers else {}

    async def _refuse_before_anything(self, at: datetime) -> None:
        begins = await self._past.begins()
        if begins is None:
            raise Problem("bad_request", "Nothing is stored yet, so there is no past to show.")
        if at < begins:
            raise Problem(
                "bad_request", f"`at` ({_shown(at)}) is before the first event that is kept ({_shown(begins)})."
            )

    def _views(self, specs: list[LockerSpec], found: FleetPast, at: datetime) -> list[LockerView]:
        views = []
        for spec in specs:
            locker = Locker(spec, {})
            reach(locker, _signs(spec.id, found), at=at, silent_after=self._silent_after)
            _mark(locker, found)
            counts = door_counts_then(
                spec, found.edges.get(spec.id, ()), found.boards.get(spec.id, ()), reachable=locker.reachable
            )
            views.append(replace(_view(locker), door_counts=DoorCounts(**counts)))
        return views


_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


def _moment(request: web.Request) -> datetime:
    try:
        return past_moment(read_query(request, MomentParameters).at, now=clock.wall())
    except BadSpan as error:
        raise Problem("bad_request", str(error)) from None


def _signs(locker: str, found: FleetPast) -> Signs:
    edges = found.edges.get(locker, ())
    return Signs(
        heard_at=found.heard_at.get(locker),
        heard_ever=bool(edges),
        stopped_at=stopped_at(edges),
        offline_since=found.offline_since.get(locker),
    )


def _mark(locker: Locker, found: FleetPast) -> None:
    spec = locker.spec
    counts = found.alarms.get(spec.id, {})
    locker.alarms = (
        counts.get("critical", 0), counts.get("high", 0), counts.get("medium", 0), counts.get("low", 0),
    )  # fmt: skip
    locker.maintenance = spec.id in found.maintained or spec.site in found.maintained_sites


def _view(locker: Locker) -> LockerView:
    return replace(locker_view(locker), agent=None, session=None, boards=None)


def _shown(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
