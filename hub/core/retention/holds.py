"""Legal holds: what may be asked for, and why not."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

WHY_CHARACTERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class HoldOrder:
    """What somebody wants to be kept: all that matches every one of the things that are named.

    `since` is included, `before` is not. `until` is when the hold ends by itself; None: when it is released.
    """

    why: str
    locker: str | None = None
    account: UUID | None = None
    transaction: UUID | None = None
    since: datetime | None = None
    before: datetime | None = None
    until: datetime | None = None
    tenant: str = "default"


@dataclass(frozen=True, slots=True)
class HoldCoverage:
    """Which of the things that an order names there are; of what it does not name, whatever."""

    tenant: bool
    locker: bool
    account: bool
    transaction: bool


def refuse_order(order: HoldOrder, found: HoldCoverage, now: datetime) -> str | None:
    """Return why such a hold cannot be, in a sentence; None if it can."""
    return _shapeless(order) or refuse_reason(order.why) or _about_nothing(order, found) or _ended(order, now)


def refuse_reason(why: str) -> str | None:
    """Return what is wrong with a reason; None if it is one."""
    if not why.strip():
        return "There is no reason: who keeps data beyond its time, or lets it go, says why."
    if len(why) > WHY_CHARACTERS_MAX:
        return f"The reason has {len(why)} characters; {WHY_CHARACTERS_MAX} are the most."
    if not why.isprintable():
        return "The reason is not one line of text."
    return None


def _shapeless(order: HoldOrder) -> str | None:
    if all(one is None for one in (order.locker, order.account, order.transaction, order.since, order.before)):
        return "A hold names a locker, an account, a transaction or a range of time; this one names nothing."
    if any(time is not None and time.tzinfo is None for time in (order.since, order.before, order.until)):
        return "A time needs its zone: 2026-03-01T00:00:00Z."
    for time in (order.since, order.before, order.until):
        if time is not None and not _in_utc(time):
            return f"{time.isoformat()} is outside of the years that there are in UTC."
    if order.since is not None and order.before is not None:
        if order.since == order.before:
            return "The range of time is empty: since and before are the same instant."
        if order.since > order.before:
            return "The range of time is in the wrong order: since has to be earlier than before."
    return None


def _in_utc(time: datetime) -> bool:
    try:
        time.astimezone(UTC)
    except OverflowError:
        return False
    return True


def _about_nothing(order: HoldOrder, found: HoldCoverage) -> str | None:
    if not found.tenant:
        return f"There is no tenant {order.tenant!r}."
    if order.locker is not None and not found.locker:
        return f"There is no locker {order.locker!r}, neither in the registry nor in the ledgers."
    if order.account is not None and not found.account:
        return f"There is no account {order.account}."
    if order.transaction is not None and not found.transaction:
        return f"There is no transaction {order.transaction}, and no event of one."
    return None


def _ended(order: HoldOrder, now: datetime) -> str | None:
    if order.until is not None and order.until <= now:
        return f"The hold would have ended already: until is {order.until.isoformat()}, and that is past."
    return None
