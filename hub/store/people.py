"""Accounts in the database, with what hangs on them: credential, badges, accepted notices.

Everything that a person or an operator does here is one transaction with its row in the audit.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import DictRow

from hub.core.people import email as addresses
from hub.core.people.passwords import Hashed
from hub.core.printable import composed, unprintable
from hub.errors import PeopleError
from hub.store.audit import audit
from hub.store.database import Database
from hub.store.statements import statement

TENANT: Final = "default"

Connection = psycopg.AsyncConnection[DictRow]


@dataclass(frozen=True, slots=True)
class By:
    """Who does something, and when."""

    who: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AccountsQuery:
    """Which accounts, by id; restricted ones are in no list. `part` is looked for in e-mails and names."""

    limit: int
    after: UUID | None = None
    active: bool | None = None
    email: str | None = None
    part: str | None = None
    badge: str | None = None


class AccountStore:
    """Accounts of the tenant. Raises PeopleError (with its code) for what cannot be, and what the Store raises."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def create(self, email: str, name: str, by: By) -> DictRow:
        """Make an account and return it. Raises email_wrong, account_exists."""
        account = uuid4()
        values = {
            "id": account, "tenant": TENANT, "actor": uuid4(), "name": _text("name", name), "at": by.at,
            **_address(email),
        }  # fmt: skip
        async with self._store.transaction() as conn:
            added = await conn.execute(statement("account_add"), values)
            if added.rowcount == 0:
                raise PeopleError("account_exists", "There is an account with this e-mail address.")
            await _note(conn, account, "account.create", by)
        return await self.account(account)

    async def look(self, account: UUID | None, action: str, by: By) -> None:
        """Write into the audit that somebody looked at a person, or at a list of them."""
        subject = None if account is None else f"account:{account}"
        async with self._store.transaction() as conn:
            await audit(conn, at=by.at, who=by.who, action=action, subject=subject, detail={})

    async def account(self, account: UUID) -> DictRow:
        """Return an account. Raises account_unknown."""
        rows = await self._store.fetch("account", {"account": account, "tenant": TENANT})
        if not rows:
            raise unknown(account)
        return rows[0]

    async def page(self, query: AccountsQuery) -> list[DictRow]:
        """Return a page of accounts by id, without restricted ones."""
        return await self._store.fetch(
            "accounts_page",
            {
                "tenant": TENANT,
                "limit": query.limit,
                "after": query.after,
                "active": query.active,
                "email_key": None if query.email is None else addresses.key(query.email),
                "part": None if query.part is None else addresses.key(query.part),
                "badge": query.badge,
            },
        )

    async def deactivate(self, account: UUID, by: By) -> DictRow:
        """Close an account: the three years begin. One that is closed stays as it is."""
        return await self._change("account_deactivate", account, "account.deactivate", by)

    async def reactivate(self, account: UUID, by: By) -> DictRow:
        """Open it again: the clock stops. Raises being_erased."""
        async with self._store.transaction() as conn:
            await locked(conn, account)
            row = await (await conn.execute(statement("account_being_erased"), {"account": account})).fetchone()
            if row is not None and row["erasing"]:
                raise PeopleError("being_erased", "This person is being erased; a hold keeps what is left.")
            # While the account is held: an erasure that begins now finds it active, or is found above.
            done = await conn.execute(statement("account_reactivate"), {"account": account})
            if done.rowcount:
                await _note(conn, account, "account.reactivate", by)
        return await self.account(account)

    async def rectify(self, account: UUID, *, email: str | None, name: str | None, by: By) -> DictRow:
        """Correct the e-mail address, the name, or both. Raises email_wrong, account_exists."""
        address = {"email": None, "email_key": None} if email is None else _address(email)
        clean = None if name is None else _text("name", name)
        async with self._store.transaction() as conn:
            await locked(conn, account)
            try:
                await conn.execute(statement("account_rectify"), {"account": account, "name": clean, **address})
            except psycopg.errors.UniqueViolation:
                raise PeopleError("account_exists", "Another account has this e-mail address.") from None
            changed = [key for key, value in (("email", email), ("name", name)) if value is not None]
            await _note(conn, account, "account.rectify", by, {"changed": changed})
        return await self.account(account)

    async def restrict(self, account: UUID, why: str, by: By) -> DictRow:
        """Keep the data and use it no more. `why` is for people, and goes with the account."""
        return await self._change("account_restrict", account, "account.restrict", by, why=why)

    async def unrestrict(self, account: UUID, by: By) -> DictRow:
        """Let the data be used again."""
        return await self._change("account_unrestrict", account, "account.unrestrict", by)

    async def set_credential(self, account: UUID, hashed: Hashed, by: By) -> None:
        """Store what is stored of a password. Raises account_closed."""
        async with self._store.transaction() as conn:
            await usable(conn, account)
            await conn.execute(statement("credential_put"), {"account": account, "at": by.at, **asdict(hashed)})
            await _note(conn, account, "credential.set", by)

    async def credential(self, account: UUID) -> Hashed | None:
        """Return what is stored of the person's password, None if there is none."""
        rows = await self._store.fetch("credential", {"account": account, "tenant": TENANT})
        return Hashed(**rows[0]) if rows else None

    async def add_badge(self, account: UUID, number: str, by: By) -> DictRow:
        """Give the person a badge. Raises feature_off, account_closed, badge_taken."""
        number = _text("badge", number)
        badge = {"id": uuid4(), "tenant": TENANT, "account": account, "number": number, "at": by.at}
        async with self._store.transaction() as conn:
            await switched_on(conn, {"badges"})
            await usable(conn, account)
            if (await conn.execute(statement("badge_add"), badge)).rowcount == 0:
                raise PeopleError("badge_taken", "A person has a badge with this number already.")
            await _note(conn, account, "badge.add", by)
        return {"id": badge["id"], "number": number, "added_at": by.at}

    async def badges(self, account: UUID) -> list[DictRow]:
        """Return the person's badges."""
        return await self._store.fetch("badges_of", {"account": account, "tenant": TENANT})

    async def remove_badge(self, account: UUID, badge: UUID, by: By) -> None:
        """Take a badge away. Raises badge_unknown."""
        values = {"badge": badge, "account": account, "tenant": TENANT}
        async with self._store.transaction() as conn:
            if (await conn.execute(statement("badge_remove"), values)).rowcount == 0:
                raise PeopleError("badge_unknown", f"The account has no badge {badge}.")
            await _note(conn, account, "badge.remove", by)

    async def publish_notice(self, body: str, effective_at: datetime, by: By) -> int:
        """Keep a new version of the privacy notice; return its number."""
        values = {"tenant": TENANT, "body": body, "effective_at": effective_at, "at": by.at, "by": by.who}
        async with self._store.transaction() as conn:
            # One after the other: two at once would be the same version.
            await conn.execute(statement("tenant_locked"), {"tenant": TENANT})
            row = await (await conn.execute(statement("notice_add"), values)).fetchone()
            assert row is not None, "RETURNING"  # noqa: S101
            detail = {"version": row["version"]}
            await audit(conn, at=by.at, who=by.who, action="notice.publish", subject=None, detail=detail)
        return int(row["version"])

    async def notices(self) -> list[DictRow]:
        """Return all versions, newest first, without their text."""
        return await self._store.fetch("notices", {"tenant": TENANT})

    async def notice(self, version: int) -> DictRow:
        """Return one version with its text. Raises notice_unknown."""
        rows = await self._store.fetch("notice", {"tenant": TENANT, "version": version})
        if not rows:
            raise PeopleError("notice_unknown", f"There is no version {version} of the privacy notice.")
        return rows[0]

    async def accept_notice(self, account: UUID, version: int, by: By) -> None:
        """Note that the person accepted a version; a second time changes nothing. Raises notice_unknown."""
        await self.notice(version)
        values = {"account": account, "tenant": TENANT, "version": version, "at": by.at}
        async with self._store.transaction() as conn:
            await usable(conn, account)
            if (await conn.execute(statement("notice_accept"), values)).rowcount:
                await _note(conn, account, "notice.accept", by, {"version": version})

    async def withdraw_consent(self, account: UUID, by: By) -> int:
        """Take back what the person accepted, from now on; what was done before stays right. Returns how many."""
        async with self._store.transaction() as conn:
            await locked(conn, account)
            done = await conn.execute(statement("notice_withdraw"), {"account": account, "at": by.at})
            await _note(conn, account, "notice.withdraw", by, {"versions": done.rowcount})
        return done.rowcount

    async def barred(self) -> frozenset[UUID]:
        """Return the actors whose name no command is to carry: restricted, being erased, or erased."""
        return frozenset(row["actor"] for row in await self._store.fetch("accounts_barred"))

    async def _change(self, name: str, account: UUID, action: str, by: By, **values: object) -> DictRow:
        async with self._store.transaction() as conn:
            await locked(conn, account)
            done = await conn.execute(statement(name), {"account": account, "at": by.at, **values})
            if done.rowcount:
                await _note(conn, account, action, by)
        return await self.account(account)


