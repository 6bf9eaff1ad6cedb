"""Commands in the database. Rows only go forward, in whatever order they are written; see 0004_commands.sql."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from hub.core.commands import CommandClass, CommandRecord, CommandStatus, DoorOutcome, Order
from hub.store.database import Database
from hub.store.statements import statement
from wire.messages import DATA_BYTES_MAX

_EVENTS_BEFORE: Final = timedelta(days=1)
"""How far a locker's clock may have been behind when it wrote of a command."""

ROW_BYTES: Final = 2048
FORGETS_PER_LOCKER_MAX: Final = 10
"""How many `forget`s of one locker a hub has in hand. Any number waits in the table, for as long as it takes."""

_BEFORE_ALL: Final[DictRow] = {"locker": "", "accepted_at": datetime.min.replace(tzinfo=UTC), "id": UUID(int=0)}
"""The cursor of a first page."""


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One command as it stood."""

    entry: CommandRecord
    state: CommandStatus
    detail: str | None
    outcome: DoorOutcome | None
    late: bool
    stages_ms: dict[str, float]

    @classmethod
    def of(cls, entry: CommandRecord) -> "CommandRow":
        """Return how a command stands now; it may go on before the row is written."""
        return cls(entry, entry.state, entry.detail, entry.outcome, entry.late, dict(entry.stages_ms))

    @property
    def count(self) -> int:
        """One record."""
        return 1

    @property
    def locker(self) -> str:
        """Whose it is."""
        return self.entry.order.locker

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        return ROW_BYTES if self.entry.order.args is None else ROW_BYTES + DATA_BYTES_MAX


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """What a door sensor saw of a command that is no longer in memory."""

    id: UUID
    locker: str
    door: int
    outcome: DoorOutcome

    @property
    def count(self) -> int:
        """One record."""
        return 1

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        return ROW_BYTES


CommandUpdate = CommandRow | OutcomeRow
"""What is written through the batch."""


@dataclass(frozen=True, slots=True)
class CommandsQuery:
    """A page of commands, newest first. `after` is (accepted_at, id) of the last row seen."""

    since: datetime
    limit: int
    locker: str | None = None
    state: str | None = None
    command_class: str | None = None
    after: tuple[datetime, UUID] | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a locker's word makes of a durable command."""

    id: UUID
    state: CommandStatus
    detail: str | None
    stages_ms: dict[str, float]


