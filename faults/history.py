"""What is known of a run after it: what was written where, what was ordered, and what the boards truly did.

All times are CLOCK_BOOTTIME in milliseconds, which every process of one machine shares, unless said otherwise.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

SETTLED: Final = frozenset({"rejected", "succeeded", "failed", "unknown", "cancelled", "expired"})


class Content(NamedTuple):
    """What makes two events the same event; `at` is the locker's stamp in ms, `data` is JSON with sorted keys."""

    kind: str
    at: int
    door: int | None
    command: str | None
    data: str


class Entry(NamedTuple):
    """One event of a locker's own file. `ledger` names the file: a cloned locker has two."""

    ledger: str
    locker: str
    epoch: UUID
    seq: int
    content: Content


class Stored(NamedTuple):
    """One event in the hub's database."""

    locker: str
    epoch: UUID
    seq: int
    content: Content


class Numbers(NamedTuple):
    """Numbers of one ledger, both ends included: a declared gap, or events in quarantine."""

    locker: str
    epoch: UUID
    first: int
    last: int


class Command(NamedTuple):
    """One opening as it was published, seen on the wire and not told by the hub."""

    id: str
    locker: str
    door: int
    sent_t: int
    not_after: int


class Movement(NamedTuple):
    """Something that a board did or met: `pulse`, `opened`, `closed`."""

    locker: str
    door: int
    t: int
    within_ms: int = 0
    """How much earlier it may have been: more than nothing where the boards were put aside with their machine."""


@dataclass(slots=True)
class History:
    """Everything of one rig up to now."""

    entries: list[Entry] = field(default_factory=list)
    """What was written before the database was read: all of it has to be there."""
    later: list[Entry] = field(default_factory=list)
    """What was written when the database had been read: what is there comes from here."""
    stored: list[Stored] = field(default_factory=list)
    declared: list[Numbers] = field(default_factory=list)
    quarantined: list[Numbers] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    """What the API says of each command at the end, by id; one that it does not know is left out."""
    told: dict[str, str] = field(default_factory=dict)
    """What its caller was told, at the time, by id."""
    pulses: list[Movement] = field(default_factory=list)
    opened: list[Movement] = field(default_factory=list)
    closed: list[Movement] = field(default_factory=list)
