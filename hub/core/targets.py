"""Which doors or lockers a job is for: chosen once, when it is made, and looked at again before each is sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from hub.core.commands import CommandRefusal
from hub.core.fleet import DoorSpec, Locker
from wire.messages import DURABLE_KINDS, CommandKind


@dataclass(frozen=True, slots=True)
class Target:
    """A locker, or one of its doors."""

    locker: str
    door: int | None = None


@dataclass(frozen=True, slots=True)
class Doors:
    """Which doors of each locker: those that fit everything that is said here."""

    numbers: frozenset[int] | None = None
    size: str | None = None

    def takes(self, door: DoorSpec) -> bool:
        """Say whether a door is meant."""
        return (self.numbers is None or door.number in self.numbers) and self.size in {None, door.size}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which lockers: those that fit everything that is said here. Without `doors` a target is a whole locker."""

    site: str | None = None
    lockers: frozenset[str] | None = None
    q: str = ""
    """A text in what people look a locker up by."""
    doors: Doors | None = None


def choose(lockers: Iterable[Locker], selection: Selection) -> list[Target]:
    """Return the targets in the order in which they are sent.

    Each locker has its first door in turn before any has its second: canaries are then of different lockers, and no
    locker's supply has to feed many locks at once.
    """
    chosen = sorted((one for one in lockers if _takes(selection, one)), key=lambda one: one.spec.id)
    if selection.doors is None:
        return [Target(one.spec.id) for one in chosen]
    wanted = selection.doors
    placed = [
        (turn, one.spec.id, number)
        for one in chosen
        for turn, number in enumerate(sorted(n for n, door in one.doors.items() if wanted.takes(door.spec)))
    ]
    return [Target(locker, door) for _, locker, door in sorted(placed)]


def why_not(lockers: Mapping[str, Locker], kind: str, target: Target) -> CommandRefusal | None:
    """Return why a target would be left out now. Only durable kinds wait for a locker that is away."""
    locker = lockers.get(target.locker)
    if locker is None:
        return CommandRefusal.LOCKER_UNKNOWN
    if locker.spec.disabled is not None:
        return CommandRefusal.LOCKER_DISABLED
    if target.door is not None:
        door = locker.doors.get(target.door)
        if door is None:
            return CommandRefusal.DOOR_UNKNOWN
        if kind == CommandKind.OPEN and not door.spec.in_service:
            return CommandRefusal.DOOR_OUT_OF_SERVICE
    if kind not in DURABLE_KINDS and not locker.reachable:
        return CommandRefusal.LOCKER_OFFLINE
    return None


def canaries_of(targets: int, *, count: int | None, share: float, canaries_max: int) -> int:
    """Return how many canaries a job has: `count`, or a share and at least one; never all of its targets."""
    wanted = max(1, ceil(targets * share)) if count is None else count
    return min(wanted, canaries_max, max(0, targets - 1))


def _takes(selection: Selection, locker: Locker) -> bool:
    spec = locker.spec
    if selection.site is not None and spec.site != selection.site:
        return False
    if selection.lockers is not None and spec.id not in selection.lockers:
        return False
    return locker.mentions(selection.q)
