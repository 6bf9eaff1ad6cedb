"""Changes of the registry by operators, each with its row in the audit."""

from dataclasses import dataclass
from typing import Final

from hub.store.audit import audit
from hub.store.database import Database
from hub.store.people import By
from hub.store.statements import statement

CHARACTERS_MAX: Final = {"name": 120, "site": 120, "address": 200, "serial": 60}
TAG_CHARACTERS_MAX: Final = 40
TAGS_MAX: Final = 20
REASON_CHARACTERS_MAX: Final = 200

REMOVED_WHY: Final = "the locker is no longer in the registry"

_FIELDS: Final = ("name", "site", "address", "serial", "tags")


@dataclass(frozen=True, slots=True)
class LockerChange:
    """What is to be another way; None leaves it as it is."""

    name: str | None = None
    site: str | None = None
    address: str | None = None
    serial: str | None = None
    tags: list[str] | None = None


async def change_locker(store: Database, locker: str, change: LockerChange, by: By) -> bool:
    """Change what the registry says of a locker. Returns False if there is none.

    What is the same already is neither written nor audited. Raises StoreRejected for values that do not fit.
    """
    async with store.transaction() as conn:
        row = await (await conn.execute(statement("locker_locked"), {"id": locker})).fetchone()
        if row is None:
            return False
        wanted = {name: getattr(change, name) for name in _FIELDS if getattr(change, name) is not None}
        differing = {name: value for name, value in wanted.items() if row[name] != value}
        if differing:
            await conn.execute(statement("locker_change"), {**row, **differing, "id": locker})
            before = {name: row[name] for name in differing}
            await audit(
                conn, at=by.at, who=by.who, action="locker.change", subject=f"locker:{locker}",
                detail={"before": before, "after": differing},
            )  # fmt: skip
    return True


async def set_service(store: Database, locker: str, door: int, reason: str | None, by: By) -> bool:
    """Take a door out of service for a reason, or back into it (None). Returns False if there is no such door.

    The audit has no reason: it stands with the door, where it can be changed.
    """
    key = {"locker": locker, "number": door}
    wanted = {"in_service": reason is None, "reason": reason}
    async with store.transaction() as conn:
        row = await (await conn.execute(statement("door_locked"), key)).fetchone()
        if row is None:
            return False
        if (row["in_service"], row["service_reason"]) != (wanted["in_service"], reason):
            await conn.execute(statement("door_service"), {**key, **wanted})
            await audit(
                conn, at=by.at, who=by.who, action="door.in_service" if reason is None else "door.out_of_service",
                subject=f"locker:{locker}", detail={"door": door},
            )  # fmt: skip
    return True


async def disable_locker(store: Database, locker: str, why: str | None, by: By) -> bool:
    """Take nothing of a locker and send it nothing, for a reason; or again (None). Returns False if there is none.

    The audit has no reason: it stands with the locker, where it can be changed.
    """
    async with store.transaction() as conn:
        row = await (await conn.execute(statement("locker_locked"), {"id": locker})).fetchone()
        if row is None:
            return False
        done = await conn.execute(statement("locker_disable"), {"id": locker, "why": why, "at": by.at})
        if done.rowcount:
            await audit(
                conn, at=by.at, who=by.who, action="locker.enable" if why is None else "locker.disable",
                subject=f"locker:{locker}", detail={},
            )  # fmt: skip
    return True


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal ended; or, with `transactions_open`, why nothing was removed."""

    commands_ended: int
    transactions_open: int


async def remove_locker(store: Database, locker: str, by: By) -> Removed | None:
    """Take a locker and its doors out of the registry for good, and end its durable commands. None: there is none.

    Its history stays under its id, which no other locker has by accident from then on. With open transactions there
    nothing is removed: they belong to people, who have things in its doors.
    """
    async with store.transaction() as conn:
        row = await (await conn.execute(statement("locker_locked"), {"id": locker})).fetchone()
        if row is None:
            return None
        found = await (await conn.execute(statement("locker_transactions_open"), {"id": locker})).fetchone()
        assert found is not None, "a count, always"  # noqa: S101
        if found["open"]:
            return Removed(0, found["open"])
        ended = await conn.execute(
            statement("locker_commands_end"), {"id": locker, "why": REMOVED_WHY, "at": by.at}
        )
        await conn.execute(statement("locker_remove"), {"id": locker})
        await conn.execute(statement("locker_tombstone"), {"id": locker, "at": by.at, "by": by.who})
        await audit(
            conn, at=by.at, who=by.who, action="locker.remove", subject=f"locker:{locker}",
            detail={"commands_ended": ended.rowcount},
        )  # fmt: skip
    return Removed(ended.rowcount, 0)


def in_use(locker: str, transactions_open: int) -> str:
    """Return why a locker is not removed."""
    are = "one transaction is" if transactions_open == 1 else f"{transactions_open} transactions are"
    return f"{are} open at {locker}, and people may have things in its doors: end them first."
