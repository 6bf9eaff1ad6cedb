"""What people asked for, in the database: who checked what, who answered what, and what is overdue."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from psycopg.rows import DictRow

from hub.core.people.privacy_requests import (
    SOON,
    Check,
    CheckHow,
    PrivacyRight,
    RequestState,
    after_check,
    deadline,
    missing,
    why_no_answer,
    why_no_check,
)
from hub.errors import PeopleError
from hub.store.audit import audit
from hub.store.database import Database
from hub.store.people import TENANT, By, Connection, locked
from hub.store.statements import statement


@dataclass(frozen=True, slots=True)
class RequestsQuery:
    """A page of requests, newest first. `after` is (received_at, id) of the last row seen."""

    limit: int
    at: datetime
    account: UUID | None = None
    state: RequestState | None = None
    overdue: bool = False
    after: tuple[datetime, UUID] | None = None


class PrivacyRequestStore:
    """Requests of the tenant's people. Raises PeopleError (with its code), and what the Store raises."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def open(
        self, account: UUID, kind: PrivacyRight, by: By, *, by_agent: bool, received_at: datetime | None = None
    ) -> DictRow:
        """Note that a person, or an agent for them, asks for something; the month begins when it was received.

        Raises account_unknown.
        """
        received = received_at or by.at
        request = uuid4()
        values = {
            "id": request, "tenant": TENANT, "account": account, "kind": kind, "by_agent": by_agent,
            "at": received, "by": by.who, "deadline_at": deadline(received),
        }  # fmt: skip
        async with self._store.transaction() as conn:
            await locked(conn, account)
            await conn.execute(statement("rights_add"), values)
            await _note(conn, account, "rights.open", by, kind=kind, request=str(request))
        return await self.request(request)

    async def request(self, request: UUID) -> DictRow:
        """Return a request with its `checks`. Raises request_unknown."""
        rows = await self._store.fetch("rights_request", {"request": request, "tenant": TENANT})
        if not rows:
            raise _unknown(request)
        return {**rows[0], "checks": await self._store.fetch("rights_checks", {"request": request})}

    async def page(self, query: RequestsQuery) -> list[DictRow]:
        """Return a page of requests, newest first."""
        at, last = query.after or (None, None)
        return await self._store.fetch(
            "rights_page",
            {
                "tenant": TENANT, "limit": query.limit, "at": query.at, "account": query.account,
                "state": query.state, "overdue": query.overdue, "after_at": at, "after_id": last,
            },
        )  # fmt: skip

    async def check(self, request: UUID, what: Check, how: CheckHow, note: str | None, by: By) -> DictRow:
        """Note a check. Raises request_unknown, request_state, check_unfit."""
        async with self._store.transaction() as conn:
            row = await _locked(conn, request)
            state = RequestState(row["state"])
            why = why_no_check(state, what, how, by_agent=row["by_agent"])
            if why is not None:
                raise PeopleError("request_state" if state.answered else "check_unfit", why)
            values = {"request": request, "what": what, "how": how, "note": note, "at": by.at, "by": by.who}
            await conn.execute(statement("rights_check_put"), values)
            after = after_check({*map(Check, row["checks"]), what}, by_agent=row["by_agent"])
            await conn.execute(statement("rights_state"), {"request": request, "state": after})
            await _note(conn, row["account"], "rights.check", by, request=str(request), what=what, how=how)
        return await self.request(request)

    async def answer(self, request: UUID, state: RequestState, text: str, by: By) -> DictRow:
        """Answer a request, once. Raises request_unknown, request_state, identity_unverified."""
        async with self._store.transaction() as conn:
            row = await _locked(conn, request)
            before = RequestState(row["state"])
            why = why_no_answer(before, state)
            if why is not None:
                raise PeopleError(
                    "identity_unverified" if before is RequestState.RECEIVED else "request_state", why
                )
            await conn.execute(
                statement("rights_answer"),
                {"request": request, "state": state, "answer": text, "at": by.at, "by": by.who},
            )
            await _note(conn, row["account"], "rights.answer", by, request=str(request), state=state)
        return await self.request(request)

    async def granted(self, request: UUID, kinds: set[PrivacyRight]) -> UUID:
        """Return whose request it is, if it is one of these kinds, verified, and not answered yet.

        Raises request_unknown, request_state, identity_unverified.
        """
        async with self._store.transaction() as conn:
            row = await _locked(conn, request)
        state, kind = RequestState(row["state"]), PrivacyRight(row["kind"])
        if kind not in kinds or state.answered or row["account"] is None:
            raise PeopleError(
                "request_state",
                f"The request is one of {kind}, and {state}; one of {' or '.join(sorted(kinds))} is needed, open.",
            )
        left = missing([Check(one) for one in row["checks"]], by_agent=row["by_agent"])
        if left:
            raise PeopleError(
                "identity_unverified", f"Not verified yet: {', '.join(left)}; `hub rights check` notes a check."
            )
        account: UUID = row["account"]
        return account

    async def counts(self, at: datetime) -> dict[str, int]:
        """Return how many requests are open, due_soon (a week), overdue; how many erasures unfinished, held."""
        (requests,) = await self._store.fetch("rights_counts", {"at": at, "soon": at + SOON})
        (erasures,) = await self._store.fetch("erasure_counts")
        return {**requests, **erasures}


async def _locked(conn: Connection, request: UUID) -> DictRow:
    values = {"request": request, "tenant": TENANT}
    row = await (await conn.execute(statement("rights_locked"), values)).fetchone()
    if row is None:
        raise _unknown(request)
    return row


def _unknown(request: UUID) -> PeopleError:
    return PeopleError("request_unknown", f"There is no request {request}.")


async def _note(conn: Connection, account: UUID | None, action: str, by: By, **detail: object) -> None:
    subject = None if account is None else f"account:{account}"
    await audit(conn, at=by.at, who=by.who, action=action, subject=subject, detail=detail)
