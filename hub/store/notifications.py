"""What was told, to whom, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from psycopg.rows import DictRow

from hub import clock
from hub.core.alarms.alarm import Alarm
from hub.core.notify.notices import Message
from hub.store.alarms import alarm_of_row
from hub.store.database import Database
from hub.store.statements import statement

State = Literal["waiting", "sent", "failed", "dropped"]


@dataclass(frozen=True, slots=True)
class NotificationDelivery:
    """How a message stands."""

    message: Message
    state: State
    tries: int
    error: str | None
    at: datetime
    """When it came to stand so."""
    count: int = 1


class NotificationStore:
    """The table. Errors are StoreUnavailable or StoreRejected."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def write(self, batch: Sequence[NotificationDelivery]) -> None:
        """Write how messages stand, all or nothing; what a message is told with is kept while it waits."""
        async with self._store.transaction() as conn, conn.cursor() as cursor:
            await cursor.executemany(statement("notification_put"), [_values(one) for one in batch])
            told = [_told(one) for one in batch if one.state == "sent" and one.message.knows]
            if told:
                await cursor.executemany(statement("notification_told_put"), told)

    async def waiting(self, channels: Sequence[str], limit: int) -> list[tuple[Message, int]]:
        """Return what waits for these channels, the oldest first, each with its tries."""
        rows = await self._store.fetch("notifications_waiting", {"channels": list(channels), "limit": limit})
        return [(msgspec.json.decode(row["message"], type=Message), row["tries"]) for row in rows]

    async def told(self, channels: Sequence[str], limit: int) -> list[DictRow]:
        """Return what receivers know: `channel`, `alarm`, `transition`."""
        return await self._store.fetch("notifications_told", {"channels": list(channels), "limit": limit})

    async def alarms(self, ids: Sequence[UUID]) -> dict[UUID, Alarm]:
        """Return alarms as their rows have them, open or closed."""
        rows = await self._store.fetch("alarms_by_id", {"ids": list(ids)})
        return {row["id"]: alarm_of_row(row) for row in rows}

    async def take_lease(self, channels: Sequence[str], hub: UUID, ttl_s: float) -> set[str]:
        """Take or keep the right to send for so long; return over which of these channels."""
        async with self._store.transaction() as conn:
            wanted = {"channels": list(channels), "hub": hub, "ttl_s": ttl_s}
            taken = await conn.execute(statement("notification_lease_take"), wanted)
            return {row["channel"] for row in await taken.fetchall()}

    async def release_lease(self, hub: UUID) -> None:
        """Let others send at once."""
        async with self._store.transaction() as conn:
            await conn.execute(statement("notification_lease_release"), {"hub": hub})

    async def drop_others(self, channels: Sequence[str], error: str) -> None:
        """Drop what waits for channels that are not among these."""
        async with self._store.transaction() as conn:
            values = {"channels": list(channels), "error": error, "at": clock.wall()}
            await conn.execute(statement("notifications_drop_waiting"), values)

    async def last(self, channels: Sequence[str]) -> list[DictRow]:
        """Return of each channel that was ever tried: `ok_at`, `error`, `error_at`."""
        return await self._store.fetch("notifications_last", {"channels": list(channels)})

    async def page(self, *, channel: str | None, before: tuple[datetime, UUID] | None, limit: int) -> list[DictRow]:
        """Return messages, newest first."""
        at, before_id = before or (None, None)
        return await self._store.fetch(
            "notifications_page",
            {"channel": channel, "before_at": at, "before_id": before_id, "limit": limit},
        )

    async def prune(self, *, before: datetime, kept_max: int) -> int:
        """Delete what is settled and older, or beyond so many; return how many rows."""
        async with self._store.transaction() as conn:
            done = await conn.execute(statement("notifications_prune"), {"before": before, "kept_max": kept_max})
            await conn.execute(statement("notifications_told_prune"), {"before": before})
        return done.rowcount


def _told(delivery: NotificationDelivery) -> dict[str, Any]:
    knows = delivery.message.knows
    return {
        "channel": delivery.message.channel,
        "alarms": list(knows),
        "transitions": list(knows.values()),
        "at": delivery.at,
    }


def _values(delivery: NotificationDelivery) -> dict[str, Any]:
    message = delivery.message
    return {
        "id": message.id,
        "at": message.at,
        "channel": message.channel,
        "alarm": None if message.notice is None else message.notice.alarm,
        "transition": message.transition,
        "state": delivery.state,
        "tries": delivery.tries,
        "error": delivery.error,
        "message": msgspec.json.encode(message).decode() if delivery.state == "waiting" else None,
        "updated_at": delivery.at,
    }
