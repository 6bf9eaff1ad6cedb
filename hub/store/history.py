"""What is read of the past, in pages: events of a locker or of all, quarantine, and telemetry for a plot.

Pages go on behind a row (keyset), so nobody holds a transaction open between two of them, and no page is slower for
being a late one. Every statement is planned with its times known, so that it touches only the chunks and partitions
of its span; and a page begins with the newest days of its span, and goes back in growing steps until it is full.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from psycopg.rows import DictRow

from hub.core.plot import RetainedHours
from hub.store.database import Database
from hub.store.rows import ReadingsQuery
from hub.store.statements import statement

EventPlace = tuple[datetime, str, UUID, int]
"""Where a page of events ended: occurred_at, locker, epoch, seq."""
QuarantinePlace = tuple[datetime, int]

_STEP: Final = timedelta(days=8)
_STEPS_GROW: Final = 8
_INSTANT: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events: all that is given has to fit. `lockers` are those of a site."""

    since: datetime
    until: datetime
    locker: str | None = None
    lockers: tuple[str, ...] | None = None
    door: int | None = None
    kind: str | None = None
    actor: UUID | None = None
    command: UUID | None = None
    transaction: UUID | None = None


class History:
    """Reads the past. Errors are StoreUnavailable or StoreRejected."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def events(self, wanted: EventFilter, limit: int, after: EventPlace | None = None) -> list[DictRow]:
        """Return a page of events, newest first."""
        at, locker, epoch, seq = after or (None, None, None, None)
        asked = {
            "locker": wanted.locker,
            "lockers": None if wanted.lockers is None else list(wanted.lockers),
            "door": wanted.door,
            "kind": wanted.kind,
            "actor": wanted.actor,
            "command": wanted.command,
            "transaction": wanted.transaction,
            "after_at": at,
            "after_locker": locker,
            "after_epoch": epoch,
            "after_seq": seq,
        }
        until = wanted.until if at is None else min(wanted.until, at + _INSTANT)
        found: list[DictRow] = []
        step = _STEP
        while wanted.since < until and len(found) < limit:
            since = max(wanted.since, until - step)
            span = {"since": since, "until": until, "limit": limit - len(found)}
            found += await self._fetch("events_page", asked | span)
            until, step = since, step * _STEPS_GROW
        return found

    async def readings(self, query: ReadingsQuery) -> list[DictRow]:
        """Return a page of a locker's telemetry, newest first."""
        at, rows = query.after or (None, 0)
        until = query.until if at is None else min(query.until, at + _INSTANT)
        return await self._fetch(
            "readings_of",
            {
                "locker": query.locker,
                "since": query.since,
                "until": until,
                "after_at": at,
                "after_rows": rows,
                "limit": query.limit,
            },
        )

    async def quarantine(
        self, since: datetime, until: datetime, locker: str | None, limit: int, after: QuarantinePlace | None = None
    ) -> list[DictRow]:
        """Return a page of what was not acceptable, newest first, without its content."""
        at, number = after or (None, None)
        return await self._fetch(
            "quarantine_page",
            {"since": since, "until": until, "locker": locker, "limit": limit, "after_at": at, "after_id": number},
        )

    async def plot_bounds(self, locker: str) -> RetainedHours:
        """Return what there is of a locker's telemetry."""
        (row,) = await self._fetch("plot_bounds", {"locker": locker})
        return RetainedHours(**row)

    async def samples(self, locker: str, since: datetime, until: datetime, limit: int) -> list[DictRow]:
        """Return samples as they came, oldest first, `limit` at the most."""
        return await self._fetch(
            "plot_raw", {"locker": locker, "since": since, "until": until, "limit": limit}
        )  # fmt: skip

    async def buckets(
        self,
        locker: str,
        since: datetime,
        until: datetime,
        *,
        width: timedelta,
        days_to: datetime,
        hours_to: datetime,
    ) -> list[DictRow]:
        """Return telemetry in buckets of a width, oldest first: from days, then from hours, then from samples."""
        return await self._fetch(
            "plot_buckets",
            {
                "locker": locker,
                "since": since,
                "until": until,
                "width": width,
                "days_to": days_to,
                "hours_to": hours_to,
            },
        )

    async def _fetch(self, name: str, asked: dict[str, Any]) -> list[DictRow]:
        async with self._store.transaction() as conn:
            # Never prepared: a plan that is kept knows no times, and so leaves no chunk out before it is run.
            return await (await conn.execute(statement(name), asked, prepare=False)).fetchall()


async def pages(
    page: Callable[[int, DictRow | None], Awaitable[list[DictRow]]], page_rows: int
) -> AsyncIterator[list[DictRow]]:
    """Go through all pages of a query, each behind the last row of the one before."""
    last: DictRow | None = None
    while rows := await page(page_rows, last):
        yield rows
        if len(rows) < page_rows:
            return
        last = rows[-1]
