"""`hub restore-check`: after a database was put back from a backup, it is brought to where it was.

A backup has people who were erased since it was made. The journal, which is not in the database, says who they
were, and the erasure is done once more. What the journal cannot bring back (holds, requests, events) is told.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from hub.core.people.journal import JournalEntry
from hub.errors import ErasureIncomplete
from hub.people.eraser import Eraser
from hub.people.journal import ErasureJournal
from hub.store.erasure import ErasureStore
from hub.store.people import By
from hub.store.transactions import Transactions

Proofs = Callable[[], Awaitable[list[str]]]
"""Holds the proofs of retention against the database; returns what is wrong, a sentence each."""


@dataclass
class Restored:
    """What was found and done. `to_do` is for the operator, a sentence each; without one all is well."""

    entries: int = 0
    applied: list[UUID] = field(default_factory=list)
    rows: int = 0
    kept: int = 0
    codes_withdrawn: int = 0
    to_do: list[str] = field(default_factory=list)
    behind: str | None = None
    """The hash of the row of the audit that the database should have, and has not."""


@dataclass(frozen=True)
class RestoreCheck:
    """Brings a database that was put back to where it was. It may be run at any time, and again."""

    journal: ErasureJournal
    eraser: Eraser
    erasures: ErasureStore
    transactions: Transactions
    proofs: Proofs

    async def run(self, by: By, *, withdraw_codes: bool) -> Restored:
        """Apply the journal, withdraw the codes that may have been used since, hold the proofs against the table.

        Codes go if the database turns out to be older than the journal, or if `withdraw_codes`.
        Raises PeopleError (the journal is broken, or another process is at it), StoreUnavailable.
        """
        entries = await asyncio.to_thread(self.journal.read)
        found = Restored(entries=len(entries))
        await self._judge(entries, found)
        for entry in entries:
            await self._apply(entry, by.at, found)
        if withdraw_codes or found.applied:
            found.codes_withdrawn = await self.transactions.withdraw_codes()
        found.to_do += await self.proofs()
        await self.erasures.note_check(by, len(found.applied), found.behind)
        return found

    async def _apply(self, entry: JournalEntry, now: datetime, found: Restored) -> None:
        before = await self.erasures.begun(entry.account)
        try:
            erased = await self.eraser.again(entry, now)
        except ErasureIncomplete as error:
            found.to_do.append(f"Erasure {entry.id}: {error}.")
            return
        if erased is not None:
            found.applied.append(entry.id)
            found.rows += sum(erased.deleted.values()) - (0 if before is None else sum(before["deleted"].values()))
            found.kept += bool(erased.kept)

    async def _judge(self, entries: list[JournalEntry], found: Restored) -> None:
        journalled = {entry.account for entry in entries}
        unknown = [one for one in await self.erasures.accounts() if one not in journalled]
        if unknown:
            found.to_do.append(
                f"{len(unknown)} erasures of the database are not in {self.journal.path}: it is not the journal of "
                "this database, or it was put back, too; bring the newest one here and run this again."
            )
        newest = max(entries, key=lambda entry: entry.audit_id, default=None)
        if newest is not None and not await self.erasures.was_told(newest.audit_sha256):
            await self._judge_audit(newest, found)

    async def _judge_audit(self, newest: JournalEntry, found: Restored) -> None:
        """Say once, and write into the audit that it was said, that the database has gone back in time."""
        there = await self.erasures.audit_row(newest.audit_id)
        end, _ = await self.erasures.audit_end()
        then = f"row {newest.audit_id} of the audit, of before {newest.at:%Y-%m-%d %H:%M} UTC,"
        if there == newest.audit_sha256 or (there is None and newest.audit_id <= end):
            return  # it is there, or has gone by the rules of retention
        if there is None:
            found.to_do.append(
                f"The backup is older than {then} which is not there. Requests, legal holds, restrictions and "
                "corrections since then are not in it either: enter them again before retention runs."
            )
        else:
            found.to_do.append(
                f"Another history was written: {then} is not the one that it was. Enter again what is missing "
                "since the backup was made (requests, legal holds, restrictions, corrections)."
            )
        found.behind = newest.audit_sha256