class CommandStore:
    """Every query about commands. Errors are StoreUnavailable or StoreRejected, as of Store."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def write(self, rows: Sequence[CommandUpdate]) -> None:
        """Store commands as they stand, and what sensors saw of others, all or nothing."""
        # One order of locks for all who write: two batches cannot wait for each other.
        puts = sorted((row for row in rows if isinstance(row, CommandRow)), key=lambda row: row.entry.id)
        saws = sorted((row for row in rows if isinstance(row, OutcomeRow)), key=lambda row: row.id)
        async with self._store.transaction() as conn, conn.cursor() as cursor:
            if puts:
                await cursor.executemany(statement("command_put"), [_put(row) for row in puts])
            if saws:
                await cursor.executemany(statement("command_saw"), [_saw(row) for row in saws])

    async def find(self, command: UUID) -> DictRow | None:
        """Return a stored command."""
        rows = await self._store.fetch("command", {"id": command})
        return rows[0] if rows else None

    async def of_locker(self, locker: str, limit: int) -> list[DictRow]:
        """Return a locker's newest commands."""
        return await self._store.fetch("commands_of", {"locker": locker, "limit": limit})

    async def page(self, query: CommandsQuery) -> list[DictRow]:
        """Return a page of commands, newest first."""
        after_at, after_id = query.after or (None, None)
        return await self._store.fetch(
            "commands_page",
            {
                "locker": query.locker,
                "state": query.state,
                "class": query.command_class,
                "since": query.since,
                "after_at": after_at,
                "after_id": after_id,
                "limit": query.limit,
            },
        )

    async def instant_newest(self, since: datetime, limit: int) -> list[DictRow]:
        """Return the newest instant commands since a time, newest first."""
        return await self._store.fetch("commands_instant_newest", {"since": since, "limit": limit})

    async def catch_up(self, since: datetime) -> int:
        """Bring rows that were accepted since a time up to what the ledger has of them. Returns how many changed.

        A hub that was killed between the commit of an event and that of the command's row leaves such rows.
        """
        span = {"since": since, "events_since": since - _EVENTS_BEFORE}
        async with self._store.transaction() as conn:
            settled = await conn.execute(statement("commands_settle_from_ledger"), span)
            seen = await conn.execute(statement("commands_outcome_from_ledger"), span)
            return settled.rowcount + seen.rowcount

    async def durable_under_way(self, after: DictRow | None, limit: int) -> list[DictRow]:
        """Return a page of the durable commands that are not settled, oldest first, without the `forget`s.

        Rows are (id, accepted_at, registered); `after` is the last one of the page before. What is stored or
        settled between two pages may be missing or there; all others come once.
        """
        after = after or _BEFORE_ALL
        given = {"after_at": after["accepted_at"], "after_id": after["id"], "limit": limit}
        return await self._store.fetch("commands_durable_under_way", given)

    async def forgets_under_way(self, after: DictRow | None, limit: int) -> list[DictRow]:
        """Return a page of each locker's oldest `forget`s, `FORGETS_PER_LOCKER_MAX` of one: the others' turn comes.

        Rows and pages are as of `durable_under_way`, by locker; `registered`: whether it is in the registry.
        """
        after = after or _BEFORE_ALL
        return await self._store.fetch(
            "forgets_under_way",
            {
                "per_locker": FORGETS_PER_LOCKER_MAX,
                "after_locker": after["locker"],
                "after_at": after["accepted_at"],
                "after_id": after["id"],
                "limit": limit,
            },
        )

    async def by_ids(self, ids: Sequence[UUID]) -> list[DictRow]:
        """Return those of these commands that are stored, as they stand now."""
        return await self._store.fetch("commands_by_id", {"ids": list(ids)})

    async def add_durable(self, entry: CommandRecord) -> tuple[bool, DictRow]:
        """Store a durable command as queued. Returns whether it is new, and the row that is there now."""
        async with self._store.transaction() as conn:
            added = await conn.execute(statement("durable_add"), _order(entry))
            if added.rowcount == 0:
                await conn.execute(statement("durable_adopt"), {"id": entry.id})
            return added.rowcount == 1, (await _rows(conn, [entry.id]))[0]

    async def deliver(self, ids: Sequence[UUID]) -> list[DictRow]:
        """Write that commands are about to be sent; return them as they stand now."""
        return await self._change("durable_deliver", ids)

    async def expire(self, ids: Sequence[UUID], detail: str) -> list[DictRow]:
        """Settle as expired what was never sent; return all as they stand now."""
        return await self._change("durable_expire", ids, detail=detail)

    async def overdue(self, ids: Sequence[UUID], detail: str) -> list[DictRow]:
        """Write why commands whose time is over are not settled; return them as they stand now."""
        return await self._change("durable_overdue", ids, detail=detail)

    async def cancel(self, command: UUID) -> DictRow | None:
        """Cancel what was never sent, and note the wish for what was; return the command as it stands now."""
        async with self._store.transaction() as conn:
            await conn.execute(statement("durable_cancel"), {"id": command})
            rows = await _rows(conn, [command])
            return rows[0] if rows else None

    async def settle(self, settlements: Sequence[Settlement]) -> list[DictRow]:
        """Write what lockers said, where it is news; return all as they stand now."""
        ordered = sorted(settlements, key=lambda one: one.id)
        async with self._store.transaction() as conn:
            async with conn.cursor() as cursor:
                await cursor.executemany(
                    statement("durable_settle"),
                    [
                        {
                            "id": one.id,
                            "state": one.state.value,
                            "detail": one.detail,
                            "stages_ms": _stages(one.stages_ms),
                        }
                        for one in ordered
                    ],
                )
            return await _rows(conn, [one.id for one in ordered])

    async def take_back(self, accepted: Mapping[UUID, datetime]) -> None:
        """Delete durable commands that were never sent, where the row is the one that was accepted then."""
        values = {"ids": list(accepted), "ats": list(accepted.values())}
        async with self._store.transaction() as conn:
            await conn.execute(statement("durable_take_back"), values)

    async def _change(self, name: str, ids: Sequence[UUID], **values: str) -> list[DictRow]:
        async with self._store.transaction() as conn:
            await conn.execute(statement(name), {"ids": sorted(ids), **values})
            return await _rows(conn, ids)