async def locked(conn: Connection, account: UUID) -> DictRow:
    """Hold the account as it is to the end of the transaction. Raises account_unknown."""
    values = {"account": account, "tenant": TENANT}
    row = await (await conn.execute(statement("account_locked"), values)).fetchone()
    if row is None:
        raise unknown(account)
    return row


async def usable(conn: Connection, account: UUID) -> DictRow:
    """Hold an account whose data may be used. Raises account_unknown, account_closed, account_restricted."""
    row = await locked(conn, account)
    if row["deactivated_at"] is not None:
        raise PeopleError("account_closed", "The account is deactivated; reactivate it first.")
    if row["restricted_at"] is not None:
        raise PeopleError("account_restricted", "The person's data is kept and not used (restriction).")
    return row


async def switched_on(conn: Connection, features: Collection[str]) -> None:
    """Hold features on to the end of the transaction. Raises feature_off."""
    row = await (await conn.execute(statement("tenant_features"), {"tenant": TENANT})).fetchone()
    assert row is not None, "there since the first migration"  # noqa: S101
    for feature in sorted(features):
        if not row[feature]:
            raise PeopleError(
                "feature_off",
                f"The customer has not asked for {feature}, so nothing of that kind is taken; "
                f"`hub tenant set --{feature} on` switches it on.",
            )


def unknown(account: UUID) -> PeopleError:
    """Return the refusal of an account that is not there."""
    return PeopleError("account_unknown", f"There is no account {account}.")


async def _note(conn: Connection, account: UUID, action: str, by: By, detail: dict[str, Any] | None = None) -> None:
    await audit(conn, at=by.at, who=by.who, action=action, subject=f"account:{account}", detail=detail or {})


def _text(what: str, text: str) -> str:
    """Return a text of a person as it is stored: one name is one, however it was typed, and shows as what it is."""
    found = unprintable(text)
    if found is not None:
        raise PeopleError("bad_request", f"The {what} has {found}; anything that can be printed is fine.")
    return composed(text.strip())


def _address(email: str) -> dict[str, str]:
    try:
        text = addresses.written(email)
    except ValueError as error:
        raise PeopleError("email_wrong", str(error)) from None
    return {"email": text, "email_key": addresses.key(text)}
