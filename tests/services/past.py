"""Events of the past for the tests: made, and stored as the hub stores them, with the marks of their hours."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from hub.core.statistics import HOUR, hour_of
from hub.store.database import Database
from hub.store.statistics import Connection, StatisticsStore, mark_due

EPOCH = UUID(int=1)


@dataclass(frozen=True)
class Told:
    """An event."""

    seq: int
    locker: str
    door: int | None
    kind: str
    at: datetime
    occupied: object = None
    actor: UUID | None = None
    command: UUID | None = None
    transaction: UUID | None = None
    text: str | None = None


async def write(store: Database, events: Sequence[Told]) -> None:
    """Store events as the hub does."""
    async with store.transaction() as conn:
        await insert(conn, events)
        await mark_due(conn, {hour_of(event.at) for event in events})


async def insert(conn: Connection, events: Sequence[Told]) -> None:
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO event (occurred_at, received_at, tenant_id, locker_id, epoch, seq, kind, door, actor_id,"
            " command_id, transaction_id, clock, stamped_at, data)"
            " VALUES (%s, %s, 'default', %s, %s, %s, %s, %s, %s, %s, %s, 'synced', %s, %s)",
            [
                (e.at, e.at, e.locker, EPOCH, e.seq, e.kind, e.door, e.actor, e.command, e.transaction, e.at,
                 _data(e))
                for e in events
            ],
        )  # fmt: skip


async def count_all(store: Database) -> None:
    """Count all hours that are marked."""
    statistics = StatisticsStore(store)
    while due := (await statistics.due(2))[0]:
        for hour in due:
            await statistics.count((hour, hour + HOUR))


async def clear(store: Database) -> None:
    """Forget everything."""
    async with store.transaction() as conn:
        for table in ("event", "reading", "reading_hour", "reading_day", "door_hour", "statistics_due", "command"):
            await conn.execute(f"TRUNCATE {table}".encode())


def _data(event: Told) -> Jsonb | None:
    if event.text is not None:
        return Jsonb({"text": event.text})
    return None if event.occupied is None else Jsonb({"occupied": event.occupied})
