"""The table of the lease, over a connection of its own: a pool that is used up must not cost a hub its lease."""

import asyncio
import select
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import DictRow, dict_row

from hub.core.lease import Standing
from hub.errors import StoreRejected, StoreUnavailable
from hub.store.statements import statement
from hub.store.translate import translate_error

_T = TypeVar("_T")
_ANSWER_S: Final = 3.0
"""A database that does not answer a renewal in time is away."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lease, for people."""

    hub: UUID
    node: str | None
    since: datetime | None


class LeaseTable:
    """One lease. Errors: StoreUnavailable for what may pass, StoreRejected for what will not."""

    def __init__(self, dsn: str, name: str, *, connect_timeout_s: int) -> None:
        self._dsn = dsn
        self._name = name
        self._connect_timeout_s = connect_timeout_s
        self.broker: str | None = None
        """What the row has of the broker's version."""
        self._conn: psycopg.AsyncConnection[DictRow] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._given_up: set[asyncio.Task[Any]] = set()

    async def look(self) -> tuple[Standing, Holder | None]:
        """Return the row as it stands, and who that is."""
        row = await self._run(self._look)
        self.broker = row["broker"]
        holder = None if row["holder"] is None else Holder(row["holder"], row["node"], row["since"])
        standing = Standing(
            row["holder"], row["expires_in_s"], row["renewed_ago_s"], bool(row["session_gone"]), row["renewals"]
        )
        return standing, holder

    async def take(self, hub: UUID, node: str, lease_s: float, seen: Standing) -> bool:
        """Take the lease if the row is still the one that was seen."""
        return await self._change("lease_take", hub=hub, node=node, lease_s=lease_s, renewals=seen.renewals)

    async def renew(self, hub: UUID, lease_s: float, broker: str | None) -> bool:
        """Renew the lease, and keep the broker's version if it is known; False if this hub does not hold it."""
        return await self._change("lease_renew", hub=hub, lease_s=lease_s, broker=broker and broker[:200])

    async def release(self, hub: UUID) -> bool:
        """Let another hub take the lease at once."""
        return await self._change("lease_release", hub=hub)

    def is_broken(self) -> bool:
        """Say whether something waits to be read though nothing was asked: the server has ended the session."""
        if self._one_at_a_time.locked():
            return False
        if self._conn is None or self._conn.closed:
            return True
        poll = select.poll()
        poll.register(self._conn.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def close(self) -> None:
        """Close the connection."""
        conn, self._conn = self._conn, None
        if conn is not None:
            await conn.close()

    async def _look(self, conn: psycopg.AsyncConnection[DictRow]) -> DictRow:
        for _ in range(2):
            row = await (await conn.execute(statement("lease_look"), {"name": self._name})).fetchone()
            if row is not None:
                return row
            await conn.execute(statement("lease_make"), {"name": self._name})
        raise StoreRejected("the row of the lease was deleted while it was looked at")

    async def _change(self, name: str, **values: object) -> bool:
        async def change(conn: psycopg.AsyncConnection[DictRow]) -> bool:
            return (await conn.execute(statement(name), {"name": self._name, **values})).rowcount == 1

        return await self._run(change)

    async def _run(self, work: Callable[[psycopg.AsyncConnection[DictRow]], Awaitable[_T]]) -> _T:
        async with self._one_at_a_time:
            # A cancelled psycopg waits for an answer to its cancellation; a frozen database gives none.
            task = asyncio.ensure_future(self._work(work))
            try:
                await asyncio.wait({task}, timeout=_ANSWER_S + (0 if self._conn else self._connect_timeout_s))
            finally:
                if not task.done():
                    self._give_up(task)
            if task.cancelled() or not task.done():
                raise StoreUnavailable("the database did not answer in time")
            return task.result()

    async def _work(self, work: Callable[[psycopg.AsyncConnection[DictRow]], Awaitable[_T]]) -> _T:
        try:
            conn = self._conn
            if conn is None or conn.closed or conn.broken:
                conn = self._conn = await self._connect()
            return await work(conn)
        except psycopg.Error as error:
            await self.close()
            raise translate_error(error) from error

    def _give_up(self, task: "asyncio.Task[Any]") -> None:
        conn, self._conn = self._conn, None

        async def end() -> None:
            task.cancel()
            with suppress(asyncio.CancelledError, psycopg.Error, StoreUnavailable, StoreRejected):
                await task
            if conn is not None:
                await conn.close()

        ending = asyncio.ensure_future(end())
        self._given_up.add(ending)
        ending.add_done_callback(self._given_up.discard)

    async def _connect(self) -> psycopg.AsyncConnection[DictRow]:
        return await psycopg.AsyncConnection.connect(
            self._dsn, autocommit=True, row_factory=dict_row, application_name="lockerhub lease",
            connect_timeout=self._connect_timeout_s, keepalives_idle=2, keepalives_interval=1, keepalives_count=3,
            tcp_user_timeout=5000,
            options="-c timezone=UTC -c statement_timeout=3s -c lock_timeout=2s -c idle_session_timeout=0",
        )  # fmt: skip
