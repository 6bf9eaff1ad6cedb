"""The steps of erasing a person, each a bounded transaction that may be repeated; hub.people.eraser takes them.

Nothing here decides: what a hold names the database says (`held`), and what is deleted is counted where it is.
"""

import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from hub.core.people.erasing import HoldOver
from hub.core.people.spans import multirange, spans
from hub.errors import ErasureIncomplete
from hub.store.audit import audit
from hub.store.commands import add_forgets
from hub.store.database import Database
from hub.store.people import By, Connection
from hub.store.statements import statement

Recount = Callable[[Connection, Sequence[tuple[str, datetime]]], Awaitable[None]]

_TIMEOUT_MS: Final = 120_000
_WINDOW_ROWS: Final = 1000
"""Events of one transaction."""
_NEAR: Final = timedelta(days=60)
"""Events that are no further apart are deleted by one statement: planning one costs more than the rows between."""
_TO_DO_MAX: Final = 1000
_LIKE: Final = re.compile(r"([%_\\])")
_ESCAPED: Final = r"\\\1"

Step = tuple[LiteralString, str]
"""A statement, and the table whose rows it deletes or empties."""

CODES: Final[tuple[Step, ...]] = ((statement("erase_codes"), "access_code"),)
OF_THE_PERSON: Final[tuple[Step, ...]] = (
    (statement("erase_credential"), "credential"),
    (statement("erase_badges"), "badge"),
    (statement("erase_acceptances"), "notice_acceptance"),
)
"""What only a hold on the person as such keeps."""
TRACES: Final[tuple[tuple[Step, ...], ...]] = (
    ((statement("erase_commands"), "command"),),
    (
        (statement("erase_job_texts"), "job_text"),
        (statement("erase_job_target_texts"), "job_text"),
        (statement("erase_job_step_texts"), "job_text"),
    ),
    ((statement("erase_quarantine"), "quarantine"),),
    ((statement("erase_ratings"), "rating"), (statement("erase_transactions"), "transaction")),
)
_LAST: Final[tuple[Step, ...]] = (
    (statement("erase_check_notes"), "rights_check"),
    (statement("erase_requests"), "rights_request"),
    (statement("erase_audit"), "audit"),
    (statement("erase_account"), "account"),
)


