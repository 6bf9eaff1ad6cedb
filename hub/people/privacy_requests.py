"""Carrying out what people asked for: verified first, done, answered, each with its row in the audit."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from hub import clock
from hub.core.people.erasing import Cause, Erased
from hub.core.people.passwords import Hashed, hashed, matches
from hub.core.people.privacy_requests import Check, CheckHow, PrivacyRight, RequestState
from hub.core.rates import TokenBucket
from hub.errors import PeopleError
from hub.people.eraser import Eraser
from hub.people.export import Exported, export_person
from hub.store.database import Database
from hub.store.people import AccountStore, By
from hub.store.privacy_requests import PrivacyRequestStore

_SIGN_INS_PER_MINUTE: Final = 10
_NOBODY: Final = Hashed(bytes(16), bytes(32))


@dataclass(frozen=True, slots=True)
class PersonDetails:
    """What a request needs to be carried out: the right e-mail or name; why something is not to be used."""

    email: str | None = None
    name: str | None = None
    why: str | None = None


class PrivacyRequests:
    """Raises PeopleError (with its code), ErasureIncomplete, and what the Store raises."""

    def __init__(self, store: Database, eraser: Eraser) -> None:
        self._store = store
        self._eraser = eraser
        self._people = AccountStore(store)
        self._sign_ins = TokenBucket(_SIGN_INS_PER_MINUTE, _SIGN_INS_PER_MINUTE)
        self.requests = PrivacyRequestStore(store)

    async def sign_in(self, request: UUID, password: str, by: By) -> None:
        """Verify who asks by their password, and note it. Raises identity_unverified, too_many_attempts."""
        wait_ms = self._sign_ins.take(clock.now_ms())
        if wait_ms:
            raise PeopleError("too_many_attempts", "Too many sign-ins were tried; wait a minute.")
        account: UUID | None = (await self.requests.request(request))["account"]
        stored = None if account is None else await self._people.credential(account)
        # As slow for somebody without a password as for a wrong one.
        right = await asyncio.to_thread(matches, password, stored or _NOBODY)
        if stored is None or not right:
            raise PeopleError("identity_unverified", "That is not the person's password, or they have none.")
        await self.requests.check(request, Check.IDENTITY, CheckHow.SIGN_IN, None, by)

    async def export(self, request: UUID, path: Path, by: By) -> Exported:
        """Write the person's archive to `path`, and answer a request for access or portability with it."""
        account = await self.requests.granted(request, {PrivacyRight.ACCESS, PrivacyRight.PORTABILITY})
        exported = await export_person(self._store, account, path, by.at)
        rows = sum(exported.rows.values())
        await self.requests.answer(request, RequestState.DONE, f"A copy with {rows} rows was given.", by)
        return exported

    async def carry_out(self, request: UUID, what: PersonDetails, by: By) -> Erased | None:
        """Do what the request asks for, and answer it. Returns what an erasure came to, None of another kind.

        Access and portability are for `export`. Raises bad_request where a particular is missing.
        """
        kinds = set(PrivacyRight) - {PrivacyRight.ACCESS, PrivacyRight.PORTABILITY}
        account = await self.requests.granted(request, kinds)
        kind = PrivacyRight((await self.requests.request(request))["kind"])
        if kind is PrivacyRight.ERASURE:
            return await self.erase(request, by)
        if kind is PrivacyRight.RECTIFICATION:
            if what.email is None and what.name is None:
                raise PeopleError("bad_request", "What is right? Give `email`, `name`, or both.")
            await self._people.rectify(account, email=what.email, name=what.name, by=by)
            answer = "The account was corrected."
        elif kind is PrivacyRight.WITHDRAWAL:
            count = await self._people.withdraw_consent(account, by)
            answer = f"Consent was withdrawn from now on, of {count} versions of the notice."
        else:
            await self._people.restrict(account, what.why or f"{kind} of the person", by)
            answer = "The data is kept and not used any more."
        await self.requests.answer(request, RequestState.DONE, answer, by)
        return None

    async def erase(self, request: UUID, by: By) -> Erased:
        """Erase who asked for it, and answer: done, or partly and what a hold keeps until when."""
        account = await self.requests.granted(request, {PrivacyRight.ERASURE})
        erased = await self._eraser.erase(account, cause=Cause.REQUEST, by=by.who, now=by.at, request=request)
        state = RequestState.PARTLY if erased.partly else RequestState.DONE
        await self.requests.answer(request, state, erased.sentence(), by)
        return erased

    async def erase_child(self, account: UUID, by: By) -> Erased:
        """Erase somebody under sixteen at once, without a request: the decision is the operator's."""
        return await self._eraser.erase(account, cause=Cause.CHILD, by=by.who, now=by.at)


async def set_password(people: AccountStore, account: UUID, password: str, salt: bytes, by: By) -> None:
    """Hash a password beside the event loop, and store what is stored of it."""
    await people.set_credential(account, await asyncio.to_thread(hashed, password, salt), by)
