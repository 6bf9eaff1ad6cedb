"""What is told: one change of one alarm, a digest of many, or a test. It outlives a restart as JSON.

It names lockers, doors and operators, and nobody else: no actor, no account, no address, no note.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from hub.core.alarms.alarm import Alarm, AlarmState
from hub.core.alarms.transitions import Transition

Known = Literal["raised", "cleared", "acked"]
TOLD: Final[tuple[Known, ...]] = ("raised", "cleared", "acked")
"""The changes that anybody is told of."""
SEVERITIES: Final = ("critical", "high", "medium", "low")


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One change of an alarm."""

    at: datetime
    transition: Known
    alarm: UUID
    type: str
    severity: Literal["critical", "high", "medium", "low"]
    site: str | None
    locker: str | None
    door: int | None
    what: str
    where: str
    consequence: str
    todo: str
    began_at: datetime
    count: int
    by: str | None
    """The operator who acknowledged it."""
    acked: bool = False
    """Whether somebody has: one that is announced again after a shelf or maintenance may be."""

    @property
    def leaves(self) -> Known:
        """What its receiver knows afterwards."""
        return "acked" if self.acked and self.transition == "raised" else self.transition


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """Many changes in a short time, as one."""

    since: datetime
    until: datetime
    total: int
    counts: dict[str, dict[str, int]]
    """Of each kind of change by severity."""
    notices: list[Notice]
    """The worst of them, in their order."""
    knows: dict[UUID, Known] = {}
    """What its receiver knows afterwards, of every alarm in it."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What goes out over one channel, once. Without notice and digest it is a test."""

    id: UUID
    at: datetime
    channel: str
    notice: Notice | None = None
    digest: Digest | None = None

    @property
    def transition(self) -> str:
        """What it tells of: raised, cleared, acked, digest or test."""
        if self.notice is not None:
            return self.notice.transition
        return "test" if self.digest is None else "digest"

    @property
    def knows(self) -> Mapping[UUID, Known]:
        """What its receiver knows of alarms once it has taken it."""
        if self.notice is not None:
            return {self.notice.alarm: self.notice.leaves}
        return {} if self.digest is None else self.digest.knows


def size_bytes(message: Message) -> int:
    """Return about what a message takes in memory: its length as JSON. A digest may be of thousands of alarms."""
    return len(msgspec.json.encode(message))


def notice_of(change: Transition) -> Notice | None:
    """Return what is told of a change; None for what is nobody's news, and for an alarm that is suppressed."""
    if change.what not in TOLD or change.alarm.suppressed is not None:
        return None
    return notice_from(change.alarm, change.what, change.at)


def notice_from(alarm: Alarm, what: Known, at: datetime) -> Notice:
    """Return what is told of an alarm as it stands."""
    return Notice(
        at=at,
        transition=what,
        alarm=alarm.id,
        type=alarm.type,
        severity=alarm.severity.value,
        site=alarm.site,
        locker=alarm.locker,
        door=alarm.door,
        what=alarm.what,
        where=alarm.where,
        consequence=alarm.consequence,
        todo=alarm.todo,
        began_at=alarm.began_at,
        count=alarm.count,
        by=alarm.acked_by if what == "acked" else None,
        acked=alarm.state is AlarmState.ACTIVE_ACKED,
    )


def counted(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Return the counts of a digest as words: `3 raised (1 critical, 2 low), 1 cleared (1 low)`."""
    parts = []
    for transition in TOLD:
        by_severity = counts.get(transition, {})
        if by_severity:
            named = ", ".join(f"{by_severity[one]} {one}" for one in SEVERITIES if by_severity.get(one))
            parts.append(f"{sum(by_severity.values())} {transition} ({named})")
    return ", ".join(parts)
