"""The database behind the hub: TimescaleDB, or a plain PostgreSQL with the same tables."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, Self

import orjson
import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.datetime import DatetimeDumper
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from hub.core.fleet import DoorSpec, LockerSpec
from hub.errors import StoreUnavailable
from hub.masking import scrub
from hub.store.binary_copy import HEADER, TRAILER
from hub.store.dsn import check_dsn
from hub.store.rows import EventsQuery, Quarantined
from hub.store.statements import statement
from hub.store.translate import REJECTIONS, first_line, is_of_the_session, translate_error

_CONNECTIONS_MIN: Final = 2
_RECONNECT_S: Final = 3.0
"""The pool doubles its pauses without a limit: it would come back as late again as an outage was long. So it gives
up after this time, and whoever wants a connection next lets it begin anew."""
_RENEW_EVERY_S: Final = 2.0
_FAILURE_CHARS_MAX: Final = 500


class _InUtc(DatetimeDumper):
    """Sends times in UTC, and none of a year that UTC does not have.

    The last hours of 9999 west of Greenwich are of the year 10000: PostgreSQL takes them, and whoever reads that
    row again fails, each time.
    """

    def dump(self, obj: datetime) -> bytes:
        try:
            return str(obj.astimezone(UTC)).encode()
        except OverflowError:
            raise psycopg.DataError(f"{obj} is outside of the years that there are in UTC") from None


class Database:
    """A pool of connections and every query of the hub. Errors are StoreError, and ConfigError for no DSN."""

    def __init__(
        self, dsn: str, *, connections_max: int, statement_timeout_ms: int, connect_timeout_s: int
    ) -> None:
        check_dsn(dsn)
        set_json_dumps(orjson.dumps)
        set_json_loads(orjson.loads)
        psycopg.adapters.register_dumper(datetime, _InUtc)
        self._connect_failure = ""
        self._renewed_s = float("-inf")
        self._pool = AsyncConnectionPool(
            dsn,
            connection_class=_noting(self._note_connect),
            min_size=_CONNECTIONS_MIN,
            max_size=max(connections_max, _CONNECTIONS_MIN),
            open=False,
            timeout=connect_timeout_s,
            reconnect_timeout=_RECONNECT_S,
            check=AsyncConnectionPool.check_connection,
            name="store",
            kwargs={
                "row_factory": dict_row,
                "application_name": "lockerhub",
                "connect_timeout": connect_timeout_s,
                "options": f"-c timezone=UTC -c statement_timeout={statement_timeout_ms}"
                f" -c lock_timeout={statement_timeout_ms // 2}"
                " -c idle_in_transaction_session_timeout=30000"
                # To compile a plan takes longer than to run it, over hundreds of chunks.
                " -c jit=off"
                # TimescaleDB lets no statement open many compressed segments, unless it is told otherwise, and an
                # erasure refused for that would be refused for ever. SkipScan leaves rows out where a chunk is
                # compressed in part (decision 0008). PostgreSQL takes any name with a dot.
                " -c timescaledb.max_tuples_decompressed_per_dml_transaction=0"
                " -c timescaledb.enable_skipscan=off -c timescaledb.enable_compressed_skipscan=off",
                # A peer that is gone without a word is noticed within about ten seconds.
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "tcp_user_timeout": 10_000,
            },
        )

    async def __aenter__(self) -> Self:
        """Open the pool. Connections are made in the background, and again whenever they are lost."""
        await self._pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close all connections."""
        await self._pool.close(timeout=2)

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the database answers and has its schema."""
        await self.fetch("registry_version")

    async def write_quarantine(self, rows: Sequence[Quarantined]) -> None:
        """Keep messages that were not acceptable."""
        async with self.transaction() as conn, conn.cursor() as cursor:
            await cursor.executemany(statement("quarantine_add"), [quarantine_row(row) for row in rows])

    async def registry_version(self) -> int:
        """Return a number that changes whenever a locker or a door does."""
        rows = await self.fetch("registry_version")
        return int(rows[0]["version"])

    async def registry(self) -> list[LockerSpec]:
        """Return all lockers with their doors."""
        return [
            LockerSpec(
                row["id"],
                row["tenant_id"],
                row["name"],
                row["site"],
                tuple(map(_door, row["doors"])),
                row["address"],
                row["serial"],
                tuple(row["tags"]),
                row["disabled"],
            )
            for row in await self.fetch("registry")
        ]

    async def lockers_removed(self) -> list[str]:
        """Return the ids of lockers that were removed."""
        return [row["id"] for row in await self.fetch("lockers_removed")]

    async def add_locker(self, spec: LockerSpec, *, again: bool = False) -> bool:
        """Add a locker and its doors. Returns False, and changes nothing, if the id is taken.

        `again` takes the id of one that was removed, and its history; without it that raises StoreRejected.
        """
        async with self.transaction() as conn:
            if again:
                await conn.execute(statement("locker_again"), {"id": spec.id})
            added = await conn.execute(
                statement("locker_add"),
                {
                    "id": spec.id,
                    "name": spec.name,
                    "site": spec.site,
                    "address": spec.address,
                    "serial": spec.serial,
                    "tags": list(spec.tags),
                },
            )
            if added.rowcount == 0:
                return False
            async with conn.cursor() as cursor:
                await cursor.executemany(
                    statement("door_add"),
                    [
                        {
                            "locker": spec.id,
                            "number": door.number,
                            "label": door.label,
                            "size": door.size,
                            "row": door.row,
                            "column": door.column,
                        }
                        for door in spec.doors
                    ],
                )
        return True

    async def events_of(self, query: EventsQuery) -> list[DictRow]:
        """Return a page of a locker's events, newest first."""
        at, epoch, seq = query.after or (None, None, None)
        return await self.fetch(
            "events_of",
            {
                "locker": query.locker,
                "since": query.since,
                "until": query.until,
                "door": query.door,
                "kind": query.kind,
                "after_at": at,
                "after_epoch": epoch,
                "after_seq": seq,
                "limit": query.limit,
            },
        )

    async def events_newest(self, limit: int) -> list[DictRow]:
        """Return the fleet's newest events of the last day."""
        return await self.fetch("events_newest", {"limit": limit})

    async def readings_since(self, lockers: Sequence[str], since: datetime) -> int:
        """Count the readings of some lockers that were received since a time."""
        rows = await self.fetch("readings_since", {"lockers": list(lockers), "since": since})
        return int(rows[0]["count"])

    async def fetch(self, name: str, parameters: dict[str, Any] | None = None) -> list[DictRow]:
        """Run one named statement in a transaction of its own and return its rows."""
        async with self.transaction() as conn:
            return await (await conn.execute(statement(name), parameters)).fetchall()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        """Run the block in one transaction. Raises StoreRejected or StoreUnavailable."""
        try:
            # The pool commits when the block ends well, and rolls back when it does not.
            async with self._pool.connection() as conn:
                yield conn
        except PoolTimeout as error:
            # The pool says how long it waited, and not for what.
            why = self._connect_failure or first_line(error)
            raise StoreUnavailable(why) from error
        except psycopg.Error as error:
            if is_of_the_session(error):
                await self._renew()
            raise translate_error(error) from error

    def _note_connect(self, failure: str) -> None:
        self._connect_failure = failure

    async def _renew(self) -> None:
        """Have all connections of the pool made anew, not more often than every two seconds."""
        now_s = time.monotonic()
        if now_s - self._renewed_s >= _RENEW_EVERY_S:
            self._renewed_s = now_s
            await self._pool.drain()


