"""Lockers, their events and their telemetry."""

from bisect import bisect_right
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from hub.api.cursors import Cursor
from hub.api.history import event_page
from hub.api.problems import Problem
from hub.api.routes import Route, answer, read_query
from hub.api.spans import Time, asked_span
from hub.config.settings import CommandSettings
from hub.core.fleet import Fleet, Locker
from hub.core.natural import natural_key
from hub.core.spans import EVER
from hub.live import Broadcaster
from hub.schemas.fleet import (
    EventPage,
    LockerDetail,
    LockerPage,
    ReadingPage,
    ReadingView,
    command_of_row,
    command_view,
    locker_detail,
    locker_view,
)
from hub.store.commands import CommandStore
from hub.store.database import Database
from hub.store.history import EventFilter, History
from hub.store.rows import ReadingsQuery
from wire.messages import Kind

_CURSOR: Final = Cursor("lockers", str)
_READINGS: Final = Cursor("telemetry", tuple[Time, Annotated[int, Meta(ge=0, le=100_000)]])
Limit = Annotated[int, Meta(ge=1, le=1000)]
_COMMANDS_SHOWN = 20


class LockersParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which lockers: of a site, in a state, or with a text in what they are called and found by.

    `q` looks in id, name, site, address, serial, the agent's version and each tag, whatever the case of letters.
    """

    site: str | None = None
    state: Literal["online", "offline", "never_seen"] | None = None
    q: Annotated[str, Meta(max_length=100)] | None = None
    limit: Limit = 100
    cursor: str | None = None


class EventsParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events: of a door, of a kind, since and until a time (RFC 3339)."""

    door: Annotated[int, Meta(ge=1, le=999)] | None = None
    kind: Kind | None = None
    since: Time | None = None
    until: Time | None = None
    limit: Limit = 100
    cursor: str | None = None


class ReadingsParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which readings: since and until a time (RFC 3339)."""

    since: Time | None = None
    until: Time | None = None
    limit: Limit = 100
    cursor: str | None = None


class LockerRoutes:
    """The routes of lockers."""

    def __init__(
        self, fleet: Fleet, store: Database, rows: CommandStore, live: Broadcaster, commands: CommandSettings
    ) -> None:
        self._fleet = fleet
        self._history = History(store)
        self._rows = rows
        self._live = live
        self._commands = commands

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                "GET", "/api/v1/lockers", "List lockers", self._list,
                query=LockersParameters, answers={200: LockerPage},
            ),
            Route(
                "GET", "/api/v1/lockers/{locker}", "One locker with its doors and newest commands", self._show,
                answers={200: LockerDetail}, codes=("locker_unknown", "database_unavailable"),
            ),
            Route(
                "GET", "/api/v1/lockers/{locker}/events", "A locker's ledger, newest first", self._events,
                query=EventsParameters, answers={200: EventPage},
                codes=("locker_unknown", "database_unavailable"),
            ),
            Route(
                "GET", "/api/v1/lockers/{locker}/telemetry", "A locker's readings, newest first", self._telemetry,
                query=ReadingsParameters, answers={200: ReadingPage},
                codes=("locker_unknown", "database_unavailable"),
            ),
        ]  # fmt: skip

    async def _list(self, request: web.Request) -> web.Response:
        wanted = read_query(request, LockersParameters)
        after = _CURSOR.read(wanted.cursor) or ""
        found = [
            self._fleet.lockers[one]
            for _, one in self._fleet.order[bisect_right(self._fleet.order, natural_key(after)) :]
            if _matches(self._fleet.lockers[one], wanted)
        ]
        page = found[: wanted.limit]
        more = len(found) > len(page)
        return answer(
            LockerPage([locker_view(one) for one in page], _CURSOR.write(page[-1].spec.id) if more else None)
        )

    async def _show(self, request: web.Request) -> web.Response:
        return answer(await self.detail(find_locker(self._fleet, request)))

    async def detail(self, locker: Locker) -> LockerDetail:
        """Return a locker with its doors and newest commands. Raises StoreUnavailable."""
        commands = [command_view(entry, self._commands) for entry in self._live.recent_commands(locker.spec.id)]
        if len(commands) < _COMMANDS_SHOWN:
            known = {command["id"] for command in commands}
            rows = await self._rows.of_locker(locker.spec.id, _COMMANDS_SHOWN)
            commands += [command_of_row(row, self._commands) for row in rows if row["id"] not in known]
        return locker_detail(locker, commands[:_COMMANDS_SHOWN])

    async def _events(self, request: web.Request) -> web.Response:
        locker = find_locker(self._fleet, request)
        wanted = read_query(request, EventsParameters)
        since, until = asked_span(wanted.since, wanted.until, back=EVER)
        asked = EventFilter(
            since=since, until=until, locker=locker.spec.id, door=wanted.door, kind=wanted.kind
        )  # fmt: skip
        return answer(await event_page(self._history, asked, wanted.limit, wanted.cursor))

    async def _telemetry(self, request: web.Request) -> web.Response:
        locker = find_locker(self._fleet, request)
        wanted = read_query(request, ReadingsParameters)
        since, until = asked_span(wanted.since, wanted.until, back=EVER)
        before = _READINGS.read(wanted.cursor)
        rows = await self._history.readings(
            ReadingsQuery(
                locker=locker.spec.id,
                since=since,
                until=until,
                limit=wanted.limit + 1,
                after=before,
            )
        )
        page, more = rows[: wanted.limit], len(rows) > wanted.limit
        after = None
        if more:
            last_at = page[-1]["at"]
            seen = sum(row["at"] == last_at for row in page)
            if before is not None and before[0] == last_at:
                seen += before[1]
            after = _READINGS.write((last_at, seen))
        return answer(ReadingPage([_reading(row) for row in page], after))


def find_locker(fleet: Fleet, request: web.Request) -> Locker:
    """Return the locker in the path. Raises Problem locker_unknown."""
    name = request.match_info["locker"]
    locker = fleet.lockers.get(name)
    if locker is None:
        raise Problem("locker_unknown", f"There is no locker {name[:40]!r} in the registry.")
    return locker


def _matches(locker: Locker, wanted: LockersParameters) -> bool:
    spec = locker.spec
    if wanted.site is not None and spec.site != wanted.site:
        return False
    if wanted.state is not None and locker.state.value != wanted.state:
        return False
    return locker.mentions(wanted.q or "")


def _reading(row: dict[str, Any]) -> ReadingView:
    return ReadingView(**row)
