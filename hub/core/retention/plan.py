"""What goes, and how: chunks that are old as a whole are dropped, all others are gone through row by row."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from hub.core.retention.policy import Category, CutOffs


class RetentionAction(StrEnum):
    """What is done to rows."""

    CHUNK = "chunk"
    """Dropped with all of their chunk."""
    ROWS = "rows"
    """Deleted."""
    EMPTIED = "emptied"
    """They stay, without what they held."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a table, from `lower` (included) to `upper` (not included); None: without an end on that side."""

    name: str
    lower: datetime | None
    upper: datetime | None


@dataclass(frozen=True, slots=True)
class Due:
    """What a run would do here: of `due` rows whose time is over, `held` are kept by holds."""

    category: Category
    table: str
    chunk: str
    act: RetentionAction
    due: int
    held: int
    oldest: datetime | None

    def said(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "category": self.category.value, "table": self.table, "chunk": self.chunk, "by": self.act.value,
            "due": self.due, "held": self.held, "oldest": None if self.oldest is None else self.oldest.isoformat(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class RetentionReach:
    """The times that a hold names; None: without an end on that side."""

    since: datetime | None
    before: datetime | None


def act_on(chunk: Chunk, cut_offs: CutOffs, *, held: int) -> RetentionAction | None:
    """Say how the chunk is to be treated; None: nothing in it is due.

    Args:
        chunk: a part of the table.
        cut_offs: of the table's category.
        held: how many of its rows are kept by holds, whatever their age.
    """
    if chunk.lower is not None and chunk.lower >= cut_offs.latest:
        return None
    if chunk.upper is not None and chunk.upper <= cut_offs.earliest and not held:
        return RetentionAction.CHUNK
    return RetentionAction.ROWS


def may_be_held(chunk: Chunk, holds: Iterable[RetentionReach]) -> bool:
    """Say whether a hold's times meet the chunk's. Whether it keeps any row is for the rows to say."""
    return any(
        (hold.before is None or chunk.lower is None or hold.before > chunk.lower)
        and (hold.since is None or chunk.upper is None or hold.since < chunk.upper)
        for hold in holds
    )
