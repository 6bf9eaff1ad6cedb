"""The hourly counts of doors: marking hours, counting them from the events, following what depends on them.

A count is always made anew from the events of its hours, never added to, so that late events, events out of order
and erasures leave nothing behind. Counting is serial, by an advisory lock that lasts to the end of the transaction:
a count that began before an erasure cannot write what it saw over the one that came after.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import DictRow

from hub.core.statistics import HOUR, LOOK_BACK, Window, hour_of, pieces, windows
from hub.store.database import Database
from hub.store.statements import statement

Connection = psycopg.AsyncConnection[DictRow]
HourPlace = tuple[datetime, str, int]
"""Where a page of counts ended: hour, locker, door."""

_PAIRS_GAP: Final = timedelta(days=31)
_PAIRS_WINDOW: Final = timedelta(days=366)
"""Of single lockers: planning a window costs more than the events of one locker that lie between."""
_COUNT_TIMEOUT_MS: Final = 60_000


async def mark_due(conn: Connection, hours: Collection[datetime]) -> None:
    """Say, in the transaction that writes events, which hours they are of. Takes no lock and waits for nobody.

    `hours` are beginnings of hours in UTC, each given once.
    """
    if hours:
        # As an array literal: psycopg's own lists of times cost more than the statement.
        literal = "{" + ",".join([f'"{hour.isoformat()}"' for hour in hours]) + "}"
        await conn.execute(statement("statistics_mark"), {"hours": literal})


async def recount(conn: Connection, pairs: Sequence[tuple[str, datetime]]) -> None:
    """Count hours of lockers again, in the transaction that deleted events of them; call it late in there.

    Each pair is a locker and a time within the hour. Also counts what depended on the deleted events: how long an
    item lay there that was taken out in a later hour.
    """
    if not pairs:
        return
    hours: dict[str, set[datetime]] = defaultdict(set)
    for locker, at in pairs:
        hours[locker].add(hour_of(at))
    await _alone(conn)
    for locker, wanted in sorted(hours.items()):
        for window in windows(wanted, gap=_PAIRS_GAP, longest=_PAIRS_WINDOW):
            await _count_and_mend(conn, window, [locker])


class StatisticsStore:
    """What the statistics' job asks of the database. Errors are StoreUnavailable or StoreRejected."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def due(self, hours_max: int) -> tuple[list[datetime], int]:
        """Return the newest hours that are marked, at most so many, and how many there are in all."""
        rows = await self._store.fetch("statistics_due", {"hours_max": hours_max})
        return [row["hour"] for row in rows], rows[0]["hours"] if rows else 0

    async def count(self, window: Window) -> int:
        """Count a window of the whole fleet and take its marks away, in one transaction. Returns changed rows."""
        async with self._store.transaction() as conn:
            await conn.execute(statement("statistics_patience"), {"timeout": f"{_COUNT_TIMEOUT_MS}ms"})
            await _alone(conn)
            # Marks first: what commits after this statement keeps its mark, whether it is counted now or not.
            await conn.execute(statement("statistics_unmark"), {"since": window[0], "until": window[1]})
            return await _count_and_mend(conn, window, None)

    async def sweep(self, before: datetime) -> int:
        """Delete rows that came to count nothing before a time. Returns how many."""
        async with self._store.transaction() as conn:
            await _alone(conn)
            return (await conn.execute(statement("statistics_sweep"), {"before": before})).rowcount

    async def totals(self, window: Window, lockers: Sequence[str] | None, bucket: str, zone: str) -> list[DictRow]:
        """Return counts by bucket, hour of the day, size, and all together. StoreRejected: no such zone."""
        return await self._fetch(
            "statistics_totals",
            {"since": window[0], "until": window[1], "lockers": _listed(lockers), "bucket": bucket, "zone": zone},
        )

    async def collected(self, window: Window, lockers: Sequence[str] | None) -> list[DictRow]:
        """Return how long items lay there, by size of the door (None: not in the registry any more)."""
        return await self._fetch(
            "statistics_collected", {"since": window[0], "until": window[1], "lockers": _listed(lockers)}
        )

    async def occupied(self, window: Window, lockers: Sequence[str] | None) -> list[DictRow]:
        """Return for how long doors were occupied, by size."""
        of_size: dict[str, DictRow] = {}
        for since, until in pieces(window, longest=LOOK_BACK):
            asked = {"since": since, "until": until, "back": since - LOOK_BACK, "look_back": LOOK_BACK}
            for row in await self._fetch("statistics_occupied", {**asked, "lockers": _listed(lockers)}):
                known = of_size.setdefault(row["size"], row)
                if known is not row:
                    known["doors_known"] = max(known["doors_known"], row["doors_known"])
                    known["occupied_s"] += row["occupied_s"]
                    known["known_s"] += row["known_s"]
        return list(of_size.values())

    async def rows(
        self, window: Window, lockers: Sequence[str] | None, limit: int, after: HourPlace | None = None
    ) -> list[DictRow]:
        """Return a page of the counts themselves, oldest first."""
        hour, locker, door = after or (None, None, None)
        return await self._fetch(
            "door_hours_page",
            {
                "since": window[0],
                "until": window[1],
                "lockers": _listed(lockers),
                "limit": limit,
                "after_hour": hour,
                "after_locker": locker,
                "after_door": door,
            },
        )

    async def _fetch(self, name: str, asked: dict[str, Any]) -> list[DictRow]:
        async with self._store.transaction() as conn:
            return await (await conn.execute(statement(name), asked, prepare=False)).fetchall()


def _listed(lockers: Sequence[str] | None) -> list[str] | None:
    return None if lockers is None else list(lockers)


async def _alone(conn: Connection) -> None:
    await conn.execute(statement("statistics_alone"))


async def _count_and_mend(conn: Connection, window: Window, lockers: list[str] | None) -> int:
    changed = await _count(conn, window, lockers)
    since, until = window
    found = await conn.execute(
        statement("statistics_stale"),
        {"since": since, "until": until, "ahead": until + LOOK_BACK, "look_back": LOOK_BACK, "lockers": lockers},
        prepare=False,
    )
    of_hour: dict[datetime, list[str]] = defaultdict(list)
    for row in await found.fetchall():
        of_hour[row["hour"]].append(row["locker"])
    for hour, touched in of_hour.items():
        changed += await _count(conn, (hour, hour + HOUR), touched)
    return changed


async def _count(conn: Connection, window: Window, lockers: list[str] | None) -> int:
    since, until = window
    counted = await conn.execute(
        statement("statistics_count"),
        {"since": since, "until": until, "back": since - LOOK_BACK, "look_back": LOOK_BACK, "lockers": lockers},
        # Never prepared: the times have to be constants when it is planned, or every chunk there is takes part.
        prepare=False,
    )
    return counted.rowcount
