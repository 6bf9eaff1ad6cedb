"""Transactions in the database: opened, ended once, rated; and the codes that live no longer than they do."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import DictRow

from hub.core.people.transactions import TransactionState, may_become, why_no_code, why_no_rating
from hub.errors import PeopleError
from hub.store.audit import audit
from hub.store.database import Database
from hub.store.people import TENANT, By, Connection, switched_on, usable
from hub.store.statements import statement

_EXPIRE_ROWS_MAX: Final = 5000


@dataclass(frozen=True, slots=True)
class NewTransaction:
    """What is opened: for whom, of which kind, at which locker and door, until when."""

    account: UUID
    kind: str
    locker: str
    door: int | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class TransactionsQuery:
    """A page of transactions, newest first. `after` is (opened_at, id) of the last row seen."""

    limit: int
    account: UUID | None = None
    locker: str | None = None
    state: TransactionState | None = None
    after: tuple[datetime, UUID] | None = None


class Transactions:
    """Transactions of the tenant. Raises PeopleError (with its code) for what cannot be; and as the Store does."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def open(self, new: NewTransaction, by: By) -> DictRow:
        """Open a transaction.

        Raises feature_off, account_unknown, account_closed, account_restricted, kind_unknown, locker_unknown,
        locker_disabled, door_unknown, door_taken.
        """
        transaction = uuid4()
        values = {
            "id": transaction, "tenant": TENANT, "account": new.account, "kind": new.kind, "locker": new.locker,
            "door": new.door, "at": by.at, "expires_at": new.expires_at,
        }  # fmt: skip
        async with self._store.transaction() as conn:
            await switched_on(conn, {"transactions"})
            await usable(conn, new.account)
            await _check_place(conn, new)
            await _add(conn, values, new)
            await _note(conn, new.account, "transaction.open", by, kind=new.kind)
        return await self.transaction(transaction)

    async def transaction(self, transaction: UUID) -> DictRow:
        """Return a transaction. Raises transaction_unknown."""
        rows = await self._store.fetch("transaction", {"transaction": transaction, "tenant": TENANT})
        if not rows:
            raise _unknown(transaction)
        return rows[0]

    async def page(self, query: TransactionsQuery) -> list[DictRow]:
        """Return a page, newest first. Those of restricted persons are there only where the account is named."""
        at, last = query.after or (None, None)
        return await self._store.fetch(
            "transactions_page",
            {
                "tenant": TENANT, "limit": query.limit, "account": query.account, "locker": query.locker,
                "state": query.state, "after_at": at, "after_id": last,
            },
        )  # fmt: skip

    async def end(self, transaction: UUID, state: TransactionState, by: By) -> DictRow:
        """End it; its codes are gone with that. The same end again changes nothing. Raises transaction_state."""
        async with self._store.transaction() as conn:
            row = await _locked(conn, transaction)
            before = TransactionState(row["state"])
            if not may_become(before, state):
                raise PeopleError("transaction_state", f"The transaction is {before}; it cannot become {state}.")
            if before is not state:
                await conn.execute(
                    statement("transaction_end"), {"transaction": transaction, "state": state, "at": by.at}
                )
                await _note(conn, row["account"], "transaction.end", by, state=state.value)
        return await self.transaction(transaction)

    async def rate(self, transaction: UUID, score: int, comment: str | None, by: By) -> None:
        """Keep what the person thinks of it; a second rating takes the first one's place."""
        values = {"transaction": transaction, "score": score, "comment": comment, "at": by.at}
        async with self._store.transaction() as conn:
            await switched_on(conn, {"transactions"})
            row = await _locked(conn, transaction)
            _check_used(row)
            why = why_no_rating(TransactionState(row["state"]))
            if why is not None:
                raise PeopleError("transaction_state", why)
            await conn.execute(statement("rating_put"), values)
            await _note(conn, row["account"], "rating.put", by)

    async def add_code(self, transaction: UUID, digest: bytes, expires_at: datetime, by: By) -> bool:
        """Keep what a code is known by. Returns False if it happens to be another one's: draw again.

        Raises feature_off, transaction_unknown, transaction_state, account_closed, account_restricted.
        """
        values = {
            "id": uuid4(), "tenant": TENANT, "transaction": transaction, "digest": digest, "at": by.at,
            "expires_at": expires_at,
        }  # fmt: skip
        async with self._store.transaction() as conn:
            await switched_on(conn, {"codes"})
            row = await _locked(conn, transaction)
            _check_used(row)
            why = why_no_code(TransactionState(row["state"]))
            if why is not None:
                raise PeopleError("transaction_state", why)
            added = await conn.execute(statement("code_add"), values)
            if added.rowcount:
                await _note(conn, row["account"], "code.issue", by)
        return added.rowcount == 1

    async def take_code(self, digest: bytes, taken_as: UUID, by: By) -> DictRow | None:
        """Take a code and return what it opens: its transaction, place and actor; None where it opens nothing.

        A code is taken once: after that only the same `taken_as` has the answer again, until the code's time is
        over or its transaction ends. A restricted person's code stays as it is.

        Raises feature_off, account_restricted. Whoever asks is in the audit, and whether it was right.
        """
        async with self._store.transaction() as conn:
            await switched_on(conn, {"codes"})
            values = {"tenant": TENANT, "digest": digest, "at": by.at}
            row = await (await conn.execute(statement("code_find"), values)).fetchone()
            subject = None if row is None else f"account:{row.pop('account')}"
            restricted = row is not None and row.pop("restricted")
            if row is not None and not restricted:
                taken = {"code": row["id"], "taken_as": taken_as, "at": by.at}
                if await (await conn.execute(statement("code_take"), taken)).fetchone() is None:
                    row = None
            detail = {"right": row is not None}
            await audit(conn, at=by.at, who=by.who, action="code.check", subject=subject, detail=detail)
        if restricted:
            raise PeopleError("account_restricted", "The person's data is kept and not used (restriction).")
        if row is not None:
            del row["id"]
        return row

    async def expire(self, at: datetime) -> dict[str, int]:
        """End what is over: transactions, the codes with them, and codes of their own; return how many of each."""
        expired = 0
        while True:
            async with self._store.transaction() as conn:
                done = await conn.execute(
                    statement("transactions_expire"), {"at": at, "rows_max": _EXPIRE_ROWS_MAX}
                )
            expired += done.rowcount
            if done.rowcount < _EXPIRE_ROWS_MAX:
                break
        async with self._store.transaction() as conn:
            codes = (await conn.execute(statement("codes_expire"), {"at": at})).rowcount
        return {"transactions": expired, "codes": codes}

    async def withdraw_codes(self) -> int:
        """Delete every code there is, for a database that was put back has codes that were used since."""
        async with self._store.transaction() as conn:
            return (await conn.execute(statement("codes_withdraw"))).rowcount


