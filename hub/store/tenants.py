"""The tenant's switches: badges, codes, transactions. Off: nothing of that kind is accepted, or stored."""

from dataclasses import dataclass
from typing import Final

from psycopg.rows import DictRow

from hub.errors import PeopleError
from hub.store.audit import audit
from hub.store.database import Database
from hub.store.people import TENANT, By
from hub.store.statements import statement

_LET_GO: Final = {
    "badges": (statement("badges_let_go"),),
    "codes": (statement("codes_let_go"),),
    "transactions": (statement("codes_let_go"), statement("ratings_let_go"), statement("transactions_let_go")),
}


@dataclass(frozen=True, slots=True)
class TenantChange:
    """What is to be another way; None leaves it as it is."""

    badges: bool | None = None
    codes: bool | None = None
    transactions: bool | None = None
    region: str | None = None


async def tenant(store: Database) -> DictRow:
    """Return the tenant with its switches, and `stored`: how many rows there are of each feature."""
    (row,) = await store.fetch("tenant", {"tenant": TENANT})
    (stored,) = await store.fetch("tenant_stored", {"tenant": TENANT})
    return {**row, "stored": stored}


async def set_tenant(store: Database, change: TenantChange, by: By, *, delete_stored: bool = False) -> DictRow:
    """Turn features on or off, in one transaction; return the tenant as it is now.

    Raises still_stored where a feature goes off of which something is stored, unless `delete_stored`: then it is
    deleted, except what a legal hold names.
    """
    wanted = {"badges": change.badges, "codes": change.codes, "transactions": change.transactions}
    async with store.transaction() as conn:
        if delete_stored:
            # Before the tenant's row, which whoever places a hold takes second.
            await conn.execute(statement("retention_hold_lock"))
        await conn.execute(statement("tenant_locked"), {"tenant": TENANT})
        stored = await (await conn.execute(statement("tenant_stored"), {"tenant": TENANT})).fetchone()
        assert stored is not None, "three numbers, always"  # noqa: S101
        gone: dict[str, int] = {}
        for feature in (one for one, on in wanted.items() if on is False and stored[one]):
            if not delete_stored:
                raise PeopleError(
                    "still_stored",
                    f"{stored[feature]} {feature} are stored, and where the feature is off nothing of it is: "
                    "`--delete-stored` deletes them, except what a legal hold names.",
                )
            for let_go in _LET_GO[feature]:
                gone[feature] = (await conn.execute(let_go, {"tenant": TENANT})).rowcount
        await conn.execute(statement("tenant_set"), {"tenant": TENANT, "region": change.region, **wanted})
        set_to = {key: on for key, on in wanted.items() if on is not None}
        detail = {"set": set_to, "region": change.region, "deleted": gone}
        await audit(conn, at=by.at, who=by.who, action="tenant.set", subject=f"tenant:{TENANT}", detail=detail)
    return await tenant(store)


async def transaction_kinds(store: Database) -> list[DictRow]:
    """Return what lockers are used for: id and title."""
    return await store.fetch("transaction_kinds")


async def add_transaction_kind(store: Database, kind: str, title: str, by: By) -> bool:
    """Add a use. Returns False if there is one with this id; raises StoreRejected for an id that is none."""
    async with store.transaction() as conn:
        added = await conn.execute(statement("transaction_kind_add"), {"id": kind, "title": title})
        if added.rowcount:
            detail = {"kind": kind}
            await audit(conn, at=by.at, who=by.who, action="tenant.kind_add", subject=None, detail=detail)
    return added.rowcount == 1
