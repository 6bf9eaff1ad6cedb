"""Maintenance over HTTP: times in which alarms of a place are expected, and told to nobody."""

from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID, uuid4

import msgspec
from aiohttp import web
from msgspec import Meta

from hub import clock
from hub.alarms.engine import AlarmEngine
from hub.api.auth import operator_of
from hub.api.cursors import Cursor
from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_body, read_query
from hub.api.spans import Time, lockers_at
from hub.core.alarms.maintenance import Window
from hub.core.fleet import Fleet
from hub.schemas.alarms import WindowPage, WindowView, window_view

_CURSOR: Final = Cursor("maintenance", tuple[Time, UUID])
_LONGEST: Final = timedelta(days=90)
_AHEAD: Final = timedelta(days=366)
_AWAY: Final = "database_unavailable"


class MaintenanceParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What runs and is to come; `all`: also what is over."""

    all: bool = False
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class MaintenanceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A time of maintenance of a site, a locker, or one of its doors. Without `starts_at` it begins at once."""

    site: Annotated[str, Meta(min_length=1, max_length=120)] | None = None
    locker: Annotated[str, Meta(max_length=32)] | None = None
    door: Annotated[int, Meta(ge=1, le=999)] | None = None
    starts_at: Time | None = None
    ends_at: Time
    why: Annotated[str, Meta(min_length=1, max_length=200)]


class MaintenanceRoutes:
    """The routes of maintenance."""

    def __init__(self, alarms: AlarmEngine, fleet: Fleet) -> None:
        self._alarms = alarms
        self._fleet = fleet

    def routes(self) -> list[Route]:
        """Return the routes."""
        path = "/api/v1/maintenance"
        return [
            Route(
                "GET", path, "Maintenance, the last to start first", self._list,
                query=MaintenanceParameters, answers={200: WindowPage}, codes=(_AWAY,),
            ),
            Route(
                "POST", path, "Plan maintenance: alarms of the place are kept, and told to nobody", self._plan,
                body=MaintenanceBody, answers={201: WindowView},
                codes=("not_json", "locker_unknown", "door_unknown", "too_many_windows", _AWAY),
            ),
            Route(
                "POST", f"{path}/{{window}}/end", "End it before its time", self._end,
                answers={200: WindowView}, codes=("maintenance_unknown", _AWAY),
            ),
        ]  # fmt: skip

    async def _list(self, request: web.Request) -> web.Response:
        wanted = read_query(request, MaintenanceParameters)
        now = clock.wall()
        after = _CURSOR.read(wanted.cursor)
        found = await self._alarms.store.windows_page(
            every=wanted.all, now=now, limit=wanted.limit + 1, after=after
        )
        page = found[: wanted.limit]
        more = len(found) > len(page)
        return answer(
            WindowPage(
                [window_view(one, now) for one in page],
                _CURSOR.write((page[-1].starts_at, page[-1].id)) if more else None,
            )
        )

    async def _plan(self, request: web.Request) -> web.Response:
        body = await read_body(request, MaintenanceBody)
        now = clock.wall()
        starts_at = now if body.starts_at is None else body.starts_at
        self._check_place(body)
        _check_times(starts_at, body.ends_at, now)
        window = Window(
            id=uuid4(), site=body.site, locker=body.locker, door=body.door, starts_at=starts_at,
            ends_at=body.ends_at, why=body.why, by=operator_of(request),
        )  # fmt: skip
        if not await self._alarms.store.add_window(window, now):
            raise Problem("too_many_windows", "End some that are not needed, or wait until they are over.")
        await self._alarms.records.look()
        return answer(window_view(window, now), 201)

    async def _end(self, request: web.Request) -> web.Response:
        text, now = request.match_info["window"], clock.wall()
        try:
            window_id = UUID(text)
        except ValueError:
            raise Problem("maintenance_unknown", f"{text[:40]!r} is no maintenance's id.") from None
        window = await self._alarms.store.end_window(window_id, operator_of(request), now)
        if window is None:
            raise Problem("maintenance_unknown", f"There is no maintenance {window_id}.")
        await self._alarms.records.look()
        return answer(window_view(window, now))

    def _check_place(self, body: MaintenanceBody) -> None:
        if (body.site is None) == (body.locker is None):
            raise Problem("bad_request", "The body has one of `site` and `locker`.")
        if body.locker is None:
            if body.door is not None:
                raise Problem("bad_request", "door: it needs `locker`.")
            lockers_at(self._fleet, body.site)
            return
        locker = self._fleet.lockers.get(body.locker)
        if locker is None:
            raise Problem("locker_unknown", f"There is no locker {body.locker!r} in the registry.")
        if body.door is not None and body.door not in locker.doors:
            raise Problem("door_unknown", f"{body.locker} has no door {body.door}.")


def _check_times(starts_at: datetime, ends_at: datetime, now: datetime) -> None:
    if ends_at <= starts_at:
        raise Problem("bad_request", "ends_at: it has to be after `starts_at`.")
    if ends_at <= now:
        raise Problem("bad_request", "ends_at: it is in the past.")
    if ends_at - starts_at > _LONGEST:
        raise Problem("bad_request", f"ends_at: maintenance takes at most {_LONGEST.days} days.")
    if starts_at > now + _AHEAD:
        raise Problem("bad_request", "starts_at: it is more than a year ahead.")
