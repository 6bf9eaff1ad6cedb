"""What the ledgers and the telemetry have of one moment of the past.

Every statement is planned with its times known, so that only the chunks and partitions of its span take part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from hub.core.past import DoorReport, Edges
from hub.store.database import Database
from hub.store.statements import statement


@dataclass(slots=True)
class FleetPast:
    """What was found of some lockers, by locker; who is in none of them said nothing in the span."""

    edges: dict[str, list[Edges]] = field(default_factory=dict)
    boards: dict[str, list[DoorReport]] = field(default_factory=dict)
    heard_at: dict[str, datetime] = field(default_factory=dict)
    alarms: dict[str, dict[str, int]] = field(default_factory=dict)
    """Open ones, by severity."""
    offline_since: dict[str, datetime] = field(default_factory=dict)
    """As the alarms have it."""
    maintained: set[str] = field(default_factory=set)
    maintained_sites: set[str] = field(default_factory=set)

    def hear(self, rows: Sequence[DictRow]) -> None:
        """Take signs of life; the latest counts."""
        for row in rows:
            if row["heard_at"] is not None:
                known = self.heard_at.get(row["locker"])
                self.heard_at[row["locker"]] = row["heard_at"] if known is None else max(known, row["heard_at"])


class PastStore:
    """Reads a moment. Errors are StoreUnavailable or StoreRejected."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def fleet(self, lockers: Sequence[str], since: datetime, at: datetime) -> FleetPast:
        """Return what is told of all lockers after `since` and up to `at`."""
        asked: dict[str, Any] = {"since": since, "at": at, "locker": None, "lockers": list(lockers)}
        found = FleetPast()
        async with self._store.transaction() as conn:
            await conn.execute(statement("past_memory"))
            await self._edges(conn, asked, found)
            for row in await _rows(conn, "past_boards", asked):
                found.boards.setdefault(row.pop("locker"), []).append(DoorReport(door=None, **row))
            found.hear(await _rows(conn, "past_readings", asked))
            await self._marks(conn, asked, found)
        return found

    async def locker(self, locker: str, since: datetime, at: datetime) -> tuple[FleetPast, list[DoorReport]]:
        """Return what is told of one locker after `since` and up to `at`, and every event of its doors."""
        asked = {"since": since, "at": at, "locker": locker, "lockers": [locker]}
        found = FleetPast()
        async with self._store.transaction() as conn:
            await self._edges(conn, asked, found)
            found.hear(await _rows(conn, "past_readings", asked))
            told = [DoorReport(**row) for row in await _rows(conn, "past_doors", asked)]
            await self._marks(conn, asked, found)
        return found, told

    async def heard_before(self, lockers: Sequence[str], at: datetime) -> dict[str, datetime]:
        """Return when the last event of each of these lockers came, up to `at`; without those that had none."""
        async with self._store.transaction() as conn:
            rows = await _rows(conn, "past_heard", {"lockers": list(lockers), "at": at})
        return {row["locker"]: row["heard_at"] for row in rows}

    async def unborn(self, at: datetime) -> set[str]:
        """Return the lockers that came to the registry after `at`."""
        return {row["id"] for row in await self._store.fetch("past_unborn", {"at": at})}

    async def begins(self) -> datetime | None:
        """Return when the first event that is stored occurred."""
        (row,) = await self._store.fetch("past_begins")
        begins: datetime | None = row["at"]
        return begins

    async def commands(self, locker: str, at: datetime, limit: int) -> list[DictRow]:
        """Return a locker's newest commands accepted up to `at`."""
        return await self._store.fetch("past_commands", {"locker": locker, "at": at, "limit": limit})

    async def _edges(self, conn: psycopg.AsyncConnection[DictRow], asked: dict[str, Any], found: FleetPast) -> None:
        rows = await _rows(conn, "past_edges", asked)
        found.hear(rows)
        for row in rows:
            del row["heard_at"]
            found.edges.setdefault(row.pop("locker"), []).append(Edges(**row))

    async def _marks(self, conn: psycopg.AsyncConnection[DictRow], asked: dict[str, Any], found: FleetPast) -> None:
        for row in await _rows(conn, "past_alarms", asked):
            found.alarms.setdefault(row["locker"], {})[row["severity"]] = row["count"]
        found.offline_since = {row["locker"]: row["began_at"] for row in await _rows(conn, "past_offline", asked)}
        for row in await _rows(conn, "past_maintenance", asked):
            if row["locker"] is None:
                found.maintained_sites.add(row["site"])
            else:
                found.maintained.add(row["locker"])


async def _rows(conn: psycopg.AsyncConnection[DictRow], name: str, asked: dict[str, Any]) -> list[DictRow]:
    return await (await conn.execute(statement(name), asked, prepare=False)).fetchall()
