"""Files of what is stored: CSV or NDJSON, page by page, with an end that tells a whole file from a broken one.

A page is a query of its own behind the last row of the page before, so that whoever reads slowly holds no
transaction, and rows that are written meanwhile are neither doubled nor make others be left out.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import orjson

from hub.core.alarms.alarm import Alarm
from hub.core.delimited import BOM, csv_lines
from hub.core.spans import Span
from hub.core.statistics import COLLECT_BOUNDS_S
from hub.store.alarms import AlarmFilter, AlarmStore
from hub.store.commands import CommandsQuery, CommandStore
from hub.store.history import EventFilter, History, pages
from hub.store.rows import ReadingsQuery
from hub.store.statistics import StatisticsStore
from wire.messages import CommandKind

Row = Mapping[str, Any]
Pages = AsyncIterator[Sequence[Row]]


class Form(StrEnum):
    """How a file is written."""

    CSV = "csv"
    NDJSON = "ndjson"


CONTENT_TYPES: Final = {Form.CSV: "text/csv", Form.NDJSON: "application/x-ndjson"}


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a file has: its columns, and its rows, in pages of a size."""

    name: str
    columns: tuple[str, ...]
    pages: Callable[[int], Pages]


@dataclass(slots=True)
class Written:
    """How far a file is."""

    rows: int = 0
    cut: bool = False
    """There were more rows than it may have."""


_EVENT: Final = (
    "locker", "epoch", "seq", "kind", "door", "occurred_at", "received_at", "clock", "actor", "command",
    "transaction", "data",
)  # fmt: skip
_READING: Final = (
    "locker", "at", "temperature_c", "humidity_pct", "supply_v", "battery_pct", "rssi_dbm", "cpu_temp_c", "cpu_pct",
    "memory_pct", "disk_free_mb", "outbox_events", "board_errors", "extra",
)  # fmt: skip
_DOOR_HOUR: Final = (
    "hour", "locker", "door", "openings", "closings", "left_open", "forced", "put_in", "collected", "collect_timed",
    "collect_seconds", *COLLECT_BOUNDS_S, "occupied_seconds", "occupied_after",
)  # fmt: skip
_COMMAND: Final = (
    "id", "class", "locker", "kind", "door", "actor", "by", "reason", "args", "accepted_at", "deadline_ms",
    "expires_at", "state", "detail", "outcome", "late", "cancel_requested", "attempts", "stages_ms",
)  # fmt: skip
_ALARM: Final = (
    "id", "type", "severity", "tenant", "site", "locker", "door", "where", "state", "began_at", "raised_at",
    "last_at", "cleared_at", "closed_at", "count", "value", "limit", "unit", "acked_at", "acked_by", "ack_note",
    "shelved_by", "shelved_why", "shelved_until", "suppressed", "parent", "rule", "what",
)  # fmt: skip
_QUARANTINE: Final = (
    "id", "received_at", "topic", "reason", "detail", "payload_bytes", "locker", "epoch", "seq",
)  # fmt: skip


async def written(
    sheet: Sheet, form: Form, state: Written, *, rows_max: int, page_rows: int, bom: bool = False
) -> AsyncGenerator[bytes, None]:
    """Yield a file piece by piece, and keep `state`. Raises StoreError in the middle where the database does.

    CSV begins with the columns' names and has nothing at its end: whether it is whole is for whoever carries it to
    say. The last line of NDJSON is `{"end": true, "rows": n, "cut": false}`, and a file without it is not whole.
    """
    if form is Form.CSV:
        yield ((BOM if bom else "") + csv_lines([sheet.columns])).encode()
    async for page in sheet.pages(page_rows):
        taken = page[: rows_max - state.rows]
        if taken:
            state.rows += len(taken)
            yield _encoded(sheet, form, taken)
        if len(taken) < len(page):
            state.cut = True
            break
    if form is Form.NDJSON:
        yield orjson.dumps({"end": True, "rows": state.rows, "cut": state.cut}, option=orjson.OPT_APPEND_NEWLINE)


