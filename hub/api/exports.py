"""Files over HTTP: every filtered view as CSV or NDJSON, streamed, and broken off in a way that shows."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Final

import msgspec
from aiohttp import HttpVersion11, web
from msgspec import Meta

from hub.api.alarms import AlarmFields, chosen
from hub.api.history import EventFields, HistoryRoutes, fleet_filter
from hub.api.past import PastRoutes
from hub.api.problems import Problem
from hub.api.routes import Route, read_query
from hub.api.spans import Time, asked_span
from hub.api.statistics import StatisticsRoutes, statistics_lockers, whole_hours
from hub.config.settings import Config, ExportSettings
from hub.core.commands import CommandStatus
from hub.core.fleet import Fleet
from hub.core.spans import EVER, Span
from hub.errors import StoreError
from hub.export_tables import (
    CONTENT_TYPES,
    Form,
    Sheet,
    Written,
    alarms_sheet,
    commands_sheet,
    events_sheet,
    quarantine_sheet,
    statistics_sheet,
    telemetry_sheet,
    written,
)
from hub.metrics import Metrics
from hub.store.alarms import AlarmStore
from hub.store.commands import CommandStore
from hub.store.database import Database
from hub.store.history import History
from hub.store.statistics import StatisticsStore
from wire.messages import LockerId

_log = logging.getLogger(__name__)
_RETRY_S: Final = 10.0
_CODES: Final = ("too_many_exports", "database_unavailable")

Rows = Annotated[int, Meta(ge=1)]


class EventsFile(EventFields, frozen=True, forbid_unknown_fields=True):
    """Events, filtered as `GET /api/v1/events` does; `bom` is for spreadsheets that misread UTF-8 without it."""

    format: Form = Form.CSV
    bom: bool = False
    rows_max: Rows | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    since: Time | None = None
    until: Time | None = None
    format: Form = Form.CSV
    bom: bool = False
    rows_max: Rows | None = None


class TelemetryFile(_File, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A locker's readings."""

    locker: LockerId


class StatisticsFile(_File, frozen=True, forbid_unknown_fields=True):
    """The counts of doors, an hour each."""

    locker: LockerId | None = None
    site: Annotated[str, Meta(max_length=120)] | None = None


class CommandsFile(_File, frozen=True, forbid_unknown_fields=True):
    """Commands, by when they were accepted."""

    locker: LockerId | None = None
    state: CommandStatus | None = None


class QuarantineFile(_File, frozen=True, forbid_unknown_fields=True):
    """What was not acceptable, by when it was received."""

    locker: LockerId | None = None


class AlarmsFile(AlarmFields, frozen=True, forbid_unknown_fields=True):
    """Alarms, open and closed, filtered as `GET /api/v1/alarms` does."""

    format: Form = Form.CSV
    bom: bool = False
    rows_max: Rows | None = None


