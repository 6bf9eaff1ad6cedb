"""The past over HTTP: events of the whole fleet, by any of their ids, and telemetry as fine as a plot needs it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec import Meta

from hub.api.cursors import Cursor
from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_query
from hub.api.spans import Time, asked_span, lockers_at
from hub.core.fleet import Fleet
from hub.core.plot import Drawing, drawing, may_be_raw
from hub.core.spans import EVER
from hub.schemas.fleet import EventPage, EventView
from hub.store.database import Database
from hub.store.history import EventFilter, History
from wire.messages import Kind, LockerId

_CURSOR: Final = Cursor("events", tuple[Time, LockerId, UUID, int])
FLEET_BACK: Final = timedelta(days=31)
"""Where a question to the whole fleet begins if it does not say: what has no index is looked for row by row."""
_PLOT_BACK: Final = timedelta(days=1)
_POINTS: Final = 500

# What is drawn, and which of min, avg and max its roll-ups keep.
_SERIES: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("temperature_c", "humidity_pct", "supply_v", "battery_pct"), ("min", "avg", "max")),
    **dict.fromkeys(("rssi_dbm", "cpu_temp_c", "cpu_pct", "memory_pct"), ("min", "avg", "max")),
    "disk_free_mb": ("min",),
    **dict.fromkeys(("outbox_events", "board_errors", "dropped"), ("max",)),
}


class EventFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events of all lockers: all that is given has to fit. A door is a locker's own, so it needs one."""

    locker: LockerId | None = None
    site: Annotated[str, Meta(max_length=120)] | None = None
    door: Annotated[int, Meta(ge=1, le=999)] | None = None
    kind: Kind | None = None
    actor: UUID | None = None
    command: UUID | None = None
    transaction: UUID | None = None
    since: Time | None = None
    until: Time | None = None


class FleetEventsParameters(EventFields, frozen=True, forbid_unknown_fields=True):
    """Which events of all lockers, how many, and where to go on."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: str | None = None


class PlotParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Since and until when, how many points at the most, and what is drawn: names with commas between, or all."""

    since: Time | None = None
    until: Time | None = None
    points: Annotated[int, Meta(ge=10, le=5000)] = _POINTS
    series: Annotated[str, Meta(max_length=400)] | None = None


@dataclass(frozen=True, slots=True)
class SeriesView:
    """One quantity, a value for each of `at`; null where nothing was measured, or where it is not kept."""

    min: list[float | None] | None
    avg: list[float | None] | None
    max: list[float | None] | None


@dataclass(frozen=True, slots=True)
class PlotView:
    """Telemetry for a plot, in columns: `at[i]` begins a bucket of `width_s` seconds; of raw samples it is 0."""

    locker: str
    since: datetime
    until: datetime
    resolution: Literal["raw", "minute", "hour", "day"]
    width_s: int
    at: list[datetime]
    samples: list[int]
    series: dict[str, SeriesView]


class HistoryRoutes:
    """The routes of the past."""

    def __init__(self, fleet: Fleet, store: Database) -> None:
        self._fleet = fleet
        self._history = History(store)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                "GET", "/api/v1/events", "Events of all lockers, newest first", self._events,
                query=FleetEventsParameters, answers={200: EventPage}, codes=("database_unavailable",),
            ),
            Route(
                "GET", "/api/v1/lockers/{locker}/telemetry/plot", "A locker's telemetry for a plot, oldest first",
                self._plot, query=PlotParameters, answers={200: PlotView},
                codes=("locker_unknown", "database_unavailable"),
            ),
        ]  # fmt: skip

    async def _events(self, request: web.Request) -> web.Response:
        wanted = read_query(request, FleetEventsParameters)
        return answer(
            await event_page(self._history, fleet_filter(wanted, self._fleet), wanted.limit, wanted.cursor)
        )

    async def _plot(self, request: web.Request) -> web.Response:
        locker = request.match_info["locker"]
        if locker not in self._fleet.lockers:
            raise Problem("locker_unknown", f"There is no locker {locker[:40]!r} in the registry.")
        wanted = read_query(request, PlotParameters)
        names = _names(wanted.series)
        within = asked_span(wanted.since, wanted.until, back=_PLOT_BACK)
        bounds = await self._history.plot_bounds(locker)
        if may_be_raw(within, wanted.points, bounds):
            rows = await self._history.samples(locker, *within, wanted.points + 1)
            if len(rows) <= wanted.points:
                return answer(_raw_view(locker, within, rows, names))
        drawn = drawing(within, wanted.points, bounds)
        rows = await self._history.buckets(
            locker, drawn.since, drawn.until, width=drawn.width, days_to=drawn.days_to, hours_to=drawn.hours_to
        )
        return answer(_view(locker, drawn, rows, names))


def fleet_filter(wanted: EventFields, fleet: Fleet) -> EventFilter:
    """Return which events are meant. Raises Problem bad_request for what makes no sense."""
    if wanted.door is not None and wanted.locker is None:
        raise Problem("bad_request", "`door` needs `locker`: every locker has a door of that number.")
    if wanted.locker is not None and wanted.site is not None:
        raise Problem(
            "bad_request", "`locker` and `site` are both given; a locker is at one site, so leave it out."
        )
    one_of_few = any(one is not None for one in (wanted.locker, wanted.actor, wanted.command, wanted.transaction))
    since, until = asked_span(wanted.since, wanted.until, back=EVER if one_of_few else FLEET_BACK)
    return EventFilter(
        since=since,
        until=until,
        locker=wanted.locker,
        lockers=lockers_at(fleet, wanted.site),
        door=wanted.door,
        kind=wanted.kind,
        actor=wanted.actor,
        command=wanted.command,
        transaction=wanted.transaction,
    )


async def event_page(history: History, wanted: EventFilter, limit: int, cursor: str | None) -> EventPage:
    """Return a page of events, and where to go on."""
    rows = await history.events(wanted, limit + 1, _CURSOR.read(cursor))
    page = rows[:limit]
    last = page[-1] if len(rows) > limit else None
    after = (
        None if last is None else _CURSOR.write((last["occurred_at"], last["locker"], last["epoch"], last["seq"]))
    )
    return EventPage([EventView(**row) for row in page], after)


def _names(text: str | None) -> list[str]:
    names = list(_SERIES) if text is None else text.split(",")
    for name in names:
        if name not in _SERIES:
            raise Problem("bad_request", f"`series` names {name[:40]!r}; there are {', '.join(_SERIES)}.")
    return names


def _raw_view(
    locker: str, within: tuple[datetime, datetime], rows: list[dict[str, Any]], names: list[str]
) -> PlotView:
    columns = {name: [row[name] for row in rows] for name in names}
    series = {
        name: SeriesView(**{one: column if one in _SERIES[name] else None for one in ("min", "avg", "max")})
        for name, column in columns.items()
    }
    return PlotView(locker, *within, "raw", 0, [row["at"] for row in rows], [1] * len(rows), series)


def _view(locker: str, drawn: Drawing, rows: list[dict[str, Any]], names: list[str]) -> PlotView:
    series = {
        name: SeriesView(
            **{
                one: [row[f"{name}_{one}"] for row in rows] if one in _SERIES[name] else None
                for one in ("min", "avg", "max")
            }
        )
        for name in names
    }
    return PlotView(
        locker, drawn.since, drawn.until, drawn.resolution, round(drawn.width.total_seconds()),
        [row["at"] for row in rows], [row["samples"] for row in rows], series,
    )  # fmt: skip
