"""What the InfluxDB sink reads, and how far it has come: rows by the time of their storing, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from psycopg.rows import DictRow

from hub.store.database import Database
from hub.store.statements import statement

_BEFORE_ALL: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """A place in a stream: behind the row with this stamp, locker, time and door.

    `StreamPosition(t)` is before every row whose stamp is t, and behind every one whose stamp is earlier.
    """

    upto: datetime
    locker: str = ""
    at: datetime = _BEFORE_ALL
    door: int = 0


@dataclass(frozen=True, slots=True)
class StreamState:
    """How far a stream was sent, and the horizon: no row with an earlier stamp can appear any more."""

    place: StreamPosition
    horizon: datetime


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """A span of time that is sent again: everything before `day` is done, and of it the lockers up to `locker`."""

    stream: str
    since: datetime
    until: datetime
    day: datetime
    locker: str
    lines: int
    started_at: datetime
    ended_at: datetime | None


class InfluxFeed:
    """The cursors and the pages of the streams. Each call is one short transaction; errors are the Store's."""

    def __init__(self, store: Database, lag_s: float) -> None:
        self._store = store
        self._lag_s = lag_s

    async def stand(self, stream: str) -> StreamState:
        """Return how far a stream is; one that has no cursor yet begins at the horizon."""
        parameters = {"stream": stream, "lag_s": self._lag_s}
        rows = await self._store.fetch("influx_cursor_look", parameters)
        if not rows:
            async with self._store.transaction() as conn:
                await conn.execute(statement("influx_cursor_begin"), parameters)
            rows = await self._store.fetch("influx_cursor_look", parameters)
        row = rows[0]
        return StreamState(StreamPosition(row["upto"], row["locker_id"], row["at"], row["door"]), row["horizon"])

    async def page(self, stream: str, place: StreamPosition, until: datetime, limit: int) -> list[DictRow]:
        """Return the next rows behind `place` whose stamp is before `until`."""
        parameters = {"upto": place.upto, "locker": place.locker, "at": place.at, "door": place.door}
        return await self._store.fetch(_PAGES[stream], {**parameters, "until": until, "limit": limit})

    async def advance(self, stream: str, was: StreamPosition, now: StreamPosition) -> bool:
        """Move a cursor; False, and nothing is changed, if it is not at `was` any more."""
        async with self._store.transaction() as conn:
            moved = await conn.execute(
                statement("influx_cursor_advance"),
                {
                    "stream": stream,
                    "upto": now.upto, "locker": now.locker, "at": now.at, "door": now.door,
                    "was_upto": was.upto, "was_locker": was.locker, "was_at": was.at, "was_door": was.door,
                },
            )  # fmt: skip
            return moved.rowcount == 1

    async def cursors(self) -> list[DictRow]:
        """Return (stream, upto, moved_at, behind_s) of every stream that has begun."""
        return await self._store.fetch("influx_cursors")


class InfluxPast:
    """The same rows by the time they are of, a day at a time, and how far a rebuild has come."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def rebuilds(self) -> list[Rebuilding]:
        """Return the newest rebuild of each stream."""
        return [
            Rebuilding(
                row["stream"], row["since"], row["until"], row["day"], row["locker_id"], row["lines"],
                row["started_at"], row["ended_at"],
            )
            for row in await self._store.fetch("influx_rebuilds")
        ]  # fmt: skip

    async def begin(self, stream: str, since: datetime, until: datetime) -> None:
        """Begin a rebuild; one of the same stream before it is forgotten."""
        async with self._store.transaction() as conn:
            await conn.execute(
                statement("influx_rebuild_begin"), {"stream": stream, "since": since, "until": until}
            )

    async def advance(self, rebuilding: Rebuilding, day: datetime, locker: str, lines: int) -> Rebuilding:
        """Write down how far it is, and that `lines` more were sent. It has ended when `day` reaches its end."""
        async with self._store.transaction() as conn:
            await conn.execute(
                statement("influx_rebuild_advance"),
                {"stream": rebuilding.stream, "day": day, "locker": locker, "lines": lines},
            )
        return replace(rebuilding, day=day, locker=locker, lines=rebuilding.lines + lines)

    async def lockers(self, stream: str, since: datetime, until: datetime, after: str) -> Sequence[str]:
        """Return the lockers that have rows in this time, by name, from behind `after`."""
        name = _LOCKERS_OF_DAY[stream]
        rows = await self._store.fetch(name, {"since": since, "until": until, "after": after})
        return [row["locker"] for row in rows]

    async def page(
        self, stream: str, locker: str, after: tuple[datetime, int], until: datetime, limit: int
    ) -> list[dict[str, Any]]:
        """Return a locker's next rows behind (time, door) and before `until`."""
        at, door = after
        parameters = {"locker": locker, "after": at, "door": door, "until": until, "limit": limit}
        return await self._store.fetch(_OF_DAY[stream], parameters)


_PAGES: Final = {
    "reading": "influx_reading",
    "reading_late": "influx_reading_late",
    "door_hour": "influx_door_hour",
}
_LOCKERS_OF_DAY: Final = {"reading": "influx_lockers_of_day", "door_hour": "influx_door_lockers_of_day"}
_OF_DAY: Final = {"reading": "influx_readings_of_day", "door_hour": "influx_door_hours_of_day"}
