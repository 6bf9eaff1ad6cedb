"""The fleet as it was at a moment of the past, re-drawn from what its lockers' ledgers say up to then.

The ledgers' own order decides, and not the times: two messages of one locker may have been under way for different
whiles. What is told of doors is taken by the live fleet's own rules (`hub.core.fleet`), so that both show the same.
What no event says is unknown: a locker that was not heard in time is offline, and its doors are not "closed".
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from hub.core.fleet import Fleet, Locker, LockerSpec
from wire.messages import Event, EventKind

BACK: Final = timedelta(hours=7)
"""How far back events are read. An agent tells all its doors at least every six hours."""
_ORDER_UNSURE: Final = timedelta(seconds=5)
"""What was received so soon after a locker's will may be from before it, as in `Fleet.heard`."""


@dataclass(frozen=True, slots=True)
class DoorReport:
    """One event of a locker's ledger that may say something of its doors."""

    epoch: UUID
    seq: int
    at: datetime
    kind: str
    door: int | None = None
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Edges:
    """What a stretch of one ledger comes to, door by door: the numbers of the last opening and the last closing.

    `newest_at` is when its newest event occurred; `is_stopped` says that its last one is the agent's farewell.
    """

    epoch: UUID
    newest_at: datetime
    is_stopped: bool
    doors: Sequence[int | None]
    opened: Sequence[int | None]
    closed: Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Signs:
    """Whether a locker could be reached, as far as is known. `offline_since` is an alarm's that stood then."""

    heard_at: datetime | None = None
    heard_ever: bool = False
    stopped_at: datetime | None = None
    """When its agent said that it stops, if that was its last word."""
    offline_since: datetime | None = None


def locker_then(
    spec: LockerSpec, told: Iterable[DoorReport], signs: Signs, *, at: datetime, silent_after: timedelta
) -> Locker:
    """Return a locker as it was at a moment.

    Args:
        spec: the locker, as the registry has it.
        told: what its ledger says up to the moment, in whatever order.
        signs: whether it could be reached.
        at: the moment.
        silent_after: a locker that was last heard longer before is offline.
    """
    fleet = Fleet(silent_after_ms=silent_after.total_seconds() * 1000)
    fleet.load([spec])
    for one in in_ledger_order(told):
        data = None if one.data is None else dict(one.data)
        fleet.event(spec.id, Event(t=0, at=0, kind=one.kind, door=one.door, data=data), at=one.at)
    locker = fleet.lockers[spec.id]
    reach(locker, signs, at=at, silent_after=silent_after)
    return locker


def reach(locker: Locker, signs: Signs, *, at: datetime, silent_after: timedelta) -> None:
    """Say whether a locker could be reached. Nobody kept since when it could; since when not is worked out."""
    heard_at = signs.heard_at
    locker.heard_at = heard_at
    # Heard at a time that is not known counts as a session: it is offline, and not one that never came.
    locker.session = int(signs.heard_ever)
    since = signs.stopped_at or _lost_at(signs)
    if since is None and heard_at is not None and at - heard_at > silent_after:
        since = heard_at + silent_after
    locker.reachable = locker.online = heard_at is not None and since is None
    locker.since = since


def _lost_at(signs: Signs) -> datetime | None:
    """Return since when an alarm has the locker offline, unless it was heard after that."""
    since, heard_at = signs.offline_since, signs.heard_at
    heard_since = since is not None and heard_at is not None and heard_at - since > _ORDER_UNSURE
    return None if heard_since else since


def door_counts_then(
    spec: LockerSpec, edges: Sequence[Edges], boards: Iterable[DoorReport], *, reachable: bool
) -> dict[str, int]:
    """Count a locker's doors by state: from the last edge of each, and the boards' last words.

    It is what `Locker.door_counts` says of what `locker_then` returns, without all the steps on the way.
    """
    states = _last_states(edges, boards) if reachable else {}
    counts = {"total": len(spec.doors), "open": 0, "closed": 0, "unknown": 0, "out_of_service": 0}
    for door in spec.doors:
        counts[states.get(door.number, "unknown")] += 1
        counts["out_of_service"] += not door.in_service
    return counts


def in_ledger_order(told: Iterable[DoorReport]) -> list[DoorReport]:
    """Return events in the order in which they were written: by number, and of two epochs the older one first."""
    events = list(told)
    newest: dict[UUID, datetime] = {}
    for one in events:
        newest[one.epoch] = max(newest.get(one.epoch, one.at), one.at)
    return sorted(events, key=lambda one: (newest[one.epoch], one.epoch, one.seq))


def stopped_at(edges: Iterable[Edges]) -> datetime | None:
    """Return when a locker's agent stopped, if nothing of it came later."""
    last = max(edges, key=lambda one: (one.newest_at, one.epoch), default=None)
    return last.newest_at if last is not None and last.is_stopped else None


def _last_states(edges: Sequence[Edges], boards: Iterable[DoorReport]) -> dict[int, str]:
    states: dict[int, str] = {}
    words = sorted(boards, key=lambda one: one.seq)
    for one in sorted(edges, key=lambda one: (one.newest_at, one.epoch)) if len(edges) > 1 else edges:
        said: dict[int, int] = {}
        for door, opened, closed in zip(one.doors, one.opened, one.closed, strict=True):
            if door is not None and (opened or closed):
                said[door] = max(opened or 0, closed or 0)
                states[door] = "open" if (opened or 0) > (closed or 0) else "closed"
        for word in words:
            if word.epoch != one.epoch:
                continue
            states |= {door: state for door, state in _said_of_doors(word) if word.seq > said.get(door, 0)}
    return states


def _said_of_doors(word: DoorReport) -> Iterator[tuple[int, str]]:
    doors = (word.data or {}).get("doors")
    for item in doors if isinstance(doors, list) else ():
        match item:
            case [int(number), ("open" | "closed" | "unknown") as state, *_] if word.kind == EventKind.SNAPSHOT:
                yield number, state
            case int(number) if word.kind == EventKind.BOARD_OFFLINE:
                yield number, "unknown"
            case _:
                continue
