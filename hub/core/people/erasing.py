"""What an erasure is: why it is done, and what became of it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

LOCKER_AWAY_MAX: Final = timedelta(days=400)
"""How long an order to forget waits for its locker, and late events are looked for. An agent keeps nothing that is
confirmed for so long (a year at the most)."""


class Cause(StrEnum):
    """Why a person is erased."""

    REQUEST = "request"
    """They asked, and it is known that it was they."""
    CHILD = "child"
    """They are under sixteen: at once, on a decision of the staff."""
    DEACTIVATED = "deactivated"
    """Their account was closed three years ago."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure came to. `deleted` and `kept` count rows by table; `kept` are those that a hold names."""

    id: UUID
    account: UUID
    deleted: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    holds: tuple["HoldOver", ...] = ()
    lockers: int = 0
    """Lockers that are told to forget, too."""

    @property
    def partly(self) -> bool:
        """Whether something was kept."""
        return bool(self.kept)

    def sentence(self) -> str:
        """Return the answer for the person and the file: what went, what stays, why and until when."""
        gone = sum(self.deleted.values())
        if not self.kept:
            return f"Erased: {gone} rows. Nothing is left."
        rows = ", ".join(f"{count} of {table}" for table, count in sorted(self.kept.items()))
        holds = "; ".join(hold.sentence() for hold in self.holds) or "a hold that has ended meanwhile"
        return f"Erased in part: {gone} rows are gone; kept on order are {rows}. {holds}."


@dataclass(frozen=True, slots=True)
class HoldOver:
    """A legal hold that keeps something of a person."""

    id: UUID
    until: datetime | None

    def sentence(self) -> str:
        """Return the hold and its end."""
        end = "it is released" if self.until is None else f"{self.until:%Y-%m-%d %H:%M} UTC"
        return f"Hold {self.id} lasts until {end}"