class ExportRoutes:
    """The routes of files. So many at once as the configuration says; a file that breaks off shows it."""

    def __init__(self, fleet: Fleet, store: Database, config: ExportSettings, metrics: Metrics) -> None:
        self._fleet = fleet
        self._history = History(store)
        self._statistics = StatisticsStore(store)
        self._commands = CommandStore(store)
        self._alarms = AlarmStore(store)
        self._config = config
        self._metrics = metrics
        self._running = 0

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                "GET", "/api/v1/export/events", "Events as a file", self._events,
                query=EventsFile, answers={200: None}, codes=_CODES,
            ),
            Route(
                "GET", "/api/v1/export/telemetry", "A locker's readings as a file", self._telemetry,
                query=TelemetryFile, answers={200: None}, codes=_CODES,
            ),
            Route(
                "GET", "/api/v1/export/statistics", "The counts of doors as a file", self._door_hours,
                query=StatisticsFile, answers={200: None}, codes=_CODES,
            ),
            Route(
                "GET", "/api/v1/export/commands", "Commands as a file", self._command_rows,
                query=CommandsFile, answers={200: None}, codes=_CODES,
            ),
            Route(
                "GET", "/api/v1/export/alarms", "Alarms as a file", self._alarm_rows,
                query=AlarmsFile, answers={200: None}, codes=_CODES,
            ),
            Route(
                "GET", "/api/v1/export/quarantine", "What was not acceptable as a file", self._quarantine,
                query=QuarantineFile, answers={200: None}, codes=_CODES,
            ),
        ]  # fmt: skip

    async def _events(self, request: web.Request) -> web.StreamResponse:
        wanted = read_query(request, EventsFile)
        asked = fleet_filter(wanted, self._fleet)
        return await self._send(request, events_sheet(self._history, asked), wanted, (asked.since, asked.until))

    async def _telemetry(self, request: web.Request) -> web.StreamResponse:
        wanted = read_query(request, TelemetryFile)
        within = asked_span(wanted.since, wanted.until, back=EVER)
        return await self._send(request, telemetry_sheet(self._history, wanted.locker, within), wanted, within)

    async def _door_hours(self, request: web.Request) -> web.StreamResponse:
        wanted = read_query(request, StatisticsFile)
        lockers = statistics_lockers(self._fleet, wanted.locker, wanted.site)
        within = whole_hours(wanted.since, wanted.until)
        return await self._send(request, statistics_sheet(self._statistics, within, lockers), wanted, within)

    async def _command_rows(self, request: web.Request) -> web.StreamResponse:
        wanted = read_query(request, CommandsFile)
        within = asked_span(wanted.since, wanted.until, back=EVER)
        sheet = commands_sheet(self._commands, within, wanted.locker, wanted.state)
        return await self._send(request, sheet, wanted, within)

    async def _alarm_rows(self, request: web.Request) -> web.StreamResponse:
        wanted = read_query(request, AlarmsFile)
        within = asked_span(wanted.since, wanted.until, back=EVER)
        asked = replace(chosen(wanted), since=within[0], until=within[1])
        return await self._send(request, alarms_sheet(self._alarms, asked), wanted, within)

    async def _quarantine(self, request: web.Request) -> web.StreamResponse:
        wanted = read_query(request, QuarantineFile)
        within = asked_span(wanted.since, wanted.until, back=EVER)
        return await self._send(request, quarantine_sheet(self._history, within, wanted.locker), wanted, within)

    async def _send(
        self, request: web.Request, sheet: Sheet, wanted: EventsFile | AlarmsFile | _File, within: Span
    ) -> web.StreamResponse:
        if request.version < HttpVersion11:
            raise Problem(
                "bad_request", "An export needs HTTP/1.1: older ones cannot tell a whole file from a cut one."
            )
        if self._running >= self._config.running_max:
            raise Problem(
                "too_many_exports", f"{self._running} exports are being written, and no more are at once.",
                retry_after_s=_RETRY_S,
            )  # fmt: skip
        self._running += 1
        self._metrics.exports_running.set(self._running)
        try:
            return await self._write(request, sheet, wanted, within)
        finally:
            self._running -= 1
            self._metrics.exports_running.set(self._running)

    async def _write(
        self, request: web.Request, sheet: Sheet, wanted: EventsFile | AlarmsFile | _File, within: Span
    ) -> web.StreamResponse:
        rows_max = min(wanted.rows_max or self._config.rows_max, self._config.rows_max)
        state = Written()
        pieces = written(
            sheet, wanted.format, state, rows_max=rows_max, page_rows=self._config.page_rows_max, bom=wanted.bom
        )
        async with aclosing(pieces):
            # The first rows are read before anything is said: what is wrong until then is an answer like any other.
            beginning = await _first_two(pieces)
            response = web.StreamResponse(headers=_headers(sheet, wanted.format, within, rows_max))
            response.enable_chunked_encoding()
            end = "gone"
            try:
                await response.prepare(request)
                for piece in beginning:
                    await self._pass_on(response, piece)
                async for piece in pieces:
                    await self._pass_on(response, piece)
                end = "cut" if state.cut else "done"
            except StoreError as error:
                end = "failed"
                _log.warning(
                    "An export broke off", extra={"what": sheet.name, "rows": state.rows, "error": str(error)}
                )
            except (ConnectionError, TimeoutError):
                _log.info("An export was left by its client", extra={"what": sheet.name, "rows": state.rows})
            finally:
                self._metrics.exports.labels(sheet.name, end).inc()
                self._metrics.export_rows.labels(sheet.name).inc(state.rows)
                if end not in {"done", "cut"} and request.transport is not None:
                    # Without the last chunk, so that nobody takes it for the whole file.
                    request.transport.abort()
        return response

    async def _pass_on(self, response: web.StreamResponse, piece: bytes) -> None:
        async with asyncio.timeout(self._config.send_timeout_s):
            await response.write(piece)


def past_routes(fleet: Fleet, store: Database, config: Config, metrics: Metrics) -> list[Route]:
    """Return all routes that read the past: views, moments, statistics, files."""
    silent_after_s = config.intake.silent_after_s
    return [
        *HistoryRoutes(fleet, store).routes(),
        *PastRoutes(fleet, store, config.commands, silent_after_s=silent_after_s).routes(),
        *StatisticsRoutes(fleet, store).routes(),
        *ExportRoutes(fleet, store, config.exports, metrics).routes(),
    ]


async def _first_two(pieces: AsyncIterator[bytes]) -> list[bytes]:
    """Return the first two pieces, or fewer: the columns' names, and the first rows."""
    return [piece for piece in (await anext(pieces, None), await anext(pieces, None)) if piece is not None]


def _headers(sheet: Sheet, form: Form, within: Span, rows_max: int) -> dict[str, str]:
    since, until = (at.strftime("%Y%m%dT%H%M%SZ") for at in within)
    name = f"lockerhub-{sheet.name}-{since}-{until}.{form.value}"
    return {
        "Content-Type": f"{CONTENT_TYPES[form]}; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Lockerhub-Rows-Max": str(rows_max),
    }