async def _add(conn: Connection, values: dict[str, object], new: NewTransaction) -> None:
    if new.door is not None:
        await conn.execute(statement("transaction_over_at_door"), values)
    try:
        await conn.execute(statement("transaction_add"), values)
    except psycopg.errors.UniqueViolation:
        # The index and not a look before decides, so that of two who come at once one has the door.
        raise PeopleError(
            "door_taken",
            f"Door {new.door} of {new.locker} belongs to another open transaction: end that one, or take another.",
        ) from None


async def _check_place(conn: Connection, new: NewTransaction) -> None:
    kind = await (await conn.execute(statement("transaction_kind_known"), {"kind": new.kind})).fetchone()
    if kind is None or not kind["known"]:
        raise PeopleError("kind_unknown", f"There is no kind {new.kind!r}; GET /api/v1/transaction-kinds has them.")
    values = {"locker": new.locker, "tenant": TENANT, "door": new.door}
    place = await (await conn.execute(statement("transaction_locker_known"), values)).fetchone()
    if place is None:
        raise PeopleError("locker_unknown", f"There is no locker {new.locker[:40]!r} in the registry.")
    if place["disabled"] is not None:
        raise PeopleError("locker_disabled", f"{new.locker} is disabled: {place['disabled']}")
    if not place["door"]:
        raise PeopleError("door_unknown", f"{new.locker} has no door {new.door}.")


async def _locked(conn: Connection, transaction: UUID) -> DictRow:
    values = {"transaction": transaction, "tenant": TENANT}
    row = await (await conn.execute(statement("transaction_locked"), values)).fetchone()
    if row is None:
        raise _unknown(transaction)
    return row


def _check_used(row: DictRow) -> None:
    if row["restricted_at"] is not None:
        raise PeopleError("account_restricted", "The person's data is kept and not used (restriction).")
    if row["deactivated_at"] is not None:
        raise PeopleError("account_closed", "The person's account is deactivated.")


def _unknown(transaction: UUID) -> PeopleError:
    return PeopleError("transaction_unknown", f"There is no transaction {transaction}.")


async def _note(conn: Connection, account: UUID, action: str, by: By, **detail: object) -> None:
    # About the person and not the transaction, so that it is emptied with them.
    await audit(conn, at=by.at, who=by.who, action=action, subject=f"account:{account}", detail=detail)
