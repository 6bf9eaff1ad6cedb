"""Legal holds in the table `legal_hold`, each change with its row in the audit."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID

from hub.core.retention.holds import HoldCoverage, HoldOrder, refuse_order
from hub.store.audit import audit
from hub.store.database import Database
from hub.store.statements import statement


@dataclass(frozen=True, slots=True)
class Hold:
    """A hold as it stands. It is active until it is released, or `until` has come."""

    id: UUID
    tenant: str
    locker: str | None
    account: UUID | None
    transaction: UUID | None
    since: datetime | None
    before: datetime | None
    why: str
    placed_by: str
    placed_at: datetime
    until: datetime | None
    released_at: datetime | None
    released_by: str | None
    release_why: str | None
    active: bool


class Release(StrEnum):
    """What became of a release."""

    RELEASED = "released"
    ENDED = "ended"
    """It had ended before."""
    UNKNOWN = "unknown"


class Holds:
    """Places, lists and releases. Errors are StoreUnavailable."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def place(self, hold: UUID, order: HoldOrder, *, by: str, now: datetime) -> str | None:
        """Place a hold. Returns None, or the sentence why it cannot be, and then nothing has changed.

        From the commit on nothing that it names is deleted; what was gone by then is gone.
        """
        named: dict[str, Any] = {
            "tenant": order.tenant, "locker": order.locker, "account": order.account,
            "transaction": order.transaction,
        }  # fmt: skip
        async with self._store.transaction() as conn:
            await conn.execute(statement("hold_begin"))
            row = await (await conn.execute(statement("hold_found"), named)).fetchone()
            assert row is not None, "it has one row"  # noqa: S101
            found = HoldCoverage(row["tenant"], row["locker"], row["actor"] is not None, row["transaction"])
            refusal = refuse_order(order, found, now)
            if refusal is not None:
                return refusal
            await conn.execute(
                statement("hold_add"),
                {
                    **named, "id": hold, "actor": row["actor"], "since": order.since, "before": order.before,
                    "why": order.why, "placed_by": by, "placed_at": now, "until": order.until,
                },
            )  # fmt: skip
            # A reason may name somebody, and the audit's detail stays for good: it has the reason's hash only.
            detail = {
                "names": [name for name, value in named.items() if value is not None],
                "until": None if order.until is None else order.until.isoformat(),
                "why_sha256": sha256(order.why.encode()).hexdigest(),
            }
            await audit(conn, at=now, who=by, action="hold.placed", subject=f"hold:{hold}", detail=detail)
        return None

    async def release(self, hold: UUID, why: str, *, by: str, now: datetime) -> Release:
        """End a hold. What it kept beyond its time goes with the next run."""
        async with self._store.transaction() as conn:
            values = {"id": hold, "why": why, "by": by, "at": now}
            if (await conn.execute(statement("hold_release"), values)).rowcount:
                detail = {"why_sha256": sha256(why.encode()).hexdigest()}
                await audit(conn, at=now, who=by, action="hold.released", subject=f"hold:{hold}", detail=detail)
                return Release.RELEASED
        return Release.UNKNOWN if await self.one(hold) is None else Release.ENDED

    async def one(self, hold: UUID) -> Hold | None:
        """Return one hold."""
        rows = await self._store.fetch("hold_one", {"id": hold})
        return Hold(**rows[0]) if rows else None

    async def page(self, *, active: bool, after: tuple[datetime, UUID] | None, limit: int) -> list[Hold]:
        """Return holds, newest first: all, or those that are active. `after` is the last one seen."""
        at, one = after or (None, None)
        values = {"active": active, "after_at": at, "after_id": one, "limit": limit}
        return [Hold(**row) for row in await self._store.fetch("hold_page", values)]

    async def active(self) -> int:
        """Count the active ones."""
        (row,) = await self._store.fetch("hold_count")
        return int(row["active"])
