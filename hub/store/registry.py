"""Changes of the registry by operators, each with its row in the audit."""

from dataclasses import dataclass
from typing import Final

from hub.store.audit import audit
from hub.store.people import By
from hub.store.statements import statement
from hub.store.timescale import Store

CHARACTERS_MAX: Final = {"name": 120, "site": 120, "address": 200, "serial": 60}
TAG_CHARACTERS_MAX: Final = 40
TAGS_MAX: Final = 20
REASON_CHARACTERS_MAX: Final = 200

_FIELDS: Final = ("name", "site", "address", "serial", "tags")


@dataclass(frozen=True, slots=True)
class LockerChange:
    """What is to be another way; None leaves it as it is."""

    name: str | None = None
    site: str | None = None
    address: str | None = None
    serial: str | None = None
    tags: list[str] | None = None


async def change_locker(store: Store, locker: str, change: LockerChange, by: By) -> bool:
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


async def set_service(store: Store, locker: str, door: int, reason: str | None, by: By) -> bool:
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