def events_sheet(history: History, wanted: EventFilter) -> Sheet:
    """Return events, newest first."""

    async def page(limit: int, last: Row | None) -> list[dict[str, Any]]:
        after = None if last is None else (last["occurred_at"], last["locker"], last["epoch"], last["seq"])
        return await history.events(wanted, limit, after)

    return Sheet("events", _EVENT, lambda page_rows: pages(page, page_rows))


def telemetry_sheet(history: History, locker: str, within: Span) -> Sheet:
    """Return a locker's readings, newest first."""
    since, until = within

    async def all_pages(page_rows: int) -> Pages:
        # Readings have no key: a page goes on behind a time, and how many of that time were seen.
        after: tuple[datetime, int] | None = None
        while rows := await history.readings(ReadingsQuery(locker, since, until, page_rows, after)):
            yield rows
            if len(rows) < page_rows:
                return
            at = rows[-1]["at"]
            seen = sum(row["at"] == at for row in rows)
            after = (at, seen + (after[1] if after is not None and after[0] == at else 0))

    return Sheet("telemetry", _READING, all_pages)


def statistics_sheet(statistics: StatisticsStore, within: Span, lockers: Sequence[str] | None) -> Sheet:
    """Return the hourly counts of doors, oldest first."""

    async def page(limit: int, last: Row | None) -> list[dict[str, Any]]:
        after = None if last is None else (last["hour"], last["locker"], last["door"])
        return await statistics.rows(within, lockers, limit, after)

    return Sheet("statistics", _DOOR_HOUR, lambda page_rows: pages(page, page_rows))


def commands_sheet(commands: CommandStore, within: Span, locker: str | None, state: str | None) -> Sheet:
    """Return commands, newest first."""
    since, until = within

    async def page(limit: int, last: Row | None) -> list[dict[str, Any]]:
        # Behind every command of the end's instant and later ones: the end is excluded.
        after = (until, UUID(int=0)) if last is None else (last["accepted_at"], last["id"])
        rows = await commands.page(CommandsQuery(since, limit, locker, state, None, after))
        # Whom a `forget` is about is shown to nobody.
        return [{**row, "args": None} if row["kind"] == CommandKind.FORGET else row for row in rows]

    return Sheet("commands", _COMMAND, lambda page_rows: pages(page, page_rows))


def alarms_sheet(alarms: AlarmStore, wanted: AlarmFilter) -> Sheet:
    """Return alarms, open and closed, newest raised first."""

    async def page(limit: int, last: Row | None) -> list[dict[str, Any]]:
        after = None if last is None else (last["raised_at"], last["id"])
        return [_alarm_row(alarm) for alarm in await alarms.page(wanted, limit, after)]

    return Sheet("alarms", _ALARM, lambda page_rows: pages(page, page_rows))


def _alarm_row(alarm: Alarm) -> dict[str, Any]:
    shelf = alarm.shelved
    row = {name: getattr(alarm, name) for name in _ALARM if not name.startswith("shelved")}
    row |= {"shelved_by": shelf and shelf.by, "shelved_why": shelf and shelf.why}
    return {**row, "shelved_until": shelf and shelf.until}


def quarantine_sheet(history: History, within: Span, locker: str | None) -> Sheet:
    """Return what was not acceptable, newest first, without its content."""
    since, until = within

    async def page(limit: int, last: Row | None) -> list[dict[str, Any]]:
        after = None if last is None else (last["received_at"], last["id"])
        return await history.quarantine(since, until, locker, limit, after)

    return Sheet("quarantine", _QUARANTINE, lambda page_rows: pages(page, page_rows))


def _encoded(sheet: Sheet, form: Form, rows: Sequence[Row]) -> bytes:
    if form is Form.CSV:
        return csv_lines([[row[name] for name in sheet.columns] for row in rows]).encode()
    option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z
    return b"".join([orjson.dumps({name: row[name] for name in sheet.columns}, option=option) for row in rows])
