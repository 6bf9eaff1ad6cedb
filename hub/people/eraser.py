"""Erasing a person: written into the journal first, then secrets, events, what names them, and the account last.

Every step is a bounded transaction, and finds by itself what is left to do, so that an erasure that was cut off
anywhere is run again from the beginning and comes to the same end. What a hold names stays, exactly that.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from hub.core.people.erasing import LOCKER_AWAY_MAX, Cause, Erased
from hub.core.people.journal import JournalEntry
from hub.errors import ErasureIncomplete, PeopleError
from hub.people.journal import ErasureJournal
from hub.store.database import Database
from hub.store.erasure import CODES, OF_THE_PERSON, TRACES, ErasureStore, PersonNeedles, Recount, RemainingRows
from hub.store.people import unknown
from hub.store.task_runs import advisory_lock

_log = logging.getLogger(__name__)


_CLOCKS_DIFFER: Final = timedelta(days=1)
_TEXTS_AT_ONCE: Final = timedelta(days=14)


class Eraser:
    """Erases people, one at a time each. Raises PeopleError, ErasureIncomplete, and what the Store raises."""

    def __init__(
        self,
        store: Database,
        journal: ErasureJournal,
        recount: Recount,
        *,
        delivery_ms: int,
        passed: Callable[[str], None] | None = None,
    ) -> None:
        """`delivery_ms`: commands.durable_deadline_ms. `passed` is told of each step that is over."""
        self._store = store
        self._journal = journal
        self._erasures = ErasureStore(store, recount)
        self._delivery_ms = delivery_ms
        self._passed = passed or (lambda _: None)

    async def erase(
        self, account: UUID, *, cause: Cause, by: str, now: datetime, request: UUID | None = None
    ) -> Erased:
        """Erase a person, or as much of them as no hold names. Run again it does what is left, or nothing.

        Raises account_unknown for one that is not there and never was erased, being_erased while another does it.
        """
        async with advisory_lock(self._store, f"erasure {account}") as got:
            if not got:
                raise PeopleError("being_erased", "Another process is erasing this person right now.")
            person = await self._begin(account, cause, by, now, request)
            return await self._go_through(person, now)

    async def again(self, entry: JournalEntry, now: datetime) -> Erased | None:
        """Do once more what the journal says was erased, if something of it is there. None if nothing is."""
        async with advisory_lock(self._store, f"erasure {entry.account}") as got:
            if not got:
                raise PeopleError("being_erased", "Another process is erasing this person right now.")
            known = await self._erasures.begun(entry.account)
            person = await self._person(entry)
            is_known = entry.at + LOCKER_AWAY_MAX <= now if known is None else known["done_at"] is not None
            if is_known and all(one.rows == one.held for one in (await self._left(person)).values()):
                return None
            return await self._go_through(await self._write_begin(entry), now)

    async def sweep(self, now: datetime) -> dict[str, Any]:
        """Finish what was cut off, what a hold kept that has ended, and what came later from lockers."""
        done = failed = 0
        for row in await self._erasures.to_do():
            try:
                await self.erase(
                    row["account"], cause=Cause(row["cause"]), by=row["asked_by"], now=now, request=row["request"]
                )
                done += 1
            except (PeopleError, ErasureIncomplete) as error:
                failed += 1
                _log.error("An erasure is not done", extra={"error": str(error)})
        if failed:
            raise ErasureIncomplete(f"{failed} erasures are not done, {done} are; the log says why")
        return {"erasures": done, "ids_let_go": await self._erasures.let_go(now)}

    async def _begin(
        self, account: UUID, cause: Cause, by: str, now: datetime, request: UUID | None
    ) -> PersonNeedles:
        known = await self._erasures.begun(account)
        row = await self._erasures.account(account)
        if row is None and known is None:
            raise unknown(account)
        source = known or row
        assert source is not None, "one of them is there"  # noqa: S101
        audit_id, audit_sha256 = await self._erasures.audit_end()

        def entry_of(number: int) -> JournalEntry:
            return JournalEntry(
                number=number, id=known["id"] if known else uuid4(), tenant=source["tenant"], account=account,
                actor=source["actor"], cause=cause, by=by, at=now, request=request, audit_id=audit_id,
                audit_sha256=audit_sha256,
            )  # fmt: skip

        entry = await asyncio.to_thread(self._journal.append, entry_of)
        self._passed("journal")
        person = await self._write_begin(entry)
        self._passed("begin")
        return person

    async def _write_begin(self, entry: JournalEntry) -> PersonNeedles:
        await self._erasures.begin(
            {
                "id": entry.id, "tenant": entry.tenant, "account": entry.account, "actor": entry.actor,
                "cause": entry.cause, "by": entry.by, "request": entry.request, "at": entry.at,
                "keep_until": entry.at + LOCKER_AWAY_MAX,
            }
        )  # fmt: skip
        return await self._person(entry)

    async def _person(self, entry: JournalEntry) -> PersonNeedles:
        known = await self._erasures.begun(entry.account)
        row = await self._erasures.account(entry.account)
        needles = [str(entry.actor), entry.actor.hex, str(entry.account)]
        if row is not None:
            # Databases know the cases of letters beyond ASCII only in some locales.
            email = str(row["email"])
            needles += sorted({email, email.lower(), email.upper()})
        erasure = entry.id if known is None else known["id"]
        # Once the account is gone its texts are, too; what came later names no more than the ids.
        since = entry.at if row is None else row["created_at"] - _CLOCKS_DIFFER
        return PersonNeedles(erasure, entry.tenant, entry.account, entry.actor, tuple(needles), since)

    async def _go_through(self, person: PersonNeedles, now: datetime) -> Erased:
        await self._erasures.delete(person, CODES)
        # Whether a hold names the person is asked each time: one may come while all of this goes on.
        await self._erasures.delete(person, OF_THE_PERSON, unless_held=True)
        self._passed("secrets")
        await self._events(person)
        await self._command_texts(person, now)
        for steps in TRACES:
            await self._erasures.delete(person, steps)
            self._passed(steps[0][1])
        await self._erasures.forget_account(person)
        self._passed("account")
        erased = await self._verify(person, now)
        self._passed("verified")
        lockers = await self._tell_lockers(person, now)
        _log.info("A person was erased", extra={"erasure": str(person.erasure), "partly": erased.partly})
        return Erased(erased.id, erased.account, erased.deleted, erased.kept, erased.holds, lockers)

    async def _events(self, person: PersonNeedles) -> None:
        for locker in await self._erasures.event_lockers(person):
            after: datetime | None = None
            while (after := await self._erasures.erase_events(person, locker, after)) is not None:
                self._passed("events")

    async def _command_texts(self, person: PersonNeedles, now: datetime) -> None:
        """Look through the free text of commands, some days at a time: there may be very many."""
        since = person.since
        while since <= now + _CLOCKS_DIFFER:
            until = since + _TEXTS_AT_ONCE
            await self._erasures.erase_command_texts(person, since, until)
            since = until
        self._passed("command_text")

    async def _left(self, person: PersonNeedles) -> dict[str, RemainingRows]:
        person_held = await self._erasures.person_held(person)
        stays = person_held or await self._erasures.keeps_transactions(person)
        return await self._erasures.left(person, account_stays=stays, person_held=person_held)

    async def _verify(self, person: PersonNeedles, now: datetime) -> Erased:
        """Count for itself what is left; all of it has to be what a hold names."""
        left = await self._left(person)
        over = {table: one.rows - one.held for table, one in left.items() if one.rows != one.held}
        if over:
            raise ErasureIncomplete(f"rows of an erased person are left that no hold names: {over}; run it again")
        kept = {table: one.rows for table, one in left.items()}
        holds = await self._erasures.holds(person) if kept else ()
        row = await self._erasures.done(person, kept, now)
        return Erased(person.erasure, person.account, dict(row["deleted"]), kept, holds)

    async def _tell_lockers(self, person: PersonNeedles, now: datetime) -> int:
        """Send the lockers whose events were deleted the order to forget; a running hub picks the rows up."""
        told = await self._erasures.tell_lockers(
            person, now=now, expires_at=now + LOCKER_AWAY_MAX, deadline_ms=self._delivery_ms
        )
        self._passed("told")
        return told