def _noting(note: Callable[[str], None]) -> type[psycopg.AsyncConnection[DictRow]]:
    """Return a class of connections that notes why the newest attempt to connect failed; "" if it did not."""

    class Noting(psycopg.AsyncConnection[DictRow]):
        @classmethod
        async def connect(cls, *args: Any, **options: Any) -> Self:  # noqa: ANN401 - passed on
            try:
                made = await super().connect(*args, **options)
            except psycopg.Error as error:
                note(scrub("; ".join(str(error).split("\n")))[:_FAILURE_CHARS_MAX])
                raise
            note("")
            return made

    return Noting


async def copy(conn: psycopg.AsyncConnection[DictRow], name: str, rows: list[bytes]) -> None:
    """Write rows in COPY form (hub.store.binary_copy) by a named COPY statement."""
    if not rows:
        return
    async with conn.cursor() as cursor, cursor.copy(statement(name)) as copy:
        await copy.write(b"".join((HEADER, *rows, TRAILER)))


async def copy_apart(
    conn: psycopg.AsyncConnection[DictRow], name: str, rows: list[bytes], first: int = 0
) -> list[tuple[int, str]]:
    """Write the rows that the database takes, halving them until each that it refuses stands alone.

    Returns (place, reason) of those; places count from `first`.
    """
    try:
        async with conn.transaction():
            await copy(conn, name, rows)
    except REJECTIONS as error:
        if len(rows) == 1:
            return [(first, first_line(error))]
    else:
        return []
    middle = len(rows) // 2
    return [
        *await copy_apart(conn, name, rows[:middle], first),
        *await copy_apart(conn, name, rows[middle:], first + middle),
    ]


def _door(row: tuple[str, str, str, str, str, str, str | None]) -> DoorSpec:
    number, label, size, grid_row, grid_column, in_service, reason = row
    return DoorSpec(
        int(number),
        label,
        size,
        int(grid_row),
        int(grid_column),
        in_service in {"t", True},
        reason,
    )


def quarantine_row(row: Quarantined) -> dict[str, Any]:
    """Return the parameters of `quarantine_add`."""
    locker, epoch = row.key or (None, None)
    return {
        "received_at": row.received_at,
        "topic": row.topic,
        "reason": row.reason,
        "detail": row.detail,
        "payload": row.payload,
        "payload_bytes": row.payload_bytes,
        "locker": locker,
        "epoch": epoch,
        "seq": row.seq,
    }