@dataclass(frozen=True, slots=True)
class PersonNeedles:
    """Who is being erased.

    `needles` are what may stand in free text: the ids, and the e-mail while it is known; `since` is when there was
    nobody of these yet.
    """

    erasure: UUID
    tenant: str
    account: UUID
    actor: UUID
    needles: tuple[str, ...]
    since: datetime

    def values(self) -> dict[str, Any]:
        """Return the parameters of every step."""
        return {
            "id": self.erasure, "tenant": self.tenant, "account": self.account, "actor": self.actor,
            "needles": list(self.needles), "patterns": [f"%{_LIKE.sub(_ESCAPED, one)}%" for one in self.needles],
            "since": self.since, "subjects": [f"account:{self.account}", f"actor:{self.actor}"],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class RemainingRows:
    """Rows of a person that are still there, and how many of them a hold names."""

    rows: int
    held: int


class ErasureStore:
    """Every query of an erasure. Errors are those of the Store, and ErasureIncomplete."""

    def __init__(self, store: Database, recount: Recount) -> None:
        self._store = store
        self._recount = recount

    async def account(self, account: UUID) -> DictRow | None:
        """Return id, tenant, actor, email and created_at of an account, None if there is none."""
        rows = await self._store.fetch("erasure_subject", {"account": account})
        return rows[0] if rows else None

    async def begun(self, account: UUID) -> DictRow | None:
        """Return the erasure of an account that was begun, None if there is none."""
        rows = await self._store.fetch("erasure_of", {"account": account})
        return rows[0] if rows else None

    async def audit_end(self) -> tuple[int, str]:
        """Return where the audit stands: the number of its newest row, and that one's hash in hex."""
        (row,) = await self._store.fetch("audit_newest")
        return row["id"], row["hash"].hex()

    async def begin(self, values: dict[str, Any]) -> None:
        """Write down that an erasure begins, and close the account; once, however often it is called."""
        async with self._store.transaction() as conn:
            await conn.execute(statement("erasure_subject"), values)
            added = await conn.execute(statement("erasure_begin"), values)
            await conn.execute(statement("erasure_close_account"), values)
            if added.rowcount:
                detail = {"cause": values["cause"], "erasure": str(values["id"])}
                await audit(
                    conn, at=values["at"], who=values["by"], action="person.erase", subject=None, detail=detail
                )

    async def person_held(self, person: PersonNeedles) -> bool:
        """Say whether a hold names the person as such."""
        async with self._store.transaction() as conn:
            return await _is_held(conn, person)

    async def delete(self, person: PersonNeedles, steps: Sequence[Step], *, unless_held: bool = False) -> None:
        """Take steps in one transaction, and count what is gone by them; none if the person as such is held."""
        async with self._store.transaction() as conn:
            await _be_patient(conn)
            await _stop_holds(conn)
            if unless_held and await _is_held(conn, person):
                return
            for step, table in steps:
                done = await conn.execute(step, person.values())
                await _count_up(conn, person, table, done.rowcount)

    async def erase_command_texts(self, person: PersonNeedles, since: datetime, until: datetime) -> None:
        """Take what names the person out of the texts of commands that were accepted in `since` <= … < `until`."""
        async with self._store.transaction() as conn:
            await _be_patient(conn)
            await _stop_holds(conn)
            values = {**person.values(), "since": since, "until": until}
            done = await conn.execute(statement("erase_command_texts"), values)
            await _count_up(conn, person, "command_text", done.rowcount)

    async def event_lockers(self, person: PersonNeedles) -> list[str]:
        """Return the lockers that have events of the person."""
        async with self._store.transaction() as conn:
            await _be_patient(conn)
            found = await conn.execute(statement("erasure_event_lockers"), person.values())
            return [row["locker"] for row in await found.fetchall()]

    async def erase_events(self, person: PersonNeedles, locker: str, after: datetime | None) -> datetime | None:
        """Delete the person's next events at a locker: rows, ledger numbers and statistics in one transaction.

        Returns the time to go on after, None if there are no more. What a hold names stays. If the database deletes
        less than it has shown, everything is left as it was. Raises ErasureIncomplete.
        """
        where = {**person.values(), "locker": locker, "after": after, "limit": _WINDOW_ROWS}
        async with self._store.transaction() as conn:
            await _be_patient(conn)
            await _stop_holds(conn)
            shown = await (await conn.execute(statement("erasure_events_next"), where)).fetchall()
            if not shown:
                return None
            gone: set[tuple[UUID, int, datetime]] = set()
            free = [row for row in shown if not row["held"]]
            for since, until in spans([row["at"] for row in free], _NEAR):
                bounds = {**where, "since": since, "until": until}
                deleted = await (await conn.execute(statement("erase_events"), bounds)).fetchall()
                gone |= {(row["epoch"], row["seq"], row["at"]) for row in deleted}
                left = await (await conn.execute(statement("erasure_events_left"), bounds)).fetchone()
                if left is None or left["rows"]:
                    raise ErasureIncomplete(f"{locker}: events were left over, counted after they were deleted")
            if not {(row["epoch"], row["seq"], row["at"]) for row in free} <= gone:
                raise ErasureIncomplete(f"{locker}: fewer events were deleted than there were")
            if gone:
                await self._let_go(conn, person, locker, gone)
            last: datetime = shown[-1]["at"]
            return last

    async def _let_go(
        self, conn: Connection, person: PersonNeedles, locker: str, gone: set[tuple[UUID, int, datetime]]
    ) -> None:
        hours = {at.replace(minute=0, second=0, microsecond=0) for _, _, at in gone}
        await self._recount(conn, [(locker, hour) for hour in sorted(hours)])
        numbers: dict[UUID, list[int]] = defaultdict(list)
        for epoch, seq, _ in gone:
            numbers[epoch].append(seq)
        await conn.execute(statement("erasure_locker_touch"), {"id": person.erasure, "locker": locker})
        await _count_up(conn, person, "event", len(gone))
        # Last: whoever stores events of this locker waits for its cursor until the commit.
        for epoch, seqs in sorted(numbers.items()):
            values = {"locker": locker, "epoch": epoch, "numbers": multirange(seqs)}
            await conn.execute(statement("erasure_ledger_let_go"), values)

    async def forget_account(self, person: PersonNeedles) -> None:
        """Cut what points to the person, and delete the account, unless it or its transactions have to stay."""
        values = person.values()
        async with self._store.transaction() as conn:
            await _be_patient(conn)
            await _stop_holds(conn)
            if await _is_held(conn, person):
                return
            # Whoever writes about the account waits for this, and then finds none.
            await conn.execute(statement("erasure_subject"), values)
            kept = await (await conn.execute(statement("erasure_left_transactions"), values)).fetchone()
            if kept is not None and kept["rows"]:
                return
            for step, table in _LAST:
                done = await conn.execute(step, values)
                await _count_up(conn, person, table, done.rowcount)

    async def keeps_transactions(self, person: PersonNeedles) -> bool:
        """Say whether transactions of the person are there, which need the account."""
        (row,) = await self._store.fetch("erasure_left_transactions", person.values())
        return bool(row["rows"])

    async def left(
        self, person: PersonNeedles, *, account_stays: bool, person_held: bool
    ) -> dict[str, RemainingRows]:
        """Count, independently of all that was done, what is left of the person, by table."""
        values = {**person.values(), "account_stays": account_stays, "person_held": person_held}
        async with self._store.transaction() as conn:
            await _be_patient(conn)
            found = await (await conn.execute(statement("erasure_left"), values)).fetchall()
            left = {row["of_table"]: RemainingRows(row["rows"], row["held"]) for row in found if row["rows"]}
            there = await (await conn.execute(statement("erasure_events_there"), values)).fetchone()
            if there is not None and there["rows"]:
                held = await (await conn.execute(statement("erasure_events_held"), values)).fetchone()
                left["event"] = RemainingRows(there["rows"], 0 if held is None else held["rows"])
        return left

    async def holds(self, person: PersonNeedles) -> tuple[HoldOver, ...]:
        """Return the active holds that keep something of the person."""
        rows = await self._store.fetch("erasure_holds", person.values())
        return tuple(HoldOver(row["id"], row["until"]) for row in rows)

    async def done(self, person: PersonNeedles, kept: dict[str, int], at: datetime) -> DictRow:
        """Write down that it went through to its end, with what holds keep; return the erasure's row."""
        async with self._store.transaction() as conn:
            await conn.execute(statement("erasure_done"), {"id": person.erasure, "at": at, "kept": Jsonb(kept)})
        row = await self.begun(person.account)
        assert row is not None, "begun before it is done"  # noqa: S101
        return row

    async def tell_lockers(
        self, person: PersonNeedles, *, now: datetime, expires_at: datetime, deadline_ms: int
    ) -> int:
        """Write the orders to forget for the lockers that are to have one; return how many lockers are told."""
        async with self._store.transaction() as conn:
            found = await conn.execute(statement("erasure_lockers_told"), {"id": person.erasure})
            lockers = [row["locker"] for row in await found.fetchall()]
            return await add_forgets(
                conn, lockers, person.actor, now=now, expires_at=expires_at, deadline_ms=deadline_ms
            )

    async def to_do(self) -> list[DictRow]:
        """Return erasures without an end, held in part, or of whom something came later."""
        async with self._store.transaction() as conn:
            await _be_patient(conn)
            return await (await conn.execute(statement("erasures_to_do"), {"limit": _TO_DO_MAX})).fetchall()

    async def accounts(self) -> list[UUID]:
        """Return the accounts whose erasure this database knows of."""
        return [row["account"] for row in await self._store.fetch("erasure_accounts")]

    async def was_told(self, audit_sha256: str) -> bool:
        """Say whether an operator was told that this row of the audit is missing."""
        rows = await self._store.fetch("restore_told", {"behind": audit_sha256})
        return bool(rows[0]["told"])

    async def note_check(self, by: By, applied: int, behind: str | None) -> None:
        """Write into the audit that the journal was applied, or `behind` which row an operator was told to be."""
        if not applied and behind is None:
            return
        async with self._store.transaction() as conn:
            detail = {"applied": applied, "behind": behind}
            await audit(conn, at=by.at, who=by.who, action="restore.check", subject=None, detail=detail)

    async def let_go(self, at: datetime) -> int:
        """Forget the ids of those whose time is over; return how many."""
        async with self._store.transaction() as conn:
            return (await conn.execute(statement("erasures_let_go"), {"at": at})).rowcount

    async def audit_row(self, number: int) -> str | None:
        """Return the hash of a row of the audit in hex, None if it is not there."""
        rows = await self._store.fetch("audit_row_hash", {"id": number})
        return rows[0]["hash"].hex() if rows else None


async def _be_patient(conn: Connection) -> None:
    await conn.execute(statement("erasure_patience"), {"timeout": f"{_TIMEOUT_MS}ms"})


async def _stop_holds(conn: Connection) -> None:
    """A hold is there before this looks for holds, or it comes after the commit: never between."""
    await conn.execute(statement("retention_hold_lock"))


async def _is_held(conn: Connection, person: PersonNeedles) -> bool:
    row = await (await conn.execute(statement("erasure_person_held"), person.values())).fetchone()
    return row is not None and bool(row["held"])


async def _count_up(conn: Connection, person: PersonNeedles, table: str, rows: int) -> None:
    if rows > 0:
        await conn.execute(statement("erasure_count_up"), {"id": person.erasure, "table": table, "rows": rows})