async def add_forgets(
    conn: psycopg.AsyncConnection[DictRow],
    lockers: Sequence[str],
    actor: UUID,
    *,
    now: datetime,
    expires_at: datetime,
    deadline_ms: int,
) -> int:
    """Store, in the caller's transaction, that lockers of the registry are to forget an actor; return how many.

    None is added where the same waits already and was never sent.
    """
    given = {
        "ids": [uuid4() for _ in lockers],
        "lockers": list(lockers),
        "args": Jsonb({"actor": str(actor)}),
        "now": now,
        "expires_at": expires_at,
        "deadline_ms": deadline_ms,
    }
    return (await conn.execute(statement("forgets_add"), given)).rowcount


def record_of_row(row: DictRow, *, now: datetime, now_ms: float) -> CommandRecord:
    """Return a stored command as it is kept in memory: its age by the wall clock is one by the monotonic clock."""
    age_ms = max(0.0, (now - row["accepted_at"]).total_seconds() * 1000)
    order = Order(row["locker"], row["kind"], row["door"], row["actor"], row["reason"], row["args"], row["by"])
    return CommandRecord(
        row["id"],
        order,
        row["accepted_at"],
        now_ms - age_ms,
        float(row["deadline_ms"]),
        state=CommandStatus(row["state"]),
        detail=row["detail"],
        outcome=None if row["outcome"] is None else DoorOutcome(row["outcome"]),
        late=row["late"],
        stages_ms=dict(row["stages_ms"]),
        command_class=CommandClass(row["class"]),
        expires_at=row["expires_at"],
        attempts=row["attempts"],
        cancel_requested=row["cancel_requested"],
    )


async def _rows(conn: psycopg.AsyncConnection[DictRow], ids: Sequence[UUID]) -> list[DictRow]:
    return await (await conn.execute(statement("commands_by_id"), {"ids": list(ids)})).fetchall()


def _order(entry: CommandRecord) -> dict[str, Any]:
    order = entry.order
    return {
        "id": entry.id,
        "locker": order.locker,
        "kind": order.kind,
        "door": order.door,
        "actor": order.actor,
        "by": order.by,
        "reason": order.reason,
        "args": None if order.args is None else Jsonb(order.args),
        "accepted_at": entry.accepted_at,
        "deadline_ms": round(entry.deadline_ms),
        "expires_at": entry.expires_at,
    }


def _put(row: CommandRow) -> dict[str, Any]:
    entry = row.entry
    return _order(entry) | {
        "class": entry.command_class.value,
        "state": row.state.value,
        "detail": row.detail,
        "outcome": None if row.outcome is None else row.outcome.value,
        "late": row.late,
        "cancel_requested": entry.cancel_requested,
        "attempts": entry.attempts,
        "stages_ms": _stages(row.stages_ms),
    }


def _saw(row: OutcomeRow) -> dict[str, Any]:
    return {"id": row.id, "locker": row.locker, "door": row.door, "outcome": row.outcome.value}


def _stages(stages_ms: dict[str, float]) -> Jsonb:
    return Jsonb({stage: round(ms, 3) for stage, ms in stages_ms.items()})
